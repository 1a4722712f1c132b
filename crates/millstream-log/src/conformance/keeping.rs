//! What a log keeps, and how long.

use super::{Fixture, all, begin, counted, done, expect, put, refused};
use crate::{Place, ReadBound, ReaderName, TopicOptions};

pub(super) async fn restarts(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "restarts";
    let (mut log, topic) = begin(fixture, step, 2).await?;
    let place = Place::new(&topic, 1);
    let id = done(step, log.topic(&topic).await)?.id;
    for turn in 0..5 {
        done(step, put(&log, &place, turn * 3..turn * 3 + 3).await)?;
        done(step, log.close().await)?;
        log = done(step, fixture.open().await)?;
        let found = done(step, all(&log, &place.at(0)).await)?;
        expect(step, found == counted(0, 0..turn * 3 + 3), || format!("restart {turn}: {found:?}"))?;
        let info = done(step, log.topic(&topic).await)?;
        expect(step, info.id == id, || "a restart made another topic".into())?;
        let damage = done(step, log.verify(&place).await)?;
        expect(step, damage.is_empty(), || format!("{damage:?}"))?;
    }
    Ok(())
}

pub(super) async fn trimmed(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "trimmed";
    let (log, topic) = begin(fixture, step, 1).await?;
    let place = Place::new(&topic, 0);
    done(step, put(&log, &place, 0..10).await)?;
    done(step, put(&log, &place, 10..20).await)?;
    done(step, log.trim(&place.at(13)).await)?;
    refused(step, log.read(&place.at(12), ReadBound::default()).await, "MS-1414")?;
    refused(step, log.trim(&place.at(21)).await, "MS-1414")?;
    // What is gone does not come back.
    done(step, log.trim(&place.at(5)).await)?;
    done(step, log.close().await)?;
    let log = done(step, fixture.open().await)?;
    refused(step, log.read(&place.at(12), ReadBound::default()).await, "MS-1414")?;
    let found = done(step, all(&log, &place.at(13)).await)?;
    expect(step, found == counted(13, 13..20), || format!("{found:?}"))?;
    let first = done(step, log.offset_at(&place, super::ms(0)).await)?;
    expect(step, first == Some(13), || format!("{first:?} at the beginning of time"))?;
    done(step, log.trim(&place.at(20)).await)?;
    done(step, put(&log, &place, 20..21).await)?;
    let found = done(step, all(&log, &place.at(20)).await)?;
    expect(step, found == counted(20, 20..21), || format!("{found:?}"))
}

pub(super) async fn pins(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "pins";
    let (log, topic) = begin(fixture, step, 1).await?;
    let place = Place::new(&topic, 0);
    done(step, put(&log, &place, 0..10).await)?;
    let (one, other) = (done(step, ReaderName::new("silver.orders"))?, done(step, ReaderName::new("other"))?);
    done(step, log.pin(&one, &place.at(4)).await)?;
    done(step, log.pin(&other, &place.at(2)).await)?;
    done(step, log.pin(&one, &place.at(6)).await)?;
    let pins = done(step, log.pins(&topic).await)?;
    let found: Vec<(&str, u64)> = pins.iter().map(|pin| (pin.reader.as_str(), pin.position.offset)).collect();
    expect(step, found == [("other", 2), ("silver.orders", 6)], || format!("{found:?}"))?;
    done(step, log.unpin(&other, &topic).await)?;
    done(step, log.close().await)?;
    let log = done(step, fixture.open().await)?;
    let pins = done(step, log.pins(&topic).await)?;
    let found: Vec<(&str, u64)> = pins.iter().map(|pin| (pin.reader.as_str(), pin.position.offset)).collect();
    expect(step, found == [("silver.orders", 6)], || format!("after a restart: {found:?}"))
}

pub(super) async fn deleted(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "deleted";
    let (log, topic) = begin(fixture, step, 1).await?;
    let place = Place::new(&topic, 0);
    done(step, put(&log, &place, 0..3).await)?;
    let id = done(step, log.topic(&topic).await)?.id;
    done(step, log.delete(&topic).await)?;
    refused(step, log.delete(&topic).await, "MS-1411")?;
    refused(step, put(&log, &place, 3..4).await, "MS-1411")?;
    refused(step, log.read(&place.at(0), ReadBound::default()).await, "MS-1411")?;
    let made = done(step, log.create(&topic, &TopicOptions::default()).await)?;
    expect(step, made.id != id, || "a topic that was made anew has the id of the former one".into())?;
    refused(step, log.read(&place.at(3), ReadBound::default()).await, "MS-1414")?;
    let found = done(step, all(&log, &place.at(0)).await)?;
    expect(step, found.is_empty(), || format!("{found:?}"))
}

pub(super) async fn closed(fixture: &mut dyn Fixture) -> Result<(), String> {
    let step = "closed";
    let (log, topic) = begin(fixture, step, 1).await?;
    let place = Place::new(&topic, 0);
    done(step, put(&log, &place, 0..3).await)?;
    let end = [place.at(3)];
    let both = futures::future::join(log.wait(&end), async {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        log.close().await
    });
    let (waited, closed) = both.await;
    done(step, closed)?;
    refused(step, waited, "MS-1421")?;
    refused(step, put(&log, &place, 3..4).await, "MS-1421")?;
    refused(step, log.read(&place.at(0), ReadBound::default()).await, "MS-1421")?;
    done(step, log.close().await)
}
