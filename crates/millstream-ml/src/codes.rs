//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "MS-1101",
        "Two columns of one name",
        "Two columns of a dataset would have the same name. Rename the label column, or leave one of the two out.",
    ),
    (
        "MS-1102",
        "A plan that makes no sense",
        "A dataset was asked for with columns that are not there or shares that do not add up. The message names them.",
    ),
    (
        "MS-1103",
        "A key of another type",
        "The labels hold a key in another type than the feature view. Cast one of them; Millstream does not guess, since `007` and `7` may be two customers.",
    ),
    (
        "MS-1104",
        "No time column",
        "The column of the label's time is not a timestamp of microseconds, milliseconds or seconds, nor a date.",
    ),
    (
        "MS-1105",
        "Rows of another shape",
        "The rows that came have other columns than were announced. The table changed in between, or this is a defect.",
    ),
    (
        "MS-1106",
        "Rows that cannot be read",
        "The labels or the events of a view could not be read; the cause says why.",
    ),
    (
        "MS-1107",
        "An on-demand feature failed",
        "An on-demand feature could not be computed; the cause says why.",
    ),
    ("MS-1108", "The join failed", "A feature view could not be joined with the labels; the cause says why."),
    (
        "MS-1109",
        "An entity larger than memory",
        "One entity has more events than the memory of the build can hold. Give it more memory, or thin out the events in the view's own `sql`.",
    ),
    (
        "MS-1110",
        "The spill folder failed",
        "Rows that do not fit into memory could not be written to or read from the spill folder; the cause says why.",
    ),
    (
        "MS-1111",
        "The output cannot be written",
        "The dataset's file or its manifest could not be written; the cause says why.",
    ),
    (
        "MS-1112",
        "A broken promise",
        "A check at run time found a label row lost, repeated or moved. Nothing was written. This is a defect; please report it.",
    ),
    (
        "MS-1113",
        "A dataset that cannot be read",
        "A manifest or a data file is missing, damaged, or was written by a newer version.",
    ),
    ("MS-1114", "Values that cannot be computed", "Arrow could not work on a column; the cause says why."),
    ("MS-1115", "An encoding failed", "An encoding could not be fitted or applied; the cause says why."),
    (
        "MS-1116",
        "More than a feature can hold",
        "A sum is beyond its type, or there are more different values than the feature's bound: no number, null or default would be true. Sum a wider type, or raise the bound; the hint says how.",
    ),
];
