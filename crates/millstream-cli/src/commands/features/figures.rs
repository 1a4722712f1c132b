//! `millstream features show --statistics`: what the values of a view's features look like.

use chrono::DateTime;
use millstream_engine::{Engine, ViewStatistics};
use millstream_ml::dataset::{ColumnStatistics, Scalar};

use crate::{
    CliError, Exit, human,
    output::{self, FAINT, STRONG, styled},
    session::Session,
    show::table,
    wire::ViewStatisticsDocument,
};

/// Bars from low to high.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Categories that a line names.
const CATEGORIES_SHOWN: usize = 3;
/// The most characters of a value in a cell.
const VALUE_WIDTH: usize = 14;

pub(super) async fn run(engine: &Engine, view: &str, session: &Session) -> Result<Exit, CliError> {
    let statistics = engine.view_statistics(view).await?;
    if session.settings.json {
        output::print_json(&ViewStatisticsDocument::from(&statistics))?;
    } else {
        output::print(&text(view, &statistics))?;
    }
    Ok(Exit::Success)
}

fn text(view: &str, statistics: &ViewStatistics) -> String {
    let Some(at) = statistics.at.and_then(DateTime::from_timestamp_micros) else {
        return format!("{view} has no events yet.\n");
    };
    let entities = match statistics.entities {
        1 => "1 entity".to_owned(),
        many => format!("{} entities", human::thousands(many)),
    };
    let mut text = format!(
        "{}  {}\n\n",
        styled(STRONG, view),
        styled(FAINT, format_args!("{entities}, as of {}", at.format("%Y-%m-%d %H:%M:%S UTC")))
    );
    let rows: Vec<Vec<String>> =
        statistics.features.iter().map(|(name, figures)| row(name, figures)).collect();
    let header = ["feature", "null", "distinct", "min", "5 %", "median", "95 %", "max", "mean", "values"];
    let right = [false, true, true, true, true, true, true, true, true, false];
    text.push_str(&table::table(&header, &rows, &right));
    text
}

fn row(name: &str, figures: &ColumnStatistics) -> Vec<String> {
    let quantile = |wanted: f64| {
        let found = figures.quantiles.iter().find(|known| (known.quantile - wanted).abs() < 1e-9);
        found.map(|known| value(&known.value)).unwrap_or_default()
    };
    let end = |end: &Option<Scalar>| end.as_ref().map(value).unwrap_or_default();
    let distinct = figures.distinct.map(|distinct| {
        let about = if distinct.exact { "" } else { "~" };
        format!("{about}{}", human::thousands(distinct.count))
    });
    vec![
        name.to_owned(),
        percent(figures.nulls, figures.rows),
        distinct.unwrap_or_default(),
        end(&figures.min),
        quantile(0.05),
        quantile(0.5),
        quantile(0.95),
        end(&figures.max),
        figures.mean.map(|mean| value(&Scalar::Float(mean))).unwrap_or_default(),
        picture(figures),
    ]
}

/// Bars for numbers, the most frequent values for categories.
fn picture(figures: &ColumnStatistics) -> String {
    if !figures.histogram.is_empty() {
        let most = figures.histogram.iter().map(|bin| bin.rows).max().unwrap_or(0).max(1);
        let bar = |rows: u64| {
            let height = (rows * (BARS.len() as u64 - 1)).div_ceil(most);
            usize::try_from(height).ok().and_then(|height| BARS.get(height)).copied().unwrap_or(' ')
        };
        return figures.histogram.iter().map(|bin| bar(bin.rows)).collect();
    }
    let shown = figures.categories.iter().take(CATEGORIES_SHOWN);
    let named = shown.map(|category| format!("{} {}", category.value, percent(category.rows, figures.rows)));
    named.collect::<Vec<_>>().join(", ")
}

fn value(value: &Scalar) -> String {
    match value {
        Scalar::Float(number) if number.abs() >= 0.01 && number.abs() < 1e9 => format!("{number:.2}"),
        other => human::shorten(&other.to_string(), VALUE_WIDTH),
    }
}

#[expect(clippy::cast_precision_loss, reason = "one digit is shown")]
fn percent(part: u64, whole: u64) -> String {
    format!("{:.1} %", part as f64 / whole.max(1) as f64 * 100.0)
}
