//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "MS-0921",
        "An aggregation that cannot be computed",
        "The aggregation has no meaning for the column's type, needs a column, or has a parameter out of range.",
    ),
    (
        "MS-0922",
        "A view that does not fit together",
        "A feature names a column that its view does not have, or its type or default is not that of its values.",
    ),
    (
        "MS-0923",
        "Events in another shape",
        "Rows of events have other columns, types or lengths than their view describes.",
    ),
    (
        "MS-0924",
        "Too many rows at once",
        "One call takes fewer than 2^32 rows. Larger inputs are split by entity.",
    ),
    (
        "MS-0925",
        "Stored state that cannot be read",
        "Stored bytes are damaged, of a later version, or of another aggregation. Materialise the view again.",
    ),
    (
        "MS-0926",
        "A computation that did not finish",
        "A thread stopped, or Arrow refused an operation. This is a fault of Millstream, please report it.",
    ),
    (
        "MS-0931",
        "An encoding that cannot be",
        "A parameter of an encoding is out of range, or a step that gives several columns is not the last.",
    ),
    (
        "MS-0932",
        "An encoding for another type",
        "The encoding cannot take a column of this type, or was fitted on a column of another type.",
    ),
    (
        "MS-0933",
        "An encoding without a target",
        "A target encoding needs a column of numbers or booleans to average.",
    ),
    (
        "MS-0934",
        "A fitted encoding that cannot be read",
        "It was written by a later version of Millstream, or is damaged. Build the dataset again.",
    ),
    (
        "MS-0951",
        "Key columns that do not match",
        "Labels and view must bring a column for each key column of the entity, at least one.",
    ),
    ("MS-0952", "A key of a nested type", "Keys are texts, numbers, booleans, dates or times."),
    (
        "MS-0953",
        "Keys of different types",
        "A key column has another type in the labels, or in the events, than in the view's definition. Cast one of them.",
    ),
    (
        "MS-0954",
        "A time or sequence of a wrong type",
        "Event times, known times, label times and cut-offs are timestamps in microseconds, a sequence is an int64.",
    ),
    ("MS-0955", "Columns of different lengths", "The columns of one call have different numbers of rows."),
    (
        "MS-0956",
        "No known time to cut off at",
        "The labels ask for what was known at a time, but the join was made without known times.",
    ),
    (
        "MS-0957",
        "Too many rows of a view at once",
        "One join takes fewer than 2^32 - 1 rows of a view. Larger views are joined part by part.",
    ),
    (
        "MS-0958",
        "A join broke its promise",
        "A label would have been lost, doubled, or shown its future; the join stopped instead. This is a fault of Millstream, please report it.",
    ),
    ("MS-0959", "A join could not be computed", "Arrow refused an operation; the cause says which."),
    (
        "MS-0941",
        "A key that does not fit",
        "Key columns are missing, or their type or a value does not fit the entity's key; the message names both types.",
    ),
    (
        "MS-0942",
        "Too many pushed events",
        "An entity has more pushed events than are kept until the lake takes them up. Materialise the view.",
    ),
];
