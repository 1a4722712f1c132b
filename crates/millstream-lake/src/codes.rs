//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "MS-0401",
        "A lake that cannot be opened",
        "The address of `lake`, or one of the `storage` options, cannot work.",
    ),
    (
        "MS-0402",
        "The store failed",
        "A read or a write of the lake's store failed; the cause says why. Faults of the network are tried again.",
    ),
    (
        "MS-0403",
        "The disk is full",
        "No room is left. Nothing half-written is visible; free some space (`millstream maintain` helps) and run again.",
    ),
    (
        "MS-0404",
        "The store refuses",
        "The folder is read-only, or the credentials do not allow the operation.",
    ),
    (
        "MS-0405",
        "Somebody else committed",
        "Another process changed the table while this change was written. The step is planned and tried again.",
    ),
    (
        "MS-0406",
        "Committed already",
        "The change is in the table already: an earlier attempt landed although its answer was lost. Nothing was written twice.",
    ),
    (
        "MS-0407",
        "Unknown whether a commit landed",
        "The commit was sent, no answer came, and the log could not be read. The next run finds out from the log and continues.",
    ),
    (
        "MS-0408",
        "Version not available",
        "The version asked for never existed, or `millstream maintain` removed it after its retention.",
    ),
    (
        "MS-0409",
        "No version as old as that",
        "The table did not exist at that time, or that part of its history was removed after its retention.",
    ),
    (
        "MS-0410",
        "Changes not available",
        "The commits between two versions can no longer be read; the table that follows them is rebuilt.",
    ),
    (
        "MS-0411",
        "A Delta feature that is not supported",
        "The table was written by another tool with a feature of Delta Lake that this version does not read or write, or with a rule for its rows that \
         this version does not check: `delta.appendOnly`, an invariant, a column that must not be null.",
    ),
    ("MS-0412", "A schema that does not fit", "Rows or a new schema do not fit the table."),
    (
        "MS-0413",
        "A change that makes no sense",
        "A change names files or values that the table does not have. This is a defect; please report it.",
    ),
    (
        "MS-0414",
        "The log cannot be read",
        "The table's log is damaged or was written by something that does not follow the Delta protocol.",
    ),
    (
        "MS-0415",
        "Rows that cannot be encoded",
        "Rows could not be written as or read from Parquet; the cause says why.",
    ),
    (
        "MS-0416",
        "A version that went away with its table",
        "Readers take versions of tables that belong together. This table was deleted or put back to an earlier version, and no run in which every step ended well has published it since.",
    ),
    (
        "MS-0417",
        "A data file that is damaged or gone",
        "A file that a version of the table names is not in the store, has another size than was written, or cannot be decoded. A table that is made of \
         others is made again by `millstream serve`; landed rows come back from a backup, or by `millstream run --full-refresh` of their source.",
    ),
];
