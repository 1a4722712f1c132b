//! Seconds and memory of the point-in-time join: 100k labels with 1M rows of five float columns, for 10k and for 1k
//! keys, as `ASOF JOIN` of others is measured.
//!
//! `cargo run --release -p millstream-features --example asof_bench [labels] [rows]`

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::{error::Error, num::NonZeroUsize, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema},
};
use millstream_features::asof::{AsofBuilder, AsofOptions, FeatureRows, KeyColumn, LabelRows, MatchStatus};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const YEAR_MICROS: i64 = 365 * 86_400_000_000;

struct Rows {
    keys: Vec<ArrayRef>,
    time: ArrayRef,
}

fn rows(random: &mut SmallRng, rows: usize, keys: i64, is_in_order: bool) -> Rows {
    let key: Int64Array = (0..rows).map(|_| Some(random.random_range(0..keys))).collect();
    let mut times: Vec<i64> = (0..rows).map(|_| random.random_range(0..YEAR_MICROS)).collect();
    if is_in_order {
        times.sort_unstable();
    }
    Rows { keys: vec![Arc::new(key)], time: Arc::new(TimestampMicrosecondArray::from(times)) }
}

fn features(random: &mut SmallRng, rows: usize) -> Result<RecordBatch, Box<dyn Error>> {
    let mut column = || -> ArrayRef {
        Arc::new((0..rows).map(|_| Some(random.random::<f64>())).collect::<Float64Array>())
    };
    let columns: Vec<_> = (0..5).map(|_| column()).collect();
    let fields: Vec<_> = (0..5).map(|at| Field::new(format!("f{at}"), DataType::Float64, true)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// A figure of the process in MiB, where the system tells.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>().unwrap_or(f64::NAN) / 1024.0
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let label_count = arguments.next().transpose()?.unwrap_or(100_000);
    let row_count = arguments.next().transpose()?.unwrap_or(1_000_000);
    let mut random = SmallRng::seed_from_u64(1);
    let features = [features(&mut random, row_count)?];
    let options = AsofOptions {
        threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        ..AsofOptions::default()
    };
    let key = [KeyColumn { name: "key".into(), data_type: DataType::Int64 }];
    for (keys, is_in_order) in [(10_000, false), (10_000, true), (1_000, false), (1_000, true)] {
        let view = rows(&mut random, row_count, keys, is_in_order);
        let labels = rows(&mut random, label_count, keys, false);
        let before = memory("VmRSS:");
        let mut best = f64::INFINITY;
        let mut parts = String::new();
        for _ in 0..5 {
            let start = Instant::now();
            let mut builder = AsofBuilder::new(&key, options)?;
            builder.push(&FeatureRows { keys: &view.keys, time: &view.time, known: None, sequence: None })?;
            let pushed = start.elapsed().as_secs_f64();
            let index = builder.build();
            let built = start.elapsed().as_secs_f64();
            let matches =
                index.join(&LabelRows { keys: &labels.keys, time: &labels.time, as_known: None })?;
            let joined = start.elapsed().as_secs_f64();
            let columns = matches.take(&features, options.threads)?;
            let seconds = start.elapsed().as_secs_f64();
            if seconds < best {
                best = seconds;
                let present = matches.statuses().iter().filter(|status| **status == MatchStatus::Present);
                parts = format!(
                    "keys {pushed:.3}, sort {:.3}, search {:.3}, take {:.3}; {} columns, {} present",
                    built - pushed,
                    joined - built,
                    seconds - joined,
                    columns.len(),
                    present.count()
                );
            }
        }
        let order = if is_in_order { "by time" } else { "shuffled" };
        let peak = memory("VmHWM:");
        println!("{label_count} labels x {row_count} rows, {keys} keys, {order}: {best:.3} s ({parts})");
        println!("  resident before {before:.0} MiB, peak so far {peak:.0} MiB");
    }
    Ok(())
}
