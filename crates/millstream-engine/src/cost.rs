//! What a step cost, by the prices of the project.

use millstream_project::PricesSpec;
use millstream_state::{Cost, StepFigures, StepRecord};

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

/// About what it costs to write so many rows, by what earlier steps of the asset used for each of theirs; `None` where no step that
/// wrote rows was measured. Pure.
pub(crate) fn estimate(steps: &[StepRecord], rows: u64, prices: &PricesSpec) -> Option<Cost> {
    let (mut used, mut rows_used) = ([0_u64; 4], 0_u64);
    for step in steps.iter().filter(|step| step.rows_written > 0) {
        let Some(amounts) = step.figures.as_ref().and_then(amounts) else { continue };
        rows_used = rows_used.saturating_add(step.rows_written);
        used.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum = sum.saturating_add(amount));
    }
    if rows_used == 0 {
        return None;
    }
    let share = |sum: u64| {
        let share = u128::from(sum) * u128::from(rows) / u128::from(rows_used);
        Some(u64::try_from(share).unwrap_or(u64::MAX))
    };
    let [cpu_us, bytes_read, bytes_written, external_calls] = used.map(share);
    let figures = StepFigures { cpu_us, bytes_read, bytes_written, external_calls, ..StepFigures::default() };
    cost(&figures, prices)
}

/// What has a price, of a step of which all of it is known.
fn amounts(figures: &StepFigures) -> Option<[u64; 4]> {
    Some([figures.cpu_us?, figures.bytes_read?, figures.bytes_written?, figures.external_calls?])
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

    #[test]
    fn what_rows_will_cost_is_what_rows_have_cost() {
        let prices = PricesSpec {
            currency: "EUR".into(),
            cpu_hour: 3600.0,
            gb_stored_month: 0.0,
            gb_read: 0.0,
            external_call: 0.0,
        };
        let step = |rows_written: u64, cpu_us: Option<u64>| StepRecord {
            run: "r".to_owned().into(),
            asset: millstream_types::AssetId::new("silver.t"),
            reason: String::new(),
            reason_text: String::new(),
            outcome: millstream_state::StepOutcome::Built,
            rows_written,
            rows_deleted: 0,
            rows_rejected: 0,
            version: None,
            finished: millstream_types::TimestampMicros(0),
            elapsed: std::time::Duration::ZERO,
            figures: Some(StepFigures {
                cpu_us,
                bytes_read: Some(9),
                bytes_written: Some(9),
                external_calls: Some(0),
                ..StepFigures::default()
            }),
        };
        let total = |steps: &[StepRecord], rows| estimate(steps, rows, &prices).map(|cost| cost.total());
        // A thousand rows took a second, which costs one.
        let steps = [step(400, Some(300_000)), step(600, Some(700_000)), step(0, Some(5_000_000))];
        assert_eq!(total(&steps, 1_000), Some(1_000_000));
        assert_eq!(total(&steps, 10), Some(10_000));
        assert_eq!(total(&[], 10), None);
        assert_eq!(total(&[step(0, Some(5))], 10), None);
        assert_eq!(total(&[step(5, None)], 10), None);
    }
}
