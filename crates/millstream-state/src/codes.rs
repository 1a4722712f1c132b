//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "MS-0601",
        "The state store cannot be opened",
        "The SQLite file of `state` cannot be opened or created.",
    ),
    ("MS-0602", "The state folder cannot be made", "The folder of the state store cannot be created."),
    (
        "MS-0603",
        "The state store is newer",
        "A newer version of Millstream made this state store. Use that version.",
    ),
    (
        "MS-0604",
        "Not a state store",
        "The file is a database, but not one of Millstream. Name another file in `state`.",
    ),
    ("MS-0605", "The state store failed", "A read or write of the state store failed; the cause says why."),
    (
        "MS-0606",
        "An unknown word in the state store",
        "The state store holds a value that this version does not know; a newer version wrote it.",
    ),
    (
        "MS-0607",
        "An old landing",
        "A landing would be recorded that is older than what the state store knows: two processes landed the same source.",
    ),
    (
        "MS-0608",
        "Another run is under way",
        "A run, reprocessing or maintenance of this project holds the lock. Wait for it, or pass `--wait`.",
    ),
    (
        "MS-0609",
        "The lock file cannot be used",
        "The lock file in the state folder cannot be opened or locked.",
    ),
    (
        "MS-0610",
        "The state store is damaged",
        "The SQLite file of `state` is no database any more. Put a backup back, or move the file away with the `-wal` and `-shm` beside it: the next run takes versions and positions from the lake, and no row lands twice. The record of past runs and checks is gone, and the versions of datasets and services start anew.",
    ),
    (
        "MS-0611",
        "An older state store that cannot be written",
        "An older version of Millstream made this state store, and this user may not write it, so it cannot be brought to the present format. Let a user who may write it run any command once.",
    ),
];
