//! What is recorded, and the promises about it.

use std::collections::{BTreeMap, BTreeSet};

use millstream_schedule::{Answer, Decision, Ending, RecordedAsset, SkipReason, Trigger};
use millstream_types::{AssetId, Span, TimestampMicros};

use crate::harness::named;

type Key = (AssetId, Trigger);

/// The store that outlives the process, with an account of each trigger that is kept apart from it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) recorded: BTreeMap<AssetId, RecordedAsset>,
    accounts: BTreeMap<Key, Account>,
    pub(super) answered: u64,
    /// Triggers that are watched anew in this call, whose events that wait have to be noted again.
    to_note: BTreeSet<Key>,
    /// The assets whose steps were started and postponed.
    owed: BTreeSet<AssetId>,
    /// The latest instant that the scheduler was told. What was due then is due when the clock goes back, too.
    latest: Option<TimestampMicros>,
}

#[derive(Clone, Debug)]
struct Account {
    answered: TimestampMicros,
    /// Events that wait for an answer.
    noted: BTreeSet<TimestampMicros>,
    /// The first tick after `answered`.
    next_tick: Option<TimestampMicros>,
}

impl Ledger {
    /// Records the decisions of one call that was made at `now`.
    pub(super) fn record(&mut self, decisions: &[Decision], now: TimestampMicros) {
        self.latest = self.latest.max(Some(now));
        for decision in decisions {
            self.check(decision, self.latest.unwrap());
            for asset in named(decision) {
                let recorded =
                    self.recorded.entry(asset.clone()).or_insert_with(|| RecordedAsset::new(asset.clone()));
                recorded.apply(decision);
            }
        }
        for asset in &self.owed {
            assert!(self.recorded[asset].running.is_some(), "the step that `{asset}` is owed was forgotten");
        }
        for (key, account) in &self.accounts {
            let recorded =
                self.recorded[&key.0].triggers.iter().find(|found| found.trigger == key.1).unwrap();
            assert_eq!(recorded.answered, account.answered, "{key:?}");
            let waits = recorded.noted.is_some_and(|noted| noted > recorded.answered);
            assert_eq!(waits, !account.noted.is_empty(), "an event is not as it is recorded: {key:?}");
        }
        assert!(self.to_note.is_empty(), "events were lost: {:?}", self.to_note);
    }

    pub(super) fn ended(&mut self, asset: &AssetId, ending: Ending, took: Span) {
        self.recorded.get_mut(asset).unwrap().ended(ending, took);
    }

    /// The triggers that have a tick or an event up to `now` without an answer.
    pub(super) fn waiting(&self, now: TimestampMicros) -> BTreeSet<Key> {
        let waits = |account: &Account| {
            account.next_tick.is_some_and(|tick| tick <= now) || !account.noted.is_empty()
        };
        self.accounts.iter().filter(|(_, account)| waits(account)).map(|(key, _)| key.clone()).collect()
    }

    fn check(&mut self, decision: &Decision, now: TimestampMicros) {
        match decision {
            Decision::Watch { asset, trigger, from } => {
                let (key, account) = ((asset.clone(), trigger.clone()), Account::new(trigger, *from));
                let before = self.accounts.insert(key.clone(), account);
                if before.is_some_and(|before| !before.noted.is_empty()) {
                    self.to_note.insert(key);
                }
            }
            Decision::Unwatch { asset, trigger } => {
                let account = self.accounts.remove(&(asset.clone(), trigger.clone())).unwrap();
                assert!(account.noted.is_empty(), "an event was lost with its trigger: {decision:?}");
            }
            Decision::Noted { asset, trigger, at } => {
                let account = self.accounts.get_mut(&(asset.clone(), trigger.clone())).unwrap();
                assert!(*at > account.answered, "an event lies in what is answered: {decision:?}");
                account.noted.insert(*at);
                self.to_note.remove(&(asset.clone(), trigger.clone()));
            }
            Decision::Start(start) => {
                for step in &start.steps {
                    self.owed.remove(&step.asset);
                    self.answer(&step.asset, &step.answers, now);
                }
            }
            Decision::Skip { asset, answers, because } => {
                let is_paid = [SkipReason::UpToDate, SkipReason::InterruptedAgain].contains(because)
                    || matches!(because, SkipReason::UpstreamFailed { .. });
                if is_paid {
                    self.owed.remove(asset);
                }
                self.answer(asset, answers, now);
            }
            Decision::Postponed { asset } => {
                self.owed.insert(asset.clone());
            }
            Decision::NotNow { .. }
            | Decision::Look { .. }
            | Decision::SetAside { .. }
            | Decision::Resume { .. }
            | Decision::CountAnew { .. } => {}
        }
    }

    fn answer(&mut self, asset: &AssetId, answers: &[Answer], now: TimestampMicros) {
        for answer in answers {
            self.answered += 1;
            let account = self.accounts.get_mut(&(asset.clone(), answer.trigger.clone())).unwrap();
            assert_eq!(answer.after, account.answered, "a gap or an overlap: {asset} {answer:?}");
            assert!(answer.until > answer.after, "an empty answer: {asset} {answer:?}");
            if answer.trigger.is_timed() {
                assert!(answer.until <= now, "answered before it was due: {asset} {answer:?}");
                assert!(account.next_tick.unwrap() <= answer.until, "no tick in it: {asset} {answer:?}");
            }
            let noted = account.noted.split_off(&TimestampMicros(answer.until.0 + 1));
            *account = Account { noted, ..Account::new(&answer.trigger, answer.until) };
        }
    }
}

impl Account {
    fn new(trigger: &Trigger, answered: TimestampMicros) -> Self {
        let next_tick = if trigger.is_timed() { trigger.next_after(answered) } else { None };
        Self { answered, noted: BTreeSet::new(), next_tick }
    }
}
