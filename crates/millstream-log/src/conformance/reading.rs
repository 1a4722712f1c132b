//! What readers rely on.

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{
        ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, ListArray, NullArray, RecordBatch,
        StringArray, StringViewArray, StructArray, TimestampMicrosecondArray,
    },
    datatypes::{Int32Type, Int64Type},
    error::ArrowError,
};
use bytes::Bytes;

use super::{
    Fixture, all, begin, begin_with, counted, done, expect, fail, message, messages, ms,
    producing::as_messages, put, refused,
};
use crate::{
    Append, Compression, Header, Message, Payload, Place, ReadBound, Tail, TimestampKind, TopicOptions,
};

pub(super) async fn what_was_appended(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "what_was_appended";
    let (log, topic) = begin(fixture, step, 1).await?;
    let place = Place::new(&topic, 0);
    let header = |name: &str, value: Option<&'static [u8]>| Header {
        name: name.into(),
        value: value.map(Bytes::from_static),
    };
    let appended = vec![
        message("plain"),
        Message { key: Some(Bytes::from_static(b"key")), value: None, ..Message::default() },
        Message { key: Some(Bytes::new()), value: Some(Bytes::new()), ..Message::default() },
        Message {
            value: Some(Bytes::from_static(&[0, 255, 128, 10, 13])),
            headers: vec![
                header("a", Some(b"1")),
                header("b", None),
                header("a", Some(b"")),
                header("ä", Some(b"2")),
            ],
            ..Message::default()
        },
        message(&"long ".repeat(50_000)),
    ];
    done(step, log.append(Append::messages(&place, appended.clone())).await)?;
    let read = done(step, log.read(&place.at(0), ReadBound::default()).await)?;
    let found = read.batches.first().and_then(|batch| as_messages(&batch.payload)).unwrap_or_default();
    let found: Vec<Message> =
        found.iter().cloned().map(|message| Message { timestamp: None, ..message }).collect();
    expect(step, found == appended, || "messages came back changed".into())?;
    expect(step, (read.next, read.end) == (5, 5), || format!("{} of {}", read.next, read.end))
}

/// Rows of several shapes, nested ones and dictionaries among them.
fn shapes() -> Result<Vec<RecordBatch>, ArrowError> {
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(-3), Some(i64::MAX)]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), Some(""), None, Some("ü")]));
    let views: ArrayRef = Arc::new(StringViewArray::from(vec!["short", "longer than twelve bytes", "", "x"]));
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![0, 1, -1, 7]).with_timezone("UTC"));
    let words: ArrayRef = Arc::new(["x", "y", "x", "z"].into_iter().collect::<DictionaryArray<Int32Type>>());
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(vec![
        Some(vec![Some(1), None]),
        None,
        Some(vec![]),
        Some(vec![Some(4)]),
    ]);
    let flags: ArrayRef = Arc::new(BooleanArray::from(vec![true, false, true, true]));
    let nested = StructArray::try_from(vec![("flag", flags), ("number", Arc::clone(&numbers))])?;
    let nothing: ArrayRef = Arc::new(NullArray::new(4));
    Ok(vec![
        RecordBatch::try_from_iter([("id", numbers), ("text", texts), ("view", views), ("at", times)])?,
        RecordBatch::try_from_iter([("word", words), ("list", Arc::new(lists) as ArrayRef)])?,
        RecordBatch::try_from_iter([("nested", Arc::new(nested) as ArrayRef)])?,
        RecordBatch::try_from_iter([("nothing", nothing)])?,
        RecordBatch::try_from_iter([(
            "x",
            Arc::new(Float64Array::from(vec![f64::NAN, -0.0, 1e300])) as ArrayRef,
        )])?,
    ])
}

pub(super) async fn rows_of_many_schemas(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "rows_of_many_schemas";
    let shapes = shapes().map_err(|error| error.to_string())?;
    for compression in [Compression::None, Compression::Lz4] {
        let options = TopicOptions { compression, ..TopicOptions::default() };
        let (log, topic) = begin_with(fixture, step, &options).await?;
        let place = Place::new(&topic, 0);
        for rows in shapes.iter().chain(&shapes) {
            done(step, log.append(Append::rows(&place, rows.clone())).await)?;
            done(step, log.append(Append::messages(&place, vec![message("between")])).await)?;
        }
        let sliced: Vec<RecordBatch> = shapes.iter().map(|rows| rows.slice(1, 2)).collect();
        for rows in &sliced {
            done(step, log.append(Append::rows(&place, rows.clone())).await)?;
        }
        let wanted: Vec<&RecordBatch> = shapes.iter().chain(&shapes).chain(&sliced).collect();
        done(step, log.close().await)?;
        let log = done(step, fixture.open().await)?;
        let bound = ReadBound { bytes: usize::MAX, ..ReadBound::default() };
        let read = done(step, log.read(&place.at(0), bound).await)?;
        let found = read.batches.iter().filter_map(|batch| match &batch.payload {
            Payload::Rows(rows) => Some(rows),
            Payload::Messages(_) => None,
        });
        let found: Vec<&RecordBatch> = found.collect();
        let is_same = found.len() == wanted.len()
            && found.iter().zip(&wanted).all(|(found, wanted)| same(found, wanted));
        expect(step, is_same, || format!("rows came back changed: {found:?} instead of {wanted:?}"))?;
        // From the middle of a batch on: its later rows.
        let read = done(step, log.read(&place.at(2), ReadBound { records: 1, ..bound }).await)?;
        let row = read.batches.first().map(|batch| (batch.offset, super::values(&batch.payload)));
        let expected = wanted.first().map(|rows| (2, vec![super::text_of(rows, 2)]));
        expect(step, row == expected, || format!("{row:?} instead of {expected:?}"))?;
        done(step, log.close().await)?;
    }
    Ok(())
}

/// Whether two batches have the same columns with the same values; a number that is none equals itself.
fn same(left: &RecordBatch, right: &RecordBatch) -> bool {
    let texts =
        |rows: &RecordBatch| (0..rows.num_rows()).map(|row| super::text_of(rows, row)).collect::<Vec<_>>();
    left.schema() == right.schema() && texts(left) == texts(right)
}

pub(super) async fn any_offset(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "any_offset";
    let (log, topic) = begin(fixture, step, 1).await?;
    let place = Place::new(&topic, 0);
    let mut end = 0;
    for size in [1, 5, 2, 9, 1, 40] {
        done(step, put(&log, &place, end..end + size).await)?;
        end += size;
    }
    for offset in 0..=end {
        let found = done(step, all(&log, &place.at(offset)).await)?;
        expect(step, found == counted(offset, offset..end), || format!("from {offset}: {found:?}"))?;
        for records in [0, 1, 3, 100] {
            let read = done(step, log.read(&place.at(offset), ReadBound { bytes: 1 << 20, records }).await)?;
            let expected = (offset + records as u64).min(end);
            expect(step, read.next == expected, || format!("{records} from {offset} end at {}", read.next))?;
        }
        let least =
            done(step, log.read(&place.at(offset), ReadBound { bytes: 0, records: usize::MAX }).await)?;
        expect(step, offset == end || least.next > offset, || format!("a read from {offset} gives nothing"))?;
        let lag = done(step, log.lag(&place.at(offset)).await)?;
        expect(step, lag.records == end - offset, || format!("a lag of {} at {offset}", lag.records))?;
        expect(step, lag.since.is_some() == (offset < end), || {
            format!("a lag since {:?} at {offset}", lag.since)
        })?;
    }
    refused(step, log.read(&place.at(end + 1), ReadBound::default()).await, "MS-1414")
}

pub(super) async fn any_time(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "any_time";
    let (log, topic) = begin(fixture, step, 1).await?;
    let place = Place::new(&topic, 0);
    for value in 0..20 {
        done(step, put(&log, &place, value * 2..value * 2 + 2).await)?;
        if !fixture.advance(10) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    let read =
        done(step, log.read(&place.at(0), ReadBound { bytes: usize::MAX, records: usize::MAX }).await)?;
    let mut former = ms(0);
    for batch in &read.batches {
        expect(step, batch.timestamp >= former, || {
            format!("offset {} is earlier than the one before", batch.offset)
        })?;
        let found = done(step, log.offset_at(&place, batch.timestamp).await)?;
        let expected =
            read.batches.iter().find(|other| other.timestamp >= batch.timestamp).map(|other| other.offset);
        expect(step, found == expected, || format!("{found:?} instead of {expected:?}"))?;
        former = batch.timestamp;
    }
    let found = done(step, log.offset_at(&place, ms(0)).await)?;
    expect(step, found == Some(0), || format!("{found:?} at the beginning of time"))?;
    let found = done(step, log.offset_at(&place, ms(former.as_ms() + 3_600_000)).await)?;
    expect(step, found.is_none(), || format!("{found:?} in an hour"))
}

pub(super) async fn times_of_producers(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "times_of_producers";
    let options = TopicOptions { timestamps: TimestampKind::Producer, ..TopicOptions::default() };
    let (log, topic) = begin_with(fixture, step, &options).await?;
    let place = Place::new(&topic, 0);
    let times: [&[i64]; 4] = [&[500, 100], &[300], &[900, 901, 50], &[700]];
    for times in times {
        let stamped = times.iter().map(|time| Message { timestamp: Some(ms(*time)), ..message("x") });
        done(step, log.append(Append::messages(&place, stamped.collect())).await)?;
    }
    let rows = shapes().map_err(|error| error.to_string())?.swap_remove(0);
    let append = Append { timestamp: Some(ms(1_000)), ..Append::rows(&place, rows) };
    done(step, log.append(append).await)?;
    for (time, expected) in [
        (0, Some(0)),
        (100, Some(0)),
        (501, Some(3)),
        (900, Some(3)),
        (901, Some(4)),
        (902, Some(7)),
        (1_000, Some(7)),
        (1_001, None),
    ] {
        let found = done(step, log.offset_at(&place, ms(time)).await)?;
        expect(step, found == expected, || format!("{found:?} instead of {expected:?} at {time}"))?;
    }
    let read = done(step, log.read(&place.at(3), ReadBound { bytes: 1, records: 3 }).await)?;
    let found = read.batches.first().and_then(|batch| as_messages(&batch.payload)).unwrap_or_default();
    let found: Vec<i64> =
        found.iter().filter_map(|message| message.timestamp).map(|time| time.as_ms()).collect();
    expect(step, found == [900, 901, 50], || format!("the producer's times came back as {found:?}"))?;
    let lag = done(step, log.lag(&place.at(5)).await)?;
    expect(step, lag.since == Some(ms(50)), || format!("a lag since {:?}", lag.since))
}

pub(super) async fn waiting(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "waiting";
    let (log, topic) = begin(fixture, step, 2).await?;
    let positions = [Place::new(&topic, 0).at(0), Place::new(&topic, 1).at(0)];
    let nothing = tokio::time::timeout(Duration::from_millis(30), log.wait(&positions)).await;
    expect(step, nothing.is_err(), || "a wait for nothing ended".into())?;
    let later = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        put(&log, &Place::new(&topic, 1), 0..1).await
    };
    let both = futures::future::join(log.wait(&positions), later);
    let Ok((waited, appended)) = tokio::time::timeout(Duration::from_secs(30), both).await else {
        return fail(step, "a record did not end the wait for it");
    };
    done(step, waited.and(appended))?;
    done(step, log.wait(&positions).await)?;
    // A deleted topic ends the wait for it.
    let delete = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        log.delete(&topic).await
    };
    let first = positions.get(..1).unwrap_or_default();
    let both = futures::future::join(log.wait(first), delete);
    let Ok((waited, deleted)) = tokio::time::timeout(Duration::from_secs(30), both).await else {
        return fail(step, "a deleted topic did not end the wait for it");
    };
    done(step, deleted)?;
    refused(step, waited, "MS-1411")
}

pub(super) async fn tails(fixture: &mut dyn Fixture) -> Result<(), String> {
    const RECORDS: u64 = 300;
    let step = "tails";
    let (log, topic) = begin(fixture, step, 3).await?;
    let places: Vec<Place> = (0..3).map(|partition| Place::new(&topic, partition)).collect();
    let produce = async {
        for value in 0..RECORDS {
            let place = places.get(usize::try_from(value % 3).unwrap_or(0)).ok_or("no such place")?;
            log.append(Append::messages(place, messages(value..value + 1)))
                .await
                .map_err(|_| "not appended")?;
        }
        Ok::<(), &str>(())
    };
    let positions = places.iter().map(|place| place.at(0)).collect();
    let mut tail = Tail::new(log.clone(), positions, ReadBound { bytes: 200, records: 5 });
    let mut found: Vec<Vec<u64>> = vec![Vec::new(); 3];
    let consume = async {
        while found.iter().map(Vec::len).sum::<usize>() < usize::try_from(RECORDS).unwrap_or(usize::MAX) {
            let (place, read) = tail.read().await.map_err(|_| "not read")?;
            let values = read.batches.iter().flat_map(|batch| super::values(&batch.payload));
            let values = values.filter_map(|value| value.parse::<u64>().ok());
            found.get_mut(place.partition as usize).ok_or("no such place")?.extend(values);
        }
        Ok::<(), &str>(())
    };
    let both = futures::future::join(produce, consume);
    let Ok((produced, consumed)) = tokio::time::timeout(Duration::from_secs(60), both).await else {
        return fail(step, "a reader behind the end waits for ever");
    };
    produced.and(consumed).or_else(|what| fail(step, what))?;
    for (partition, found) in (0_u64..).zip(&found) {
        let expected = (0..RECORDS).filter(|value| value % 3 == partition);
        expect(step, found.iter().copied().eq(expected), || format!("partition {partition}: {found:?}"))?;
    }
    Ok(())
}
