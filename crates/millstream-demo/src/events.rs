//! What visitors do on the shop's pages, as JSON lines, one file a month.

use std::{
    fs::File,
    io::{self, Write},
};

use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;

use super::{
    DemoError, FileTask, Shop,
    arrivals::Slice,
    calendar::{self, MONTHS},
    draw_fault,
    names::{CATEGORIES, DEVICES, weighted},
    pick_customer,
};

/// A fault of a row. [`FAULTS`] has the number of rows, of 10,000, that have it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    CutOff,
    Duplicate,
    NoEventId,
    BrokenTime,
    UnknownType,
    CustomerIsText,
}

const FAULTS: [(Fault, u32); 6] = [
    (Fault::CutOff, 5),
    (Fault::Duplicate, 20),
    (Fault::NoEventId, 10),
    (Fault::BrokenTime, 15),
    (Fault::UnknownType, 12),
    (Fault::CustomerIsText, 8),
];

/// The steps of a visit, and of 100 visitors how many go on to the next.
pub(super) const FUNNEL: [(&str, u32); 6] = [
    ("page_view", 74),
    ("search", 82),
    ("product_view", 46),
    ("add_to_cart", 55),
    ("checkout", 78),
    ("purchase", 0),
];

/// One visit under way.
struct Visit {
    session: u64,
    customer: Option<u64>,
    device: &'static str,
    step: usize,
}

pub(super) fn write(task: &FileTask<'_>, random: &mut ChaCha8Rng) -> Result<u64, DemoError> {
    let file = File::create(&task.path).map_err(DemoError::file("create", &task.path))?;
    let mut out = io::BufWriter::with_capacity(1 << 20, file);
    let bytes = write_rows(task, random, &mut out).map_err(DemoError::file("write", &task.path))?;
    out.flush().map_err(DemoError::file("write", &task.path))?;
    Ok(bytes)
}

/// The text of a small file of events.
pub(super) fn slice(slice: &Slice<'_>, random: &mut ChaCha8Rng) -> io::Result<Vec<u8>> {
    let (month, day, _) = slice.at;
    let (mut text, mut line) = (Vec::new(), Vec::new());
    let (mut visits, mut session) = (Vec::new(), slice.first_id);
    for second in slice.times(random) {
        line.clear();
        let fault = draw_fault(&FAULTS, 1, random).filter(|fault| *fault != Fault::Duplicate);
        let event_id = (random.next_u64(), random.next_u64());
        let visit = draw_visit(&mut visits, &mut session, slice.shop, random);
        write_line(&mut line, event_id, visit, fault, (month, day, second), random)?;
        text.extend_from_slice(&line);
    }
    Ok(text)
}

fn write_rows(task: &FileTask<'_>, random: &mut ChaCha8Rng, out: &mut impl Write) -> io::Result<u64> {
    let month = MONTHS[task.month];
    let mut bytes = 0;
    let mut line = Vec::with_capacity(256);
    let mut session = task.first_id;
    // Visits overlap: each event continues one of these or replaces it by a new visit.
    let mut visits: Vec<Visit> = Vec::with_capacity(VISITS_OPEN);
    let mut event_id = (0, 0);
    for (day, rows) in (0..).zip(calendar::split_by_day(month, task.rows)) {
        for second in calendar::times_of_day(rows, random) {
            line.clear();
            let fault = draw_fault(&FAULTS, 1, random);
            if fault != Some(Fault::Duplicate) {
                event_id = (random.next_u64(), random.next_u64());
            }
            let visit = draw_visit(&mut visits, &mut session, task.shop, random);
            write_line(&mut line, event_id, visit, fault, (month.number, day + 1, second), random)?;
            out.write_all(&line)?;
            bytes += line.len() as u64;
        }
    }
    Ok(bytes)
}

/// How many visits are open at the same time.
const VISITS_OPEN: usize = 64;

fn draw_visit<'a>(
    visits: &'a mut Vec<Visit>,
    session: &mut u64,
    shop: &Shop,
    random: &mut ChaCha8Rng,
) -> &'a Visit {
    let slot = random.random_range(0..VISITS_OPEN);
    let goes_on = visits.get(slot).is_some_and(|visit| random.random_range(0..100) < FUNNEL[visit.step].1);
    if goes_on {
        visits[slot].step += 1;
        return &visits[slot];
    }
    let visit = Visit {
        session: *session,
        customer: (random.random_range(0..100) < 68).then(|| pick_customer(shop, random)),
        device: weighted(&DEVICES, |device| device.1, random.random_range(0..100)).0,
        step: 0,
    };
    *session += 1;
    if slot < visits.len() {
        visits[slot] = visit;
        &visits[slot]
    } else {
        visits.push(visit);
        &visits[visits.len() - 1]
    }
}

fn write_line(
    line: &mut Vec<u8>,
    (high, low): (u64, u64),
    visit: &Visit,
    fault: Option<Fault>,
    (month, day, second): (u32, u32, u32),
    random: &mut ChaCha8Rng,
) -> io::Result<()> {
    line.push(b'{');
    if fault != Some(Fault::NoEventId) {
        // The fixed digits mark a random UUID (version 4, variant 1).
        write!(
            line,
            "\"event_id\":\"{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}\",",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff,
        )?;
    }
    write!(line, "\"session_id\":{}", visit.session)?;
    match (visit.customer, fault) {
        (_, Some(Fault::CustomerIsText)) => line.extend_from_slice(b",\"customer_id\":\"guest\""),
        (Some(customer), _) => write!(line, ",\"customer_id\":{customer}")?,
        (None, _) => line.extend_from_slice(b",\"customer_id\":null"),
    }
    let step = if fault == Some(Fault::UnknownType) { "undefined" } else { FUNNEL[visit.step].0 };
    write!(line, ",\"event_type\":\"{step}\"")?;
    let category = weighted(&CATEGORIES, |category| category.weight, random.random_range(0..100));
    match FUNNEL[visit.step].0 {
        "page_view" => line.extend_from_slice(b",\"page\":\"/\""),
        "search" => write!(line, ",\"page\":\"/search?q={}\"", category.name)?,
        "checkout" | "purchase" => line.extend_from_slice(b",\"page\":\"/checkout\""),
        _ => write!(line, ",\"page\":\"/{}/{}\"", category.name, random.random_range(1..400_u32))?,
    }
    if fault == Some(Fault::CutOff) {
        line.extend_from_slice(b",\"devi\n");
        return Ok(());
    }
    write!(line, ",\"device\":\"{}\"", visit.device)?;
    let (hour, minute, second) = calendar::clock(second);
    match fault {
        Some(Fault::BrokenTime) => line.extend_from_slice(b",\"occurred_at\":\"yesterday\"}\n"),
        _ => {
            let ms = random.random_range(0..1_000_u32);
            writeln!(
                line,
                ",\"occurred_at\":\"2026-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z\"}}"
            )?;
        }
    }
    Ok(())
}
