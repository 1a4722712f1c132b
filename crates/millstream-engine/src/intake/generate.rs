//! Sources that make their events themselves: at the rate that they are given, going on where they stopped.
//!
//! The event of a partition's offset is a function of seed, offset and partition, so that nothing besides the log says how far a
//! source has come: event `offset * partitions + partition`. A rate is kept without drift, since what is due is counted from one
//! instant on. What could not be made in time is left out beyond a second: when the log is over its bound, when the process was
//! away, and when the machine is too slow; then counting begins anew.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_connector::{EventShape, GeneratedEvents, IntakeKind};
use millstream_demo::ShopEvents;
use millstream_log::{Append, Message, Place};
use millstream_types::{SourceName, TimestampMicros};

use super::{Door, IntakeError, IntakeFailure, SourceIntake};
use crate::Engine;

/// How long after one turn the next one comes, at most and at least.
const TURN_MAX: Duration = Duration::from_millis(500);
const TURN_MIN: Duration = Duration::from_millis(20);

/// The most events of one append.
const BATCH_MAX: u64 = 10_000;

/// How much may be made up for, in microseconds.
const BEHIND_MAX_US: i64 = 1_000_000;

const SECOND_US: f64 = 1e6;

/// The sources that make their events, and how far each has come.
#[derive(Debug, Default)]
pub struct Generators {
    generators: BTreeMap<SourceName, Generator>,
}

/// One source at work.
#[derive(Debug)]
struct Generator {
    made_by: GeneratedEvents,
    events: ShopEvents,
    intake: Arc<SourceIntake>,
    pace: Pace,
    /// The next event of each partition, which is the offset that it will have.
    next: Vec<u64>,
    /// The partition that gets the next event.
    turn: usize,
    /// The fault that was told last, until events are taken again.
    told: Option<String>,
}

/// How many events are due, counted from an instant on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    per_second: f64,
    since: TimestampMicros,
    made: u64,
}

impl Generators {
    /// Makes the events that are due in the project as it is now, and gives how long to wait before the next turn. What fails is
    /// told in the log, and tried again.
    pub fn turn<'a>(&'a mut self, engine: &'a Engine) -> BoxFuture<'a, Duration> {
        Box::pin(async move {
            let mut wanted = BTreeMap::new();
            for (name, config) in &engine.project().connectors {
                if let Some(IntakeKind::Generate(made_by)) = config.intake().map(|intake| &intake.what) {
                    wanted.insert(name.clone(), *made_by);
                }
            }
            self.generators.retain(|name, generator| wanted.get(name) == Some(&generator.made_by));
            let mut wait = TURN_MAX;
            for (name, made_by) in wanted {
                match self.turn_of(engine, &name, made_by).await {
                    Ok(soon) => wait = wait.min(soon),
                    Err(error) => self.failed(engine, &name, &error),
                }
            }
            wait.max(TURN_MIN)
        })
    }

    async fn turn_of(
        &mut self,
        engine: &Engine,
        name: &SourceName,
        made_by: GeneratedEvents,
    ) -> Result<Duration, IntakeError> {
        let now = engine.world().options.clock.now();
        // The source's handle is that of the project as it is now, whose bounds may be others.
        let intake = engine.intake(name.as_str(), Door::Generator).await?;
        if !self.generators.contains_key(name) {
            self.generators.insert(name.clone(), Generator::begin(made_by, intake.clone(), now).await?);
        }
        let Some(generator) = self.generators.get_mut(name) else { return Ok(TURN_MAX) };
        generator.intake = intake;
        generator.make(now).await?;
        if generator.told.take().is_some() {
            tracing::info!(source = %name, "events are made again");
        }
        Ok(generator.pace.next(engine.world().options.clock.now()))
    }

    fn failed(&mut self, engine: &Engine, name: &SourceName, error: &IntakeError) {
        let told = crate::error::told(error);
        let Some(generator) = self.generators.get_mut(name) else {
            tracing::debug!(source = %name, code = error.code(), error = told, "no events are made yet");
            return;
        };
        // What was not made while there was no room is left out.
        generator.pace.begin(engine.world().options.clock.now());
        if generator.told.as_ref() == Some(&told) {
            return;
        }
        match error.failure() {
            IntakeFailure::Full => {
                tracing::warn!(source = %name, code = error.code(), error = told, "no events are made until there is room")
            }
            _ => {
                tracing::warn!(source = %name, code = error.code(), error = told, "no events are made; it is tried again")
            }
        }
        generator.told = Some(told);
    }
}

impl Generator {
    async fn begin(
        made_by: GeneratedEvents,
        intake: Arc<SourceIntake>,
        now: TimestampMicros,
    ) -> Result<Self, IntakeError> {
        let EventShape::Shop = made_by.shape;
        let pace = Pace { per_second: made_by.per_second, since: now, made: 0 };
        let mut generator = Self {
            made_by,
            events: ShopEvents::new(made_by.seed),
            intake,
            pace,
            next: Vec::new(),
            turn: 0,
            told: None,
        };
        generator.look().await?;
        Ok(generator)
    }

    /// Finds out how far the source has come.
    async fn look(&mut self) -> Result<(), IntakeError> {
        let failed = |source| IntakeError::Log { name: self.intake.name.to_string(), source };
        let topic = self.intake.log.topic(&self.intake.topic).await.map_err(failed)?;
        self.next = topic.partitions.iter().map(|partition| partition.offsets.end).collect();
        let behind = self.next.iter().enumerate().min_by_key(|(_, next)| **next);
        self.turn = behind.map_or(0, |(partition, _)| partition);
        Ok(())
    }

    /// Appends what is due.
    async fn make(&mut self, now: TimestampMicros) -> Result<(), IntakeError> {
        self.pace.skip_to(now);
        let mut due = self.pace.due(now);
        while due > 0 {
            let count = due.min(BATCH_MAX);
            self.append(count, now).await?;
            self.pace.made += count;
            due -= count;
        }
        Ok(())
    }

    /// Appends so many events, shared out among the partitions.
    async fn append(&mut self, count: u64, now: TimestampMicros) -> Result<(), IntakeError> {
        let partitions = self.next.len().max(1);
        let mut batches = vec![Vec::new(); partitions];
        let mut next = self.next.clone();
        let mut turn = self.turn;
        for _ in 0..count {
            let (Some(batch), Some(offset)) = (batches.get_mut(turn), next.get_mut(turn)) else { break };
            let number = offset.saturating_mul(partitions as u64).saturating_add(turn as u64);
            let mut event = Vec::with_capacity(256);
            self.events.write(number, now.as_ms(), &mut event);
            batch.push(Message { value: Some(Bytes::from(event)), ..Message::default() });
            *offset += 1;
            turn = (turn + 1) % partitions;
        }
        for (partition, batch) in (0..).zip(batches).filter(|(_, batch)| !batch.is_empty()) {
            let append = Append::messages(&Place::new(&self.intake.topic, partition), batch);
            if let Err(source) = self.intake.log.append(append).await {
                // Nobody knows which of them are there; the log does.
                let name = self.intake.name.to_string();
                self.look().await?;
                return Err(IntakeError::Log { name, source });
            }
        }
        (self.next, self.turn) = (next, turn);
        Ok(())
    }
}

impl Pace {
    fn begin(&mut self, now: TimestampMicros) {
        (self.since, self.made) = (now, 0);
    }

    /// The events that ought to have been made by `now` and were not.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a count of events since the process began, far below 2^52"
    )]
    fn due(&self, now: TimestampMicros) -> u64 {
        let elapsed = now.0.saturating_sub(self.since.0).max(0);
        ((elapsed as f64 / SECOND_US * self.per_second) as u64).saturating_sub(self.made)
    }

    /// Leaves out what is further behind than may be made up for, and begins anew after the clock was set back.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of events since the process began, far below 2^52"
    )]
    fn skip_to(&mut self, now: TimestampMicros) {
        let made_us = self.made as f64 / self.per_second * SECOND_US;
        let elapsed = now.0.saturating_sub(self.since.0);
        if elapsed < 0
            || elapsed as f64 - made_us > (BEHIND_MAX_US as f64).max(2.0 * SECOND_US / self.per_second)
        {
            self.begin(now);
        }
    }

    /// How long it takes until the next event is due.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of events since the process began, far below 2^52"
    )]
    fn next(&self, now: TimestampMicros) -> Duration {
        let at = (self.made + 1) as f64 / self.per_second;
        let elapsed = now.0.saturating_sub(self.since.0) as f64 / SECOND_US;
        Duration::try_from_secs_f64(at - elapsed).unwrap_or(TURN_MIN)
    }
}
