//! Checks, the same for sources and tables.

use millstream_types::{CheckId, Percent, Severity, Span, TableName};

use crate::{Located, Location};

/// One test on rows or on a table.
#[derive(Clone, Debug)]
pub struct CheckSpec {
    /// The id of the check, unique inside its table: its `name`, or else made from kind and columns (`range(amount)`).
    pub id: CheckId,
    pub severity: Severity,
    pub kind: CheckKind,
    pub at: Location,
}

/// What a check tests. Row checks accept null unless they are `NotNull` (SQL's rule for constraints).
#[derive(Clone, Debug)]
pub enum CheckKind {
    // Row checks: each row passes or fails.
    NotNull {
        column: Located<String>,
    },
    /// No two rows of the whole table agree in all these columns; rows with a null in one never agree.
    Unique {
        columns: Vec<Located<String>>,
    },
    Range {
        column: Located<String>,
        bounds: Bounds<Scalar>,
    },
    /// The length of a string in characters, or of a list in elements.
    Length {
        column: Located<String>,
        bounds: Bounds<u64>,
    },
    OneOf {
        column: Located<String>,
        values: Vec<Scalar>,
    },
    Pattern {
        column: Located<String>,
        pattern: Pattern,
    },
    /// The value occurs in a column of another table.
    Relationship {
        column: Located<String>,
        to_table: Located<TableName>,
        to_column: String,
    },
    /// A SQL condition over the row; false fails, null passes.
    Expression {
        sql: Located<String>,
    },

    // Table checks: one verdict for the version that is about to become visible.
    RowCount {
        bounds: Bounds<u64>,
        change_max: Option<Percent>,
    },
    /// The age of the newest value of `column` at the time of the run.
    Freshness {
        column: Option<Located<String>>,
        age_max: Span,
    },
    /// The share of values that are not null.
    Completeness {
        column: Located<String>,
        min: Percent,
    },
    DistinctCount {
        column: Located<String>,
        bounds: Bounds<u64>,
    },
    Mean {
        column: Located<String>,
        bounds: Bounds<f64>,
    },
    /// Bounds of a quantile; `quantile` is between 0 and 1.
    Quantile {
        column: Located<String>,
        quantile: f64,
        bounds: Bounds<f64>,
    },
}

impl CheckKind {
    /// Whether the check judges single rows (and can quarantine them) rather than the table.
    #[must_use]
    pub fn is_row_check(&self) -> bool {
        match self {
            Self::NotNull { .. }
            | Self::Unique { .. }
            | Self::Range { .. }
            | Self::Length { .. }
            | Self::OneOf { .. }
            | Self::Pattern { .. }
            | Self::Relationship { .. }
            | Self::Expression { .. } => true,
            Self::RowCount { .. }
            | Self::Freshness { .. }
            | Self::Completeness { .. }
            | Self::DistinctCount { .. }
            | Self::Mean { .. }
            | Self::Quantile { .. } => false,
        }
    }
}

/// Inclusive bounds; at least one is given.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds<T> {
    pub min: Option<T>,
    pub max: Option<T>,
}

/// A value in YAML, compared after coercion to the column's type.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar {
    Bool(bool),
    Int(i64),
    /// A number with a fraction; the text as written, so that decimals stay exact.
    Number(String),
    Text(String),
}

/// What a text must look like.
#[derive(Clone, Debug)]
pub enum Pattern {
    Named(NamedPattern),
    /// A regular expression (syntax of the `regex` crate) that must match the whole text.
    Regex(String),
}

/// Patterns that have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedPattern {
    Email,
    Uuid,
    Url,
    IsoDate,
    Ipv4,
    Ipv6,
    Json,
}
