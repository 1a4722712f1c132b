//! `millstream features verify`: served values against the lake.

use clap::builder::PossibleValuesParser;
use millstream_engine::{Difference, VerifyReport, VerifyRequest};
use millstream_types::Span;

use crate::{
    CliError, Exit, human,
    output::{self, BAD, FAINT, GOOD, styled},
    project,
    session::Session,
    show::table,
};

/// Compare served values with what training would have seen, and say why they differ
///
/// `millstream serve` keeps a sample of what it answers. Each value is computed again from the lake for the same
/// entity and time. The exit code is 1 when values differ.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// How far back served values are taken
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    since: Span,
    /// At most so many served values, the newest
    #[arg(long, value_name = "VALUES", default_value_t = 1_000_000)]
    limit: u64,
    /// Differences of these causes are expected and no failure
    #[arg(long, value_name = "CAUSE", value_parser = PossibleValuesParser::new(Difference::ALL.map(Difference::word)))]
    allow: Vec<String>,
}

pub(super) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let request = VerifyRequest { since: arguments.since, limit: arguments.limit };
    let report = engine.verify_features(&request).await?;
    if session.settings.json {
        output::print_json(&report)?;
    } else {
        output::print(&told(&report))?;
    }
    let is_expected = |cause: &Difference| arguments.allow.iter().any(|allowed| allowed == cause.word());
    let mut causes = report.features.iter().flat_map(|feature| feature.causes.keys());
    Ok(if causes.all(is_expected) { Exit::Success } else { Exit::Failure })
}

fn told(report: &VerifyReport) -> String {
    if report.values == 0 {
        return "Nothing was served and kept in this time; `millstream serve --sample` sets the share.\n"
            .to_owned();
    }
    let mut rows = Vec::new();
    for feature in &report.features {
        let causes = feature.causes.iter().map(|(cause, values)| format!("{} {values}", cause.word()));
        rows.push(vec![
            feature.feature.clone(),
            human::thousands(feature.values),
            share(feature.equal, feature.values),
            causes.collect::<Vec<_>>().join(", "),
        ]);
    }
    let mut text =
        table::table(&["feature", "values", "equal", "differences"], &rows, &[false, true, true, false]);
    for feature in &report.features {
        for example in &feature.examples {
            let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "null".to_owned());
            text.push_str(&styled(
                FAINT,
                format!(
                    "  {} {}: served {}, the lake gives {} ({})\n",
                    feature.feature,
                    example.entity,
                    value(&example.served),
                    value(&example.computed),
                    example.cause.word(),
                ),
            ));
        }
    }
    let is_equal = report.equal == report.values;
    let mark = if is_equal { styled(GOOD, '✓') } else { styled(BAD, '✗') };
    text.push_str(&format!(
        "{mark} {} of {} equal\n",
        human::thousands(report.equal),
        human::count(report.values, "value")
    ));
    text
}

#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
fn share(equal: u64, values: u64) -> String {
    // Rounded down: 100 % is said only when all are equal.
    let percent = (equal as f64 / values.max(1) as f64 * 10_000.0).floor() / 100.0;
    format!("{percent} %")
}
