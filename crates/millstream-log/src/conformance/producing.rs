//! What producers rely on.

use super::{
    Fixture, all, begin, begin_with, counted, done, expect, fail, message, messages, numbered, put, refused,
};
use crate::{Append, Appended, Payload, Place, TimestampKind, TopicName, TopicOptions};

pub(super) async fn topics(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "topics";
    let (log, topic) = begin(fixture, step, 3).await?;
    let info = done(step, log.topic(&topic).await)?;
    expect(step, info.partitions.len() == 3, || {
        format!("{} partitions instead of 3", info.partitions.len())
    })?;
    let options = TopicOptions { partitions: 3, bytes_max: Some(1 << 40), ..TopicOptions::default() };
    let again = done(step, log.create(&topic, &options).await)?;
    expect(step, again.id == info.id, || "a topic that is there was made anew".into())?;
    expect(step, again.options == options, || "other options were not taken over".into())?;
    let other = TopicOptions { partitions: 2, ..TopicOptions::default() };
    refused(step, log.create(&topic, &other).await, "MS-1412")?;
    let other =
        TopicOptions { partitions: 3, timestamps: TimestampKind::Producer, ..TopicOptions::default() };
    refused(step, log.create(&topic, &other).await, "MS-1412")?;
    let named = done(step, log.topics().await)?;
    expect(step, named.iter().any(|info| info.topic == topic), || "the topic is not among all".into())?;
    let unknown = done(step, TopicName::new("never-made"))?;
    refused(step, log.topic(&unknown).await, "MS-1411")?;
    refused(step, put(&log, &Place::new(&unknown, 0), 0..1).await, "MS-1411")?;
    refused(step, put(&log, &Place::new(&topic, 3), 0..1).await, "MS-1411")?;
    for name in ["", "..", "a/b", "ä", "a b"] {
        refused(step, TopicName::new(name), "MS-1413")?;
    }
    Ok(())
}

pub(super) async fn whole_batches(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "whole_batches";
    let (log, topic) = begin(fixture, step, 2).await?;
    let (first, second) = (Place::new(&topic, 0), Place::new(&topic, 1));
    for (place, values, offsets) in [(&first, 0..3, 0..3), (&second, 10..11, 0..1), (&first, 3..8, 3..8)] {
        let appended = done(step, log.append(Append::messages(place, messages(values))).await)?;
        let expected = Appended { offsets: Some(offsets), repeated: false };
        expect(step, appended == expected, || format!("{appended:?} instead of {expected:?}"))?;
    }
    for (place, expected) in [(&first, counted(0, 0..8)), (&second, counted(0, 10..11))] {
        let found = done(step, all(&log, &place.at(0)).await)?;
        expect(step, found == expected, || format!("{found:?} instead of {expected:?}"))?;
    }
    Ok(())
}

pub(super) async fn side_by_side(fixture: &mut dyn Fixture) -> Result<(), String> {
    const TASKS: u64 = 16;
    const EACH: u64 = 20;
    let step = "side_by_side";
    let (log, topic) = begin(fixture, step, 2).await?;
    let producers = (0..TASKS).map(|task| {
        let (log, place) = (log.clone(), Place::new(&topic, u32::from(task % 2 == 1)));
        async move {
            for turn in 0..EACH {
                put(&log, &place, task * EACH + turn..task * EACH + turn + 1).await?;
            }
            Ok(())
        }
    });
    for outcome in futures::future::join_all(producers).await {
        done(step, outcome)?;
    }
    for partition in 0..2 {
        let found = done(step, all(&log, &Place::new(&topic, partition).at(0)).await)?;
        expect(step, found.len() as u64 == TASKS * EACH / 2, || format!("{} records", found.len()))?;
        for task in (0..TASKS).filter(|task| task % 2 == u64::from(partition)) {
            let own = found.iter().filter_map(|found| found.value.parse::<u64>().ok());
            let own: Vec<u64> = own.filter(|value| value / EACH == task).collect();
            let is_ordered = own.iter().copied().eq(task * EACH..(task + 1) * EACH);
            expect(step, is_ordered, || format!("the records of task {task} came as {own:?}"))?;
        }
    }
    Ok(())
}

pub(super) async fn nothing_twice(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "nothing_twice";
    let (log, topic) = begin(fixture, step, 1).await?;
    let place = Place::new(&topic, 0);
    let append = |sequence: u64, records: u64| {
        Append::messages(&place, messages(sequence..sequence + records)).sequenced(numbered(7, 0, sequence))
    };
    for (sequence, records, repeated) in
        [(0, 2, false), (2, 3, false), (2, 3, true), (0, 2, true), (5, 1, false)]
    {
        let appended = done(step, log.append(append(sequence, records)).await)?;
        let expected = Appended { offsets: Some(sequence..sequence + records), repeated };
        expect(step, appended == expected, || format!("{appended:?} instead of {expected:?}"))?;
    }
    // A batch whose predecessors are missing waits for them at its producer.
    refused(step, log.append(append(8, 1)).await, "MS-1417")?;
    done(step, log.append(append(6, 2)).await)?;
    done(step, log.append(append(8, 1)).await)?;
    for sequence in 9..20 {
        done(step, log.append(append(sequence, 1)).await)?;
    }
    let old = done(step, log.append(append(0, 2)).await)?;
    expect(step, old.repeated, || format!("an old batch came again and was answered with {old:?}"))?;
    done(step, log.close().await)?;
    let log = done(step, fixture.open().await)?;
    for (sequence, repeated) in [(18, true), (19, true), (20, false), (20, true)] {
        let appended = done(step, log.append(append(sequence, 1)).await)?;
        expect(step, appended.repeated == repeated, || format!("after a restart, {sequence}: {appended:?}"))?;
    }
    let found = done(step, all(&log, &place.at(0)).await)?;
    expect(step, found == counted(0, 0..21), || format!("{found:?}"))
}

pub(super) async fn lives_of_a_producer(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "lives_of_a_producer";
    let (log, topic) = begin(fixture, step, 1).await?;
    let place = Place::new(&topic, 0);
    let append = |producer, epoch, sequence| {
        Append::messages(&place, vec![message("x")]).sequenced(numbered(producer, epoch, sequence))
    };
    done(step, log.append(append(1, 0, 4)).await)?;
    done(step, log.append(append(1, 1, 0)).await)?;
    refused(step, log.append(append(1, 0, 5)).await, "MS-1418")?;
    done(step, log.append(append(1, 1, 1)).await)?;
    // Producers do not know of each other.
    done(step, log.append(append(2, 0, 0)).await)?;
    let end =
        done(step, log.topic(&topic).await)?.partitions.first().map(|partition| partition.offsets.clone());
    expect(step, end == Some(0..4), || format!("the records are {end:?}"))
}

pub(super) async fn wrong_requests(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "wrong_requests";
    let options = TopicOptions { bytes_max: Some(64 << 10), ..TopicOptions::default() };
    let (log, topic) = begin_with(fixture, step, &options).await?;
    let place = Place::new(&topic, 0);
    refused(step, log.append(Append::messages(&place, Vec::new())).await, "MS-1419")?;
    let text = "x".repeat(8 << 10);
    for _ in 0..100 {
        match log.append(Append::messages(&place, vec![message(&text)])).await {
            Ok(_) => {}
            Err(error) => {
                expect(step, error.code() == "MS-1416" && error.retryable(), || {
                    format!("{} {error}", error.code())
                })?;
                let records = done(step, all(&log, &place.at(0)).await)?.len();
                return expect(step, (4..=8).contains(&records), || {
                    format!("{records} records within the bound")
                });
            }
        }
    }
    fail(step, "a topic grew over its bound")
}

/// The payload of messages, for steps that look at messages themselves.
pub(super) fn as_messages(payload: &Payload) -> Option<&[crate::Message]> {
    match payload {
        Payload::Messages(messages) => Some(messages),
        Payload::Rows(_) => None,
    }
}
