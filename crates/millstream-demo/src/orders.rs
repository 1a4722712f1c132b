//! Orders as CSV, one file a month, sorted by time.

use std::{
    fs::File,
    io::{self, Write},
};

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::{
    DemoError, FileTask, Shop,
    arrivals::Slice,
    calendar::{self, MONTHS},
    draw_fault,
    names::{CATEGORIES, STATUSES, weighted},
    pick_customer,
};

/// A fault of a row. [`FAULTS`] has the number of rows, of 10,000, that have it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Duplicate,
    NoOrderId,
    NegativeAmount,
    BrokenTime,
    UnknownCategory,
    NoQuantity,
    AmountIsText,
    UnknownCustomer,
    ExtraField,
}

const FAULTS: [(Fault, u32); 9] = [
    (Fault::Duplicate, 25),
    (Fault::NoOrderId, 8),
    (Fault::NegativeAmount, 20),
    (Fault::BrokenTime, 15),
    (Fault::UnknownCategory, 10),
    (Fault::NoQuantity, 10),
    (Fault::AmountIsText, 6),
    (Fault::UnknownCustomer, 15),
    (Fault::ExtraField, 4),
];

const HEADER: &[u8] = b"order_id,customer_id,category,quantity,amount,status,ordered_at\n";

struct Order {
    id: u64,
    customer: u64,
    category: &'static str,
    quantity: u32,
    cents: u64,
    status: &'static str,
}

pub(super) fn write(task: &FileTask<'_>, random: &mut ChaCha8Rng) -> Result<u64, DemoError> {
    let file = File::create(&task.path).map_err(DemoError::file("create", &task.path))?;
    let mut out = io::BufWriter::with_capacity(1 << 20, file);
    let bytes = write_rows(task, random, &mut out).map_err(DemoError::file("write", &task.path))?;
    out.flush().map_err(DemoError::file("write", &task.path))?;
    Ok(bytes)
}

/// The text of a small file of orders.
pub(super) fn slice(slice: &Slice<'_>, random: &mut ChaCha8Rng) -> io::Result<Vec<u8>> {
    let (month, day, _) = slice.at;
    let (mut text, mut id) = (HEADER.to_vec(), slice.first_id);
    for second in slice.times(random) {
        let fault = draw_fault(&FAULTS, 1, random).filter(|fault| *fault != Fault::Duplicate);
        let order = draw_order(id, slice.shop, random);
        id += 1;
        write_line(&mut text, &order, fault, (month, day, second), random)?;
    }
    Ok(text)
}

fn write_rows(task: &FileTask<'_>, random: &mut ChaCha8Rng, out: &mut impl Write) -> io::Result<u64> {
    let month = MONTHS[task.month];
    out.write_all(HEADER)?;
    let mut bytes = HEADER.len() as u64;
    let mut line = Vec::with_capacity(128);
    let mut id = task.first_id;
    let mut last: Option<Order> = None;
    for (day, rows) in (0..).zip(calendar::split_by_day(month, task.rows)) {
        for second in calendar::times_of_day(rows, random) {
            line.clear();
            let fault = draw_fault(&FAULTS, 1, random);
            let order = match last.take() {
                Some(order) if fault == Some(Fault::Duplicate) => order,
                _ => draw_order(id, task.shop, random),
            };
            id += 1;
            write_line(&mut line, &order, fault, (month.number, day + 1, second), random)?;
            out.write_all(&line)?;
            bytes += line.len() as u64;
            last = Some(order);
        }
    }
    Ok(bytes)
}

fn draw_order(id: u64, shop: &Shop, random: &mut ChaCha8Rng) -> Order {
    let category = weighted(&CATEGORIES, |category| category.weight, random.random_range(0..100));
    let quantity = [1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 8][random.random_range(0..14)];
    let price = category.prices[random.random_range(0..6)];
    // One order in ten has a voucher.
    let percent = if random.random_range(0..10) == 0 { 85 } else { 100 };
    Order {
        id,
        customer: pick_customer(shop, random),
        category: category.name,
        quantity,
        cents: u64::from(price) * u64::from(quantity) * percent / 100,
        status: weighted(&STATUSES, |status| status.1, random.random_range(0..100)).0,
    }
}

fn write_line(
    line: &mut Vec<u8>,
    order: &Order,
    fault: Option<Fault>,
    (month, day, second): (u32, u32, u32),
    random: &mut ChaCha8Rng,
) -> io::Result<()> {
    if fault != Some(Fault::NoOrderId) {
        write!(line, "{}", order.id)?;
    }
    match fault {
        Some(Fault::UnknownCustomer) => write!(line, ",{}", 900_000_000 + random.random_range(0..1_000_u32))?,
        _ => write!(line, ",{}", order.customer)?,
    }
    match fault {
        Some(Fault::UnknownCategory) => line.extend_from_slice(b",???"),
        _ => write!(line, ",{}", order.category)?,
    }
    let quantity = if fault == Some(Fault::NoQuantity) { 0 } else { order.quantity };
    write!(line, ",{quantity}")?;
    let (units, cents) = (order.cents / 100, order.cents % 100);
    match fault {
        Some(Fault::NegativeAmount) => write!(line, ",-{units}.{cents:02}")?,
        Some(Fault::AmountIsText) => write!(line, ",\"{units},{cents:02} EUR\"")?,
        _ => write!(line, ",{units}.{cents:02}")?,
    }
    write!(line, ",{}", order.status)?;
    let (hour, minute, second) = calendar::clock(second);
    match fault {
        Some(Fault::BrokenTime) => write!(line, ",2026-02-30 {hour:02}:{minute:02}:{second:02}")?,
        _ => write!(line, ",2026-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")?,
    }
    if fault == Some(Fault::ExtraField) {
        line.extend_from_slice(b",left at the neighbour's, second floor");
    }
    line.push(b'\n');
    Ok(())
}
