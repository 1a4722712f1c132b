//! A continuous table's SQL as steps over its inputs, between the plan that SQL gives and the stages of a pipeline.

use datafusion::{common::DFSchemaRef, logical_expr::Expr};
use millstream_stream::{Distance, JoinKind, Window};
use millstream_types::{Span, TableName};

/// A step with all steps before it, and what is known of its rows.
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// The table whose SQL the step is of.
    pub(super) table: TableName,
    /// The columns of the step's rows, with the names that expressions above it use.
    pub(super) schema: DFSchemaRef,
    /// The column with the event time; `None` where the rows have it no more.
    pub(super) time: Option<usize>,
    /// The window to whose bounds the rows were assigned and by which they are not grouped yet.
    pub(super) assigned: Option<Assigned>,
    /// How rows of a window are told apart, where these are such rows.
    pub(super) grouped: Option<Grouped>,
    pub(super) step: Step,
}

/// Where the bounds of a window are among the columns of rows that are not grouped yet.
#[derive(Clone, Debug)]
pub(super) struct Assigned {
    pub(super) window: Window,
    pub(super) start: Option<usize>,
    pub(super) end: Option<usize>,
}

/// The rows of a window and group.
#[derive(Clone, Debug)]
pub(super) struct Grouped {
    /// The columns that name a row: the group's, and the window's start. `None` for one that the rows have no more.
    pub(super) key: Vec<Option<usize>>,
    /// The window's end, which follows from the others.
    pub(super) end: Option<usize>,
    /// Whether rows that were told may still change.
    pub(super) corrects: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The rows of an input, by its number.
    Input(usize),
    /// The same rows under other names.
    Renamed(Box<Node>),
    /// The rows of a continuous table that others read, as its checks let them pass.
    Result(Box<Node>),
    Filter {
        input: Box<Node>,
        predicate: Expr,
    },
    Project {
        input: Box<Node>,
        exprs: Vec<Expr>,
    },
    Deduplicate {
        input: Box<Node>,
        by: Vec<usize>,
        within: Span,
    },
    /// Aggregates over windows. The result has the keys, the bounds of the window and the aggregates.
    Window {
        input: Box<Node>,
        window: Window,
        keys: Vec<usize>,
        aggregates: Vec<Aggregated>,
        lateness: Span,
    },
    /// Pairs of rows; the result has the columns of the left side, then those of the right side.
    Join {
        left: Box<Node>,
        right: Box<Node>,
        kind: JoinKind,
        on: Vec<(usize, usize)>,
        from: Distance,
        until: Distance,
    },
    /// Each row with the row of a lake table that has its key; the result has the columns of the input, then those of the table.
    Lookup {
        input: Box<Node>,
        table: LakeTable,
        /// Expressions over the input, each equal to its partner over the table.
        on: Vec<(Expr, Expr)>,
        /// The columns of the table that the result has.
        columns: Vec<usize>,
        kind: JoinKind,
    },
}

/// A table of the lake whose rows are looked up.
#[derive(Clone, Debug)]
pub(super) struct LakeTable {
    pub(super) name: TableName,
    /// All of its columns, with the names that expressions use.
    pub(super) schema: DFSchemaRef,
}

/// An aggregate of a window.
#[derive(Clone, Debug)]
pub(super) struct Aggregated {
    pub(super) name: String,
    pub(super) function: AggregateName,
    /// The column of the window's input that is aggregated; `None` for the number of rows.
    pub(super) column: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AggregateName {
    Count,
    Sum,
    Average,
    Min,
    Max,
    First,
    Last,
}

impl Node {
    /// The number of columns.
    pub(super) fn width(&self) -> usize {
        self.schema.fields().len()
    }

    /// The name of the column with the event time.
    pub(super) fn time_name(&self) -> Option<&str> {
        self.time.and_then(|at| self.schema.fields().get(at)).map(|field| field.name().as_str())
    }
}
