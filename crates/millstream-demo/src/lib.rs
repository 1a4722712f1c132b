//! The shop's data, generated: customers as Parquet, orders as CSV, events as JSON lines; and what its visitors do just now.
//!
//! May touch: Arrow, Parquet and the folder it is given. Must not: know a project, the engine or the lake, or read a
//! clock.
//!
//! The same rows and seed give the same bytes on every machine: each file draws from its own stream of one
//! ChaCha generator, and nothing depends on a clock, a locale or a transcendental function. About one row in a
//! hundred is dirty in the ways that real exports are.

mod arrivals;
mod calendar;
mod customers;
mod error;
mod events;
mod live;
mod names;
mod orders;

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use rand::Rng;
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

use self::calendar::MONTHS;

pub use self::{
    arrivals::{Arrival, Arrivals},
    error::DemoError,
    live::ShopEvents,
};

/// The number of rows when the command does not say.
pub const ROWS_DEFAULT: u64 = 1_000_000;
/// The fewest rows that fill every file.
pub const ROWS_MIN: u64 = 500;
/// The most rows that the generator's ids are meant for.
pub const ROWS_MAX: u64 = 1_000_000_000;

/// The amount of data, and the seed that decides which data it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DemoOptions {
    /// The number of rows over all files, dirty ones included; kept between [`ROWS_MIN`] and [`ROWS_MAX`].
    pub rows: u64,
    pub seed: u64,
}

/// The rows, files and bytes that were written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    pub customers: u64,
    pub orders: u64,
    pub events: u64,
    pub files: u64,
    pub bytes: u64,
}

/// A file to write, independent of the others.
struct FileTask<'a> {
    path: PathBuf,
    kind: Kind,
    /// The number of the file's random stream, which is its place among the files as well.
    stream: u64,
    month: usize,
    /// The rows that the file gets.
    rows: u64,
    /// The id of the file's first row.
    first_id: u64,
    shop: &'a Shop,
}

#[derive(Clone, Copy)]
enum Kind {
    Customers,
    CustomerChanges,
    Orders,
    Events,
}

/// Figures that all files agree on.
#[derive(Clone, Debug)]
struct Shop {
    /// The ids of customers go from 1 to this number.
    customers: u64,
}

/// How the rows are shared out.
#[derive(Clone, Copy)]
struct Shares {
    customers: u64,
    /// The rows of customers that change an earlier one.
    changes: u64,
    orders: u64,
    events: u64,
}

impl Shares {
    fn of(rows: u64) -> Self {
        let rows = rows.clamp(ROWS_MIN, ROWS_MAX);
        let (customers, orders) = (rows / 20, rows * 35 / 100);
        Self { customers, changes: customers / 5, orders, events: rows - customers - orders }
    }

    fn shop(self) -> Shop {
        Shop { customers: self.customers - self.changes }
    }
}

/// Writes the data below `root` (`data/customers`, `data/orders`, `data/events`).
pub fn generate(root: &Path, options: DemoOptions) -> Result<Generated, DemoError> {
    let shares = Shares::of(options.rows);
    let Shares { customers: customer_rows, changes, orders: order_rows, events: event_rows } = shares;
    let shop = shares.shop();
    let data = root.join("data");
    for folder in ["customers", "orders", "events"] {
        let folder = data.join(folder);
        fs::create_dir_all(&folder).map_err(DemoError::file("create", folder))?;
    }

    let mut tasks = vec![
        task(data.join("customers/2026-01.parquet"), Kind::Customers, 0, shop.customers, &shop),
        task(data.join("customers/2026-04.parquet"), Kind::CustomerChanges, 3, changes, &shop),
    ];
    tasks.extend(monthly(&data, "events", "jsonl", Kind::Events, event_rows, &shop));
    tasks.extend(monthly(&data, "orders", "csv", Kind::Orders, order_rows, &shop));
    for (stream, task) in (0..).zip(&mut tasks) {
        task.stream = stream;
    }
    let files = tasks.len();
    let bytes = run(tasks, options.seed)?;
    Ok(Generated {
        customers: customer_rows,
        orders: order_rows,
        events: event_rows,
        files: u64::try_from(files).unwrap_or(u64::MAX),
        bytes,
    })
}

fn task(path: PathBuf, kind: Kind, month: usize, rows: u64, shop: &Shop) -> FileTask<'_> {
    FileTask { path, kind, stream: 0, month, rows, first_id: 1, shop }
}

/// One file a month, growing a little from month to month.
fn monthly<'a>(
    data: &Path,
    name: &str,
    extension: &str,
    kind: Kind,
    rows: u64,
    shop: &'a Shop,
) -> Vec<FileTask<'a>> {
    let mut first_id = 1;
    calendar::split_by_month(rows)
        .into_iter()
        .zip(MONTHS)
        .enumerate()
        .map(|(month, (rows, of))| {
            let path = data.join(name).join(format!("2026-{:02}.{extension}", of.number));
            let task = FileTask { first_id, ..task(path, kind, month, rows, shop) };
            first_id += rows;
            task
        })
        .collect()
}

/// Writes the files on all cores; returns the bytes written, or the first fault.
fn run(tasks: Vec<FileTask<'_>>, seed: u64) -> Result<u64, DemoError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(tasks.len());
    // Files are taken from the end, so that the largest ones (orders, then events) start first.
    let queue = Mutex::new(tasks);
    let outcomes: Vec<Result<u64, DemoError>> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let mut bytes = 0;
                    loop {
                        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).pop();
                        let Some(task) = next else { return Ok(bytes) };
                        bytes += write(&task, seed)?;
                    }
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|_| Err(DemoError::Worker))).collect()
    });
    outcomes.into_iter().sum()
}

fn write(task: &FileTask<'_>, seed: u64) -> Result<u64, DemoError> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(task.stream);
    match task.kind {
        Kind::Customers | Kind::CustomerChanges => customers::write(task, &mut random),
        Kind::Orders => orders::write(task, &mut random),
        Kind::Events => events::write(task, &mut random),
    }
}

/// Draws the fault of the next row, if any: each fault comes in so many of 10,000 rows, times `factor`.
fn draw_fault<F: Copy>(faults: &[(F, u32)], factor: u32, random: &mut ChaCha8Rng) -> Option<F> {
    let mut drawn = random.random_range(0..10_000_u32);
    for (fault, weight) in faults {
        if drawn < weight * factor {
            return Some(*fault);
        }
        drawn -= weight * factor;
    }
    None
}

/// A customer, some far more often than others, as in every shop. Uses only exact operations.
fn pick_customer(shop: &Shop, random: &mut ChaCha8Rng) -> u64 {
    let unit: f64 = random.random();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a rank below the number of customers, which is far below 2^52"
    )]
    let rank = (unit * unit * unit * shop.customers as f64) as u64;
    // A large prime spreads the frequent ones over the ids.
    rank.min(shop.customers - 1) * 15_485_863 % shop.customers + 1
}
