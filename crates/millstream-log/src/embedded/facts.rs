//! What retention goes by of each topic: how long it keeps records, and what its readers have yet to read.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Mutex, PoisonError, RwLock},
};

use super::{files::Files, partition::locked, pins::Pins};
use crate::{LogError, Pin, Place, ReaderName, Retention, TopicName, error::Result};

#[derive(Debug, Default)]
pub(super) struct Facts {
    topics: RwLock<HashMap<TopicName, TopicFacts>>,
    /// Held while pins are written, so that later ones are not replaced by earlier ones. It says whether any may be.
    writing: Mutex<Writing>,
}

/// Whether pins can be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Writing {
    #[default]
    Allowed,
    Ended,
}

#[derive(Debug, Default)]
struct TopicFacts {
    retention: Retention,
    pins: Pins,
}

impl Facts {
    pub(super) fn insert(&self, topic: &TopicName, retention: Retention, pins: Pins) {
        self.change(|topics| topics.insert(topic.clone(), TopicFacts { retention, pins }));
    }

    pub(super) fn remove(&self, topic: &TopicName) {
        self.change(|topics| topics.remove(topic));
    }

    pub(super) fn retention(&self, topic: &TopicName) -> Retention {
        self.of(topic, |facts| facts.retention.clone()).unwrap_or_default()
    }

    pub(super) fn set_retention(&self, topic: &TopicName, retention: Retention) {
        self.change(|topics| topics.entry(topic.clone()).or_default().retention = retention);
    }

    /// The first offset that any reader has yet to read.
    pub(super) fn pinned(&self, place: &Place) -> Option<u64> {
        self.of(&place.topic, |facts| facts.pins.first(place.partition)).flatten()
    }

    /// Sets a pin and gives the former one.
    pub(super) fn pin(
        &self,
        topic: &TopicName,
        reader: &ReaderName,
        partition: u32,
        offset: u64,
    ) -> Option<u64> {
        self.change(|topics| {
            let pins = &mut topics.entry(topic.clone()).or_default().pins;
            let former = pins.get(reader, partition);
            pins.set(reader, partition, offset);
            former
        })
    }

    /// Removes the reader's pins and says whether there were any.
    pub(super) fn unpin(&self, topic: &TopicName, reader: &ReaderName) -> bool {
        self.change(|topics| topics.get_mut(topic).is_some_and(|facts| facts.pins.remove(reader)))
    }

    pub(super) fn pins(&self, topic: &TopicName) -> Vec<Pin> {
        self.of(topic, |facts| facts.pins.all(topic)).unwrap_or_default()
    }

    /// Writes the topic's pins to its folder. Blocks.
    pub(super) fn write_pins(&self, topic: &TopicName, files: &dyn Files, folder: &Path) -> Result<()> {
        let writing = locked(&self.writing);
        if *writing == Writing::Ended {
            return Err(LogError::Closed);
        }
        self.of(topic, |facts| facts.pins.clone()).map_or(Ok(()), |pins| pins.write(files, folder))
    }

    /// Writes no more pins: somebody else may open the log.
    pub(super) fn close(&self) {
        *locked(&self.writing) = Writing::Ended;
    }

    fn of<T>(&self, topic: &TopicName, of: impl FnOnce(&TopicFacts) -> T) -> Option<T> {
        self.topics.read().unwrap_or_else(PoisonError::into_inner).get(topic).map(of)
    }

    fn change<T>(&self, change: impl FnOnce(&mut HashMap<TopicName, TopicFacts>) -> T) -> T {
        change(&mut self.topics.write().unwrap_or_else(PoisonError::into_inner))
    }
}
