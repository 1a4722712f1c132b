//! Orders and events that keep arriving after those of [`generate`](crate::generate): small files, one after the other, that
//! go on where its data ends. The same rows and seed give the same files, whenever they are written.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use crate::{DemoError, DemoOptions, Shares, Shop, calendar, events, orders};

/// The first random stream of arrivals, above those of all files that [`generate`](crate::generate) writes.
const STREAM_FIRST: u64 = 1_000_000;

/// The time of the shop that each arrival covers, in seconds.
const COVERS: u32 = 900;

/// The days from the end of the generated data to the end of the year, at which the shop closes.
const DAYS: u32 = 184;

/// So many arrivals come fast, for whoever watches; then it gets quieter, for whoever has left a demo running.
const LIVELY: u64 = 30;

/// The shop's arrivals, one after the other.
#[derive(Debug)]
pub struct Arrivals {
    root: PathBuf,
    seed: u64,
    shop: Shop,
    /// The number of the next arrival, from 0.
    next: u64,
    order_next: u64,
    session_next: u64,
}

/// Files that have arrived together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub orders: u64,
    pub events: u64,
    /// The file of the orders, below the project's folder.
    pub file: PathBuf,
    /// How long to wait before the next arrival.
    pub pause: Duration,
}

impl Arrivals {
    /// What arrives after the data that `options` describe, below the same `root`.
    #[must_use]
    pub fn after(root: &Path, options: DemoOptions) -> Self {
        let shares = Shares::of(options.rows);
        Self {
            root: root.to_owned(),
            seed: options.seed,
            shop: shares.shop(),
            next: 0,
            order_next: shares.orders + 1,
            session_next: shares.events + 1,
        }
    }

    /// Writes the next files. Each appears under its name with all of its rows at once. `None` when the year is over.
    ///
    /// # Errors
    ///
    /// A file cannot be written. The next call writes the same files.
    pub fn arrive(&mut self) -> Result<Option<Arrival>, DemoError> {
        let second = self.next.saturating_mul(u64::from(COVERS));
        let Some(at) = u32::try_from(second).ok().and_then(moment) else { return Ok(None) };
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(STREAM_FIRST + self.next);
        let (orders, events) = (random.random_range(8..40_u64), random.random_range(20..90_u64));
        let pause = pause(self.next, &mut random);
        let name = format!("live-{:05}", self.next + 1);
        let file = PathBuf::from("data/orders").join(&name).with_extension("csv");
        let slice = Slice { at, seconds: COVERS, rows: orders, first_id: self.order_next, shop: &self.shop };
        let text = orders::slice(&slice, &mut random).map_err(DemoError::file("write", &file))?;
        put(&self.root.join(&file), &text)?;
        let path = self.root.join("data/events").join(&name).with_extension("jsonl");
        let slice = Slice { rows: events, first_id: self.session_next, ..slice };
        let text = events::slice(&slice, &mut random).map_err(DemoError::file("write", &path))?;
        put(&path, &text)?;
        self.next += 1;
        self.order_next += orders;
        self.session_next += events;
        Ok(Some(Arrival { orders, events, file, pause }))
    }
}

/// Rows of a short stretch of the shop's time.
pub(crate) struct Slice<'a> {
    /// The month, the day and the second of the day at which it begins.
    pub(crate) at: (u32, u32, u32),
    pub(crate) seconds: u32,
    pub(crate) rows: u64,
    /// The id of the first row.
    pub(crate) first_id: u64,
    pub(crate) shop: &'a Shop,
}

impl Slice<'_> {
    /// The instants of the rows, ascending.
    pub(crate) fn times(&self, random: &mut ChaCha8Rng) -> Vec<u32> {
        let mut times: Vec<u32> =
            (0..self.rows).map(|_| self.at.2 + random.random_range(0..self.seconds)).collect();
        times.sort_unstable();
        times
    }
}

/// The month, the day and the second of the day that lie so many seconds after the generated data; `None` beyond the year.
fn moment(second: u32) -> Option<(u32, u32, u32)> {
    let day = second / calendar::DAY_SECONDS;
    if day >= DAYS {
        return None;
    }
    let (month, day) = calendar::after_the_data(day)?;
    Some((month, day, second % calendar::DAY_SECONDS))
}

/// A human's pace: some seconds, and then about a minute.
fn pause(number: u64, random: &mut ChaCha8Rng) -> Duration {
    let ms = if number < LIVELY { 3_000..8_000 } else { 40_000..80_000 };
    Duration::from_millis(random.random_range(ms))
}

/// Makes a file that is there with all of its bytes or not at all. Whoever lists the folder meanwhile sees a name that no
/// source asks for.
fn put(path: &Path, text: &[u8]) -> Result<(), DemoError> {
    let unfinished = path.with_extension("unfinished");
    let mut file = fs::File::create(&unfinished).map_err(DemoError::file("create", &unfinished))?;
    file.write_all(text).map_err(DemoError::file("write", &unfinished))?;
    drop(file);
    fs::rename(&unfinished, path).map_err(DemoError::file("create", path))
}
