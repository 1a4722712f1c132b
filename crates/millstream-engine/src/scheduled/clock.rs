//! A clock that was set back: told once, in the log and among the decisions.

use millstream_schedule::CLOCK_BACK_MAX;
use millstream_state::{DecisionKind, LoggedDecision};
use millstream_types::{AssetId, Span, TimestampMicros};

use super::{LEASED, tenure::Tenure};

/// A clock is set right by less than this all the time, which is not worth a word.
const TOLD_MIN: Span = Span::from_ms(1_000);

impl Tenure {
    /// What is to be told of the clock after a call of the scheduler at `now`.
    pub(super) fn told_of_clock(&mut self, now: TimestampMicros) -> Option<LoggedDecision> {
        let back = self.scheduler.clock_back().filter(|back| *back >= TOLD_MIN);
        let was_told = std::mem::replace(&mut self.is_clock_back, back.is_some());
        let back = back.filter(|_| !was_told)?;
        let because = because(back);
        tracing::warn!(because, "the clock was set back");
        self.logged += 1;
        let (asset, kind) = (AssetId::new(LEASED), DecisionKind::Held);
        Some(LoggedDecision { number: self.logged, at: now, asset, kind, because })
    }
}

fn because(back: Span) -> String {
    let seconds = Span::from_ms(back.ms() / 1_000 * 1_000);
    if back > CLOCK_BACK_MAX {
        format!("the clock went back by {seconds}: it was wrong before, and ticks count from where it is now")
    } else {
        format!("the clock went back by {seconds}: no tick comes until it is where it was")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_far_ahead_is_told_in_other_words() {
        assert!(because(Span::from_ms(90_500)).starts_with("the clock went back by 90s: no tick"));
        assert!(because(Span::from_ms(7_200_000)).starts_with("the clock went back by 2h: it was wrong"));
    }
}
