//! Whether checks fit the columns that they look at.

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use indexmap::IndexMap;
use millstream_types::ColumnType;

use crate::{Bounds, CheckKind, CheckSpec, Diagnostic, Located, Location, Scalar, codes, words};

/// Reports checks on columns that do not exist, and checks that a column's type cannot have. For tables the columns
/// come from the planned SQL.
#[must_use]
pub fn check_columns(checks: &[CheckSpec], columns: &IndexMap<String, ColumnType>) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    let names: Vec<&str> = columns.keys().map(String::as_str).collect();
    let mut checker = ColumnChecker { names: &names, diagnostics: &mut diagnostics };
    for check in checks {
        checker.check(check, &|name| match columns.get(name) {
            Some(column_type) => Known::Type(column_type),
            None => Known::Absent,
        });
    }
    diagnostics
}

/// What is known of the column with a name.
pub(super) enum Known<'a> {
    Type(&'a ColumnType),
    /// The column exists, but its type is faulty: nothing more can be said.
    Untyped,
    Absent,
}

/// Judges whether checks fit the columns of their contract or table, and collects what is wrong.
pub(super) struct ColumnChecker<'a> {
    pub(super) names: &'a [&'a str],
    pub(super) diagnostics: &'a mut Vec<Diagnostic>,
}

impl ColumnChecker<'_> {
    pub(super) fn check<'t>(&mut self, check: &CheckSpec, lookup: &dyn Fn(&str) -> Known<'t>) {
        let at = check.at;
        match &check.kind {
            CheckKind::NotNull { column } | CheckKind::Completeness { column, .. } => {
                self.column(column, lookup);
            }
            CheckKind::Unique { columns } => {
                for column in columns {
                    self.fits(column, at, lookup, "unique", is_plain, "a number, text, date or timestamp");
                }
            }
            CheckKind::DistinctCount { column, .. } => {
                self.fits(
                    column,
                    at,
                    lookup,
                    "distinct_count",
                    is_plain,
                    "a number, text, date or timestamp",
                );
            }
            CheckKind::Relationship { column, .. } => {
                self.fits(column, at, lookup, "relationship", is_plain, "a number, text, date or timestamp");
            }
            CheckKind::Range { column, bounds } => {
                if let Some(column_type) =
                    self.fits(column, at, lookup, "range", is_ordered, "a number, date or timestamp")
                {
                    self.bounds(column, at, bounds, column_type);
                }
            }
            CheckKind::Length { column, .. } => {
                self.fits(column, at, lookup, "length", has_length, "text or a list");
            }
            CheckKind::OneOf { column, values } => {
                if let Some(column_type) =
                    self.fits(column, at, lookup, "one_of", is_plain, "a number, text, date or timestamp")
                {
                    for value in values {
                        self.value(column, at, value, column_type);
                    }
                }
            }
            CheckKind::Pattern { column, .. } => {
                self.fits(
                    column,
                    at,
                    lookup,
                    "pattern",
                    |column_type| matches!(column_type, ColumnType::String),
                    "text",
                );
            }
            CheckKind::Mean { column, .. } => {
                self.fits(column, at, lookup, "mean", ColumnType::is_numeric, "a number");
            }
            CheckKind::Quantile { column, .. } => {
                self.fits(column, at, lookup, "quantile", ColumnType::is_numeric, "a number");
            }
            CheckKind::Freshness { column: Some(column), .. } => self.time(column, lookup),
            CheckKind::Freshness { column: None, .. }
            | CheckKind::Expression { .. }
            | CheckKind::RowCount { .. } => {}
        }
    }

    /// The column's type, when it exists and has one.
    fn column<'t>(
        &mut self,
        column: &Located<String>,
        lookup: &dyn Fn(&str) -> Known<'t>,
    ) -> Option<&'t ColumnType> {
        match lookup(column) {
            Known::Type(column_type) => Some(column_type),
            Known::Untyped => None,
            Known::Absent => {
                let message = format!("there is no column `{column}`");
                let mut diagnostic = Diagnostic::error(codes::UNKNOWN_COLUMN, message, column.at);
                diagnostic.hint = words::hint(column, self.names.iter().copied());
                self.diagnostics.push(diagnostic);
                None
            }
        }
    }

    fn fits<'t>(
        &mut self,
        column: &Located<String>,
        at: Location,
        lookup: &dyn Fn(&str) -> Known<'t>,
        check: &str,
        fits: impl Fn(&ColumnType) -> bool,
        wanted: &str,
    ) -> Option<&'t ColumnType> {
        let column_type = self.column(column, lookup)?;
        if fits(column_type) {
            return Some(column_type);
        }
        let message = format!("`{check}` cannot judge `{column}`, which is `{column_type}`");
        self.diagnostics.push(
            Diagnostic::error(codes::UNFIT_CHECK, message, at)
                .with_hint(format!("`{check}` needs {wanted}; an `expression` check can test anything")),
        );
        None
    }

    /// The column must have a type that says when something happened.
    pub(super) fn time<'t>(&mut self, column: &Located<String>, lookup: &dyn Fn(&str) -> Known<'t>) {
        if let Some(column_type) = self.column(column, lookup)
            && !matches!(column_type, ColumnType::Date | ColumnType::Timestamp { .. })
        {
            let message = format!("`{column}` is `{column_type}`, not a time");
            self.diagnostics.push(
                Diagnostic::error(codes::WRONG_TIME_COLUMN, message, column.at)
                    .with_hint("name a `timestamp` or `date` column"),
            );
        }
    }

    fn bounds(&mut self, column: &str, at: Location, bounds: &Bounds<Scalar>, column_type: &ColumnType) {
        let min = bounds.min.as_ref().and_then(|min| self.value(column, at, min, column_type));
        let max = bounds.max.as_ref().and_then(|max| self.value(column, at, max, column_type));
        // Numbers were compared when the check was read.
        if let (Some(Some(min)), Some(Some(max))) = (min, max)
            && min > max
        {
            self.diagnostics.push(
                Diagnostic::error(codes::WRONG_BOUNDS, "the lower bound is above the upper bound", at)
                    .with_hint("swap the two"),
            );
        }
    }

    /// Reports a value that the type cannot hold; gives the instant of one that is a time.
    fn value(
        &mut self,
        column: &str,
        at: Location,
        value: &Scalar,
        column_type: &ColumnType,
    ) -> Option<Option<i64>> {
        match value_of(value, column_type) {
            Some(instant) => Some(instant),
            None => {
                let written = match value {
                    Scalar::Bool(value) => value.to_string(),
                    Scalar::Int(value) => value.to_string(),
                    Scalar::Number(text) | Scalar::Text(text) => text.clone(),
                };
                let message = format!("`{written}` is no `{column_type}`, the type of `{column}`");
                let mut diagnostic = Diagnostic::error(codes::UNFIT_VALUE, message, at);
                diagnostic.hint = match column_type {
                    ColumnType::Date => Some("dates are written `2024-01-31`".into()),
                    ColumnType::Timestamp { .. } => {
                        Some("timestamps are written `2024-01-31T12:00:00Z`".into())
                    }
                    _ => None,
                };
                self.diagnostics.push(diagnostic);
                None
            }
        }
    }
}

fn is_plain(column_type: &ColumnType) -> bool {
    !matches!(column_type, ColumnType::List(_) | ColumnType::Struct(_))
}

fn is_ordered(column_type: &ColumnType) -> bool {
    column_type.is_numeric() || matches!(column_type, ColumnType::Date | ColumnType::Timestamp { .. })
}

fn has_length(column_type: &ColumnType) -> bool {
    matches!(column_type, ColumnType::String | ColumnType::List(_))
}

/// `None` when the type cannot hold the value; the inner value is the instant in microseconds of a time.
fn value_of(value: &Scalar, column_type: &ColumnType) -> Option<Option<i64>> {
    let text = match value {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Number(text) | Scalar::Text(text) => text.trim().to_owned(),
    };
    let within = |min: i64, max: i64| text.parse::<i64>().is_ok_and(|value| (min..=max).contains(&value));
    let fits = match column_type {
        ColumnType::Bool => text == "true" || text == "false",
        ColumnType::Int8 => within(i8::MIN.into(), i8::MAX.into()),
        ColumnType::Int16 => within(i16::MIN.into(), i16::MAX.into()),
        ColumnType::Int32 => within(i32::MIN.into(), i32::MAX.into()),
        ColumnType::Int64 => within(i64::MIN, i64::MAX),
        ColumnType::Float32 | ColumnType::Float64 => text.parse::<f64>().is_ok_and(f64::is_finite),
        ColumnType::Decimal { precision, scale } => is_decimal(&text, (*precision).into(), (*scale).into()),
        ColumnType::Date => return date(&text).map(|date| Some(micros(date))),
        ColumnType::Timestamp { .. } => return instant(&text).map(Some),
        ColumnType::String | ColumnType::Binary => true,
        ColumnType::List(_) | ColumnType::Struct(_) => false,
    };
    fits.then_some(None)
}

fn is_decimal(text: &str, precision: usize, scale: usize) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let all_digits =
        digits.bytes().all(|b| b.is_ascii_digit() || b == b'.') && digits.bytes().any(|b| b.is_ascii_digit());
    all_digits && !fraction.contains('.') && fraction.len() <= scale && whole.len() <= precision - scale
}

fn date(text: &str) -> Option<NaiveDateTime> {
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)
}

fn instant(text: &str) -> Option<i64> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_micros());
    }
    let formats = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    let naive = formats.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    naive.or_else(|| date(text)).map(micros)
}

fn micros(time: NaiveDateTime) -> i64 {
    time.and_utc().timestamp_micros()
}
