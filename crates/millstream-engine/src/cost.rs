//! What a step cost, by the prices of the project.

use millstream_project::PricesSpec;
use millstream_state::{Cost, StepFigures};

/// A millionth of the currency is the unit of what is recorded.
const MILLIONTHS: f64 = 1_000_000.0;

const GB: f64 = 1_000_000_000.0;

const HOUR_US: f64 = 3_600_000_000.0;

/// The cost of a step with these figures; `None` where a figure is not known that has a price. Pure.
pub(crate) fn cost(figures: &StepFigures, prices: &PricesSpec) -> Option<Cost> {
    Some(Cost {
        currency: prices.currency.clone(),
        cpu: share(figures.cpu_us, HOUR_US, prices.cpu_hour)?,
        read: share(figures.bytes_read, GB, prices.gb_read)?,
        calls: share(figures.external_calls, 1.0, prices.external_call)?,
        stored_month: share(figures.bytes_written, GB, prices.gb_stored_month),
    })
}

/// The price of `amount` where one `unit` has a price, in millionths, rounded to the nearest.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a price is an estimate of fifteen digits, never negative, and the conversion saturates"
)]
fn share(amount: Option<u64>, unit: f64, price: f64) -> Option<u64> {
    if price == 0.0 {
        return Some(0);
    }
    Some((amount? as f64 / unit * price * MILLIONTHS).round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_without_a_price_need_not_be_known() {
        let prices = PricesSpec {
            currency: "EUR".into(),
            cpu_hour: 0.04,
            gb_stored_month: 0.02,
            gb_read: 0.0,
            external_call: 0.001,
        };
        let figures = StepFigures {
            cpu_us: Some(1_800_000_000),
            bytes_written: Some(500_000_000),
            external_calls: Some(7),
            ..StepFigures::default()
        };
        let known = cost(&figures, &prices);
        let expected =
            Cost { currency: "EUR".into(), cpu: 20_000, read: 0, calls: 7_000, stored_month: Some(10_000) };
        assert_eq!(known.as_ref(), Some(&expected));
        assert_eq!(known.map(|cost| cost.total()), Some(27_000));
        // What a step has written is no part of what it cost.
        let unwritten = StepFigures { bytes_written: None, ..figures.clone() };
        let known = cost(&unwritten, &prices).map(|cost| (cost.total(), cost.stored_month));
        assert_eq!(known, Some((27_000, None)));
        let unknown = StepFigures { cpu_us: None, ..figures };
        assert_eq!(cost(&unknown, &prices), None);
    }
}
