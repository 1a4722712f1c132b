//! How long windowed features take: `windows_bench [labels] [events] [entities] [threads]`, by default 100k labels
//! over 5M events of 10k entities on two threads, ten features from 5 minutes to 90 days. Prints a JSON line for these,
//! and one for six statistics over 30 days.
//! With a folder as fifth argument it writes `labels.arrow` and `events.arrow` there, for a peer to read.
#![allow(clippy::print_stdout, clippy::cast_precision_loss)]

use std::{error::Error, fs::File, num::NonZeroUsize, path::Path, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray, UInt32Array},
    ipc::writer::FileWriter,
};
use millstream_features::{
    aggregate::Aggregation,
    window::{DAY, Events, Feature, Labels, Window, evaluate},
};
use millstream_types::Span;
use rand::{Rng, SeedableRng, rngs::SmallRng};

fn features() -> Vec<Feature> {
    let window = |text: &str| text.parse::<Span>().map_or(Window::all_time(), Window::last);
    let (amount, quantity) = (Some(0), Some(1));
    vec![
        Feature::new(Aggregation::Count, None, window("5m")),
        Feature::new(Aggregation::Count, None, window("1h")),
        Feature::new(Aggregation::Sum, amount, window("12h")),
        Feature::new(Aggregation::Sum, amount, window("7d")),
        Feature::new(Aggregation::Mean, amount, window("30d")),
        Feature::new(Aggregation::Mean, amount, window("90d")),
        Feature::new(Aggregation::Min, amount, window("7d")),
        Feature::new(Aggregation::Max, amount, window("30d")),
        Feature::new(Aggregation::Sum, quantity, window("90d")),
        Feature::new(Aggregation::Last, quantity, window("90d")),
    ]
}

/// What is computed from states of blocks: no running total and no neighbour gives it.
fn statistics() -> Vec<Feature> {
    let month = Window::last(Span::from_ms(30 * 86_400_000));
    let (hour, amount) = (Span::from_ms(3_600_000), Some(0));
    vec![
        Feature::new(Aggregation::StandardDeviation, amount, month),
        Feature::new(Aggregation::ApproxDistinct, amount, month),
        Feature::new(Aggregation::Quantile(0.5), amount, month),
        Feature::new(Aggregation::Trend { per: hour }, amount, month),
        Feature::new(Aggregation::MostFrequent { bound: 1000 }, Some(1), month),
        Feature::new(Aggregation::DecayedSum { half_life: hour }, amount, month),
    ]
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |at: usize, default: u32| -> Result<u32, Box<dyn Error>> {
        Ok(arguments.get(at).map_or(Ok(default), |text| text.parse())?)
    };
    let (label_count, event_count) = (number(0, 100_000)?, number(1, 5_000_000)?);
    let entities = number(2, 10_000)?;
    let threads = NonZeroUsize::try_from(usize::try_from(number(3, 2)?)?)?;

    let random = &mut SmallRng::seed_from_u64(7);
    let start = 20_000 * DAY;
    let mut times: Vec<i64> = (0..event_count).map(|_| start + random.random_range(0..180 * DAY)).collect();
    times.sort_unstable();
    let entity: UInt32Array = (0..event_count).map(|_| random.random_range(0..entities)).collect();
    let event_time = TimestampMicrosecondArray::from(times);
    let sequence: Int64Array = (0..i64::from(event_count)).collect::<Vec<_>>().into();
    let amount: Float64Array =
        (0..event_count).map(|_| f64::from(random.random_range(100..50_000)) / 100.0).collect();
    let quantity: Int64Array = (0..event_count).map(|_| random.random_range(1..20)).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(amount), Arc::new(quantity)];
    let label_entity: UInt32Array = (0..label_count).map(|_| random.random_range(0..entities)).collect();
    let label_time: TimestampMicrosecondArray =
        (0..label_count).map(|_| start + random.random_range(90 * DAY..180 * DAY)).collect::<Vec<_>>().into();
    if let Some(folder) = arguments.get(4) {
        write(
            Path::new(folder),
            "labels.arrow",
            &[("entity", Arc::new(label_entity.clone())), ("at", Arc::new(label_time.clone()))],
        )?;
        let events: [(&str, ArrayRef); 4] = [
            ("entity", Arc::new(entity.clone())),
            ("at", Arc::new(event_time.clone())),
            ("amount", columns[0].clone()),
            ("quantity", columns[1].clone()),
        ];
        write(Path::new(folder), "events.arrow", &events)?;
    }

    let labels = Labels { entities, entity: &label_entity, time: &label_time };
    let events = Events {
        entity: &entity,
        event_time: &event_time,
        known_time: &event_time,
        sequence: &sequence,
        columns: &columns,
    };
    for (name, features) in [("features", features()), ("statistics", statistics())] {
        let mut seconds = f64::INFINITY;
        for _ in 0..3 {
            let started = Instant::now();
            let values = evaluate(labels, events, &features, threads)?;
            seconds = seconds.min(started.elapsed().as_secs_f64());
            std::hint::black_box(values);
        }
        println!(
            "{{\"labels\": {label_count}, \"events\": {event_count}, \"entities\": {entities}, \"{name}\": {}, \
         \"threads\": {threads}, \"seconds\": {seconds:.3}, \"events_per_second\": {:.0}, \"labels_per_second\": {:.0}}}",
            features.len(),
            f64::from(event_count) / seconds,
            f64::from(label_count) / seconds,
        );
    }
    Ok(())
}

fn write(folder: &Path, name: &str, columns: &[(&str, ArrayRef)]) -> Result<(), Box<dyn Error>> {
    let batch = RecordBatch::try_from_iter(columns.iter().map(|(name, array)| (*name, array.clone())))?;
    let mut writer = FileWriter::try_new(File::create(folder.join(name))?, &batch.schema())?;
    writer.write(&batch)?;
    writer.finish()?;
    Ok(())
}
