//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "MS-0501",
        "A check that cannot be used",
        "The check does not fit the columns: an unknown column, a bound that is no value of its type, a malformed pattern.",
    ),
    (
        "MS-0502",
        "Unknown time zone",
        "The zone of a `timestamp(zone)` column is not in the time zone database.",
    ),
    (
        "MS-0503",
        "A column of another type",
        "A column that passes untouched arrived with another type than it was declared with.",
    ),
    ("MS-0504", "A column is missing", "The rows lack a column that the operation needs."),
    (
        "MS-0505",
        "A rejected row cannot be read back",
        "A row of the table of rejected rows is not what was written; it was changed by another tool.",
    ),
    (
        "MS-0506",
        "A computation failed",
        "A computation over rows failed. No input can cause this; please report it.",
    ),
    (
        "MS-0507",
        "A table check could not be computed",
        "The files of the table cannot be read, or memory ran out.",
    ),
];
