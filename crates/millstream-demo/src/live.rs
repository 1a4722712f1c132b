//! What visitors of a shop do just now, one event after the other, as JSON objects. An event is a function of seed and number alone,
//! but for its time, so that whoever makes them can stop, and go on later or elsewhere.
//!
//! Visits overlap: so many are under way at the same time, and each goes through the shop step by step, as far as it comes. About one
//! event in two hundred is dirty.

use std::io::{self, Write};

use rand::{Rng, RngCore};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{
    Shop, calendar, draw_fault,
    events::FUNNEL,
    names::{CATEGORIES, Category, DEVICES, weighted},
    pick_customer,
};

/// The visits under way at the same time.
const VISITS: u64 = 64;
/// The steps of a visit; one that has come as far as it comes looks at pages.
const STEPS: u64 = FUNNEL.len() as u64;

/// The customers of the shop.
const CUSTOMERS: u64 = 10_000;

/// Events come at most so many milliseconds after they happened.
const LATE_MS_MAX: i64 = 2_000;

/// The random streams of visits and of events.
const VISIT_STREAM: u64 = 1 << 62;
const EVENT_STREAM: u64 = 1 << 63;

/// A fault of an event. [`FAULTS`] has the number of events, of 10,000, that have it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    NoEventId,
    BrokenTime,
    UnknownType,
    CustomerIsText,
    NegativeAmount,
}

const FAULTS: [(Fault, u32); 5] = [
    (Fault::NoEventId, 10),
    (Fault::BrokenTime, 15),
    (Fault::UnknownType, 12),
    (Fault::CustomerIsText, 8),
    (Fault::NegativeAmount, 5),
];

/// The events of a shop.
#[derive(Clone, Debug)]
pub struct ShopEvents {
    seed: u64,
    shop: Shop,
}

/// One visit.
struct Visit {
    session: u64,
    customer: Option<u64>,
    device: &'static str,
    category: &'static Category,
    /// The last step of [`FUNNEL`] that the visitor takes.
    comes_to: usize,
}

impl ShopEvents {
    /// The shop of this seed; the same seed gives the same events.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { seed, shop: Shop { customers: CUSTOMERS } }
    }

    /// Appends the event of this number, counted from 0, as it is sent at `now_ms` (milliseconds since 1970).
    pub fn write(&self, number: u64, now_ms: i64, out: &mut Vec<u8>) {
        // Writing to a vector does not fail.
        let _ = self.try_write(number, now_ms, out);
    }

    fn try_write(&self, number: u64, now_ms: i64, out: &mut Vec<u8>) -> io::Result<()> {
        let (turn, within) = (number / (VISITS * STEPS), number % (VISITS * STEPS));
        let visit = self.visit(turn * VISITS + within % VISITS);
        let mut random = self.random(EVENT_STREAM | number);
        let step = usize::try_from(within / VISITS).unwrap_or(0);
        let step = if step > visit.comes_to { 0 } else { step };
        let fault = draw_fault(&FAULTS, 1, &mut random);
        let (high, low) = (random.next_u64(), random.next_u64());
        out.push(b'{');
        if fault != Some(Fault::NoEventId) {
            // The fixed digits mark a random UUID (version 4, variant 1).
            write!(
                out,
                "\"event_id\":\"{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}\",",
                high >> 32,
                high >> 16 & 0xffff,
                high & 0xfff,
                low >> 52,
                low & 0xffff_ffff_ffff,
            )?;
        }
        write!(out, "\"session_id\":{}", visit.session)?;
        match (visit.customer, fault) {
            (_, Some(Fault::CustomerIsText)) => out.extend_from_slice(b",\"customer_id\":\"guest\""),
            (Some(customer), _) => write!(out, ",\"customer_id\":{customer}")?,
            (None, _) => out.extend_from_slice(b",\"customer_id\":null"),
        }
        let name = FUNNEL.get(step).map_or("page_view", |step| step.0);
        let said = if fault == Some(Fault::UnknownType) { "undefined" } else { name };
        let category = visit.category;
        write!(
            out,
            ",\"event_type\":\"{said}\",\"device\":\"{}\",\"category\":\"{}\"",
            visit.device, category.name
        )?;
        if name == "purchase" {
            let quantity = [1, 1, 1, 1, 2, 2, 3, 5][random.random_range(0..8)];
            let cents = category.prices[random.random_range(0..category.prices.len())] * quantity;
            let sign = if fault == Some(Fault::NegativeAmount) { "-" } else { "" };
            write!(out, ",\"quantity\":{quantity},\"amount\":{sign}{}.{:02}", cents / 100, cents % 100)?;
        }
        let occurred = now_ms - random.random_range(0..=LATE_MS_MAX);
        match fault {
            Some(Fault::BrokenTime) => out.extend_from_slice(b",\"occurred_at\":\"yesterday\"}"),
            _ => write!(out, ",\"occurred_at\":\"{}\"}}", calendar::instant(occurred))?,
        }
        Ok(())
    }

    fn visit(&self, session: u64) -> Visit {
        let mut random = self.random(VISIT_STREAM | session);
        let mut comes_to = 0;
        while FUNNEL.get(comes_to).is_some_and(|step| random.random_range(0..100) < step.1) {
            comes_to += 1;
        }
        Visit {
            session: session + 1,
            customer: (random.random_range(0..100) < 68).then(|| pick_customer(&self.shop, &mut random)),
            device: weighted(&DEVICES, |device| device.1, random.random_range(0..100)).0,
            category: weighted(&CATEGORIES, |category| category.weight, random.random_range(0..100)),
            comes_to,
        }
    }

    fn random(&self, stream: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(stream);
        random
    }
}
