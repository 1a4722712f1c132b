//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "MS-1330",
        "A column that a stream's stage cannot use",
        "A stage names a column that its input does not have, of a type that it cannot use, or gives two columns one name.",
    ),
    (
        "MS-1331",
        "A stage of a stream that cannot be",
        "A length or a bound has no meaning, or stages are put together in a way that gives no exact result; the message says which.",
    ),
    (
        "MS-1332",
        "An aggregation that a window cannot compute",
        "The aggregation has no meaning for the column's type, or has a parameter out of range.",
    ),
    (
        "MS-1333",
        "Rows in another shape than the stream's",
        "Rows came with other columns or types than the stage declares. Cast or rename them before.",
    ),
    (
        "MS-1334",
        "Rows that a pipeline does not take",
        "They are for a source or a partition that is not there or has ended, or came before the outputs of the former ones were taken. This is a fault of Millstream, please report it.",
    ),
    ("MS-1335", "An expression of a stream that failed", "The cause says what it could not compute."),
    (
        "MS-1336",
        "Stored state of a stream that cannot be read",
        "It is damaged, or was written by another version or another definition of the table. Replay it from the log or from bronze.",
    ),
    (
        "MS-1337",
        "A computation of a stream that did not finish",
        "Arrow refused an operation; the cause says which.",
    ),
];
