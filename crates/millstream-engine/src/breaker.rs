//! The breakers of streaming sources. While one is open, events are still taken in and kept in the log, and neither the landing nor
//! anybody who follows the source goes on: they would build on what the contract keeps out. It closes when the source is defined
//! otherwise, or when a person says so; what came before does not count any more then.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use millstream_project::SourceSpec;
use millstream_quality::{Contract, Tally, Verdict};
use millstream_state::{BreakerRecord, State};
use millstream_types::{Percent, SourceName, Span, TableName, TimestampMicros};

use crate::{
    Clock, Engine, EngineError, StepOutcome, assets::source::landing::LandingAttempt, audit, engine::World,
};

/// Over how long the share is taken where the contract says nothing.
const WINDOW: Span = Span::from_ms(300_000);

/// The share is taken over this many rows at most, the newest ones: a busy source is not judged by what was five minutes ago.
const WINDOW_ROWS_MAX: u64 = 10_000;

/// How often who waits for a breaker asks whether somebody closed it.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The breaker of one source, as who follows the log asks it.
pub(crate) struct StreamBreaker {
    source: SourceName,
    definition: String,
    halt_above: Percent,
    window: Span,
    state: Arc<State>,
    clock: Arc<dyn Clock>,
    seen: Mutex<Seen>,
}

/// What was judged lately.
#[derive(Default)]
struct Seen {
    is_open: bool,
    /// Events that were appended up to here do not count.
    forgiven: Option<TimestampMicros>,
    /// The offset of each partition before which all was counted.
    counted: Vec<u64>,
    window: VecDeque<(TimestampMicros, Tally)>,
}

/// Events that were judged together.
pub(crate) struct JudgedEvents<'a> {
    pub partition: u32,
    pub from: u64,
    pub end: u64,
    pub appended_at: TimestampMicros,
    pub tally: &'a Tally,
    pub contract: &'a Contract,
}

impl StreamBreaker {
    /// The breaker of a source; `None` where its contract has none.
    pub(crate) async fn load(world: &World, source: &SourceSpec) -> Result<Option<Self>, EngineError> {
        let Some(halt_above) = source.contract.halt_above else { return Ok(None) };
        let breaker = Self {
            source: source.name.clone(),
            definition: definition(world, &source.name),
            halt_above,
            window: source.contract.halt_window.unwrap_or(WINDOW),
            state: world.state.clone(),
            clock: world.options.clock.clone(),
            seen: Mutex::default(),
        };
        breaker.look().await?;
        Ok(Some(breaker))
    }

    pub(crate) fn is_open(&self) -> bool {
        self.seen().is_open
    }

    /// Waits while the breaker is open.
    pub(crate) async fn closed(&self) -> Result<(), EngineError> {
        while self.is_open() {
            tokio::time::sleep(LOOK_EVERY).await;
            self.look().await?;
        }
        Ok(())
    }

    /// Counts events, each once however often they are read, and says whether the breaker is open now.
    pub(crate) async fn count(&self, events: JudgedEvents<'_>) -> Result<bool, EngineError> {
        let Some(opened) = self.judged(&events) else { return Ok(self.is_open()) };
        tracing::error!(
            source = %self.source,
            rejected = opened.rejected,
            rows = opened.rows,
            "a breaker opened: {}; events are kept in the log until the contract is another one or \
             `millstream source resume {}`",
            opened.examples,
            self.source
        );
        self.state.open_breaker(&opened).await?;
        self.seen().is_open = true;
        Ok(true)
    }

    /// Takes in what is recorded of the breaker.
    async fn look(&self) -> Result<(), EngineError> {
        let known = self.state.breaker(&self.source).await?;
        let mut seen = self.seen();
        let was_open = seen.is_open;
        seen.is_open = known.as_ref().is_some_and(|known| known.is_open(&self.definition));
        seen.forgiven = known.and_then(|known| known.resumed);
        if was_open && !seen.is_open {
            seen.window.clear();
        }
        Ok(())
    }

    /// Takes events into the window; what is to be recorded where the share is too large.
    fn judged(&self, events: &JudgedEvents<'_>) -> Option<BreakerRecord> {
        let mut seen = self.seen();
        let at = usize::try_from(events.partition).unwrap_or(usize::MAX);
        if seen.counted.len() <= at {
            seen.counted.resize(at.saturating_add(1), 0);
        }
        let counted = seen.counted.get_mut(at)?;
        let is_known = events.from < *counted;
        *counted = (*counted).max(events.end);
        if is_known || seen.is_open || seen.forgiven >= Some(events.appended_at) {
            return None;
        }
        seen.window.push_back((events.appended_at, events.tally.clone()));
        let oldest = events
            .appended_at
            .0
            .saturating_sub(i64::try_from(self.window.ms()).unwrap_or(i64::MAX).saturating_mul(1_000));
        seen.window.retain(|(at, _)| at.0 > oldest);
        let mut rows: u64 = seen.window.iter().map(|(_, tally)| tally.rows).sum();
        while let Some((_, first)) = seen.window.front()
            && rows.saturating_sub(first.rows) >= WINDOW_ROWS_MAX
        {
            rows = rows.saturating_sub(first.rows);
            seen.window.pop_front();
        }
        let mut tally = Tally::default();
        seen.window.iter().for_each(|(_, part)| tally.merge(part));
        opened(&self.source, &self.definition, self.halt_above, &tally, events.contract, self.clock.now())
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is to be recorded of rows of which too many were rejected; `None` where the breaker stays closed. Pure.
fn opened(
    source: &SourceName,
    definition: &str,
    halt_above: Percent,
    tally: &Tally,
    contract: &Contract,
    now: TimestampMicros,
) -> Option<BreakerRecord> {
    let counts = tally.counts(contract);
    let verdict = Verdict::of(tally, &[], Some(halt_above));
    let Verdict::BreakerOpen { rejected, rows, halt_above } = &verdict else { return None };
    Some(BreakerRecord {
        source: source.clone(),
        definition: definition.to_owned(),
        opened: now,
        rows: *rows,
        rejected: *rejected,
        halt_above: halt_above.to_string(),
        examples: audit::stopped(&verdict, &counts, tally.malformed),
        resumed: None,
    })
}

/// What a breaker of the source is open for: another definition closes it.
fn definition(world: &World, source: &SourceName) -> String {
    let facts = world.project.graph.get(&TableName::bronze(source).asset_id());
    facts.map(|facts| facts.fingerprint.to_string()).unwrap_or_default()
}

/// What a landing has to know of the breaker of its source.
pub(crate) enum LandingBreaker {
    /// The source has none of its own: a landing that rejects too much is halted, and the next one is judged by itself.
    None,
    Closed {
        /// Events that came up to here do not count.
        forgiven: Option<TimestampMicros>,
    },
    Open(BreakerRecord),
}

impl LandingBreaker {
    pub(crate) async fn of(world: &World, source: &SourceSpec) -> Result<Self, EngineError> {
        if world.intake(&source.name).is_none() || source.contract.halt_above.is_none() {
            return Ok(Self::None);
        }
        let known = world.state.breaker(&source.name).await?;
        Ok(match known {
            Some(known) if known.is_open(&definition(world, &source.name)) => Self::Open(known),
            known => Self::Closed { forgiven: known.and_then(|known| known.resumed) },
        })
    }

    /// Why nothing lands, where the breaker is open.
    pub(crate) fn halted(&self) -> Option<StepOutcome> {
        let Self::Open(record) = self else { return None };
        Some(StepOutcome::Halted {
            reason: format!("the breaker is open: {}", record.examples),
            hint: Some(format!(
                "events are kept in the log: correct the contract, or let them land with `millstream source resume {}`",
                record.source
            )),
        })
    }

    /// The share that a landing whose oldest event came at this instant may reject; `None` for any.
    pub(crate) fn halt_above(&self, source: &SourceSpec, oldest: Option<TimestampMicros>) -> Option<Percent> {
        match self {
            Self::Closed { forgiven: Some(forgiven) } if oldest.is_none_or(|oldest| oldest <= *forgiven) => {
                None
            }
            _ => source.contract.halt_above,
        }
    }

    /// Records that a landing opened the breaker, if its rows do.
    pub(crate) async fn open_for(
        &self,
        attempt: &LandingAttempt<'_>,
        tally: &Tally,
        contract: &Contract,
        halt_above: Option<Percent>,
    ) -> Result<(), EngineError> {
        let (Self::Closed { .. }, Some(halt_above)) = (self, halt_above) else { return Ok(()) };
        let (world, source) = (attempt.world(), attempt.source);
        let definition = definition(world, &source.name);
        let now = world.options.clock.now();
        if let Some(record) = opened(&source.name, &definition, halt_above, tally, contract, now) {
            world.state.open_breaker(&record).await?;
        }
        Ok(())
    }
}

impl Engine {
    /// Closes the breaker of a streaming source, so that its events land and are followed again; whether it was open.
    ///
    /// # Errors
    ///
    /// There is no such source, or it takes no events in.
    pub fn resume_source<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let source = world.project.source(table).ok_or_else(|| world.project.unknown_table(table))?;
            if world.intake(&source.name).is_none() {
                return Err(EngineError::Refused {
                    table: table.clone(),
                    message: "takes no events in, so that it has no breaker that stays open".to_owned(),
                    hint: format!("run it again: `millstream run {table}`"),
                });
            }
            Ok(world.state.close_breaker(&source.name, world.options.clock.now()).await?)
        })
    }

    /// The breakers that are open for sources as they are defined now.
    pub fn open_breakers(&self) -> BoxFuture<'_, Result<Vec<BreakerRecord>, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let mut open = world.state.open_breakers().await?;
            open.retain(|breaker| breaker.is_open(&definition(world, &breaker.source)));
            Ok(open)
        })
    }
}
