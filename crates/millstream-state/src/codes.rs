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
        "Another run, reprocessing or maintenance works on an asset that this one wants too. Wait for it, or pass `--wait`; runs over other assets may go on beside it.",
    ),
    (
        "MS-0609",
        "The lock file cannot be made",
        "The file by which other processes see that this one is alive, in the folder `leases` beside the state store, cannot be made or locked.",
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
    (
        "MS-0612",
        "The database of the state store cannot be used",
        "The PostgreSQL server of `state` cannot be reached, does not let this user in, or does not let it make tables; the cause says which.",
    ),
    (
        "MS-0613",
        "The state store of another project",
        "The schema of the PostgreSQL database holds the state of another project or environment. Give each a schema of its own, by `options=-csearch_path%3Dname` in the address.",
    ),
    (
        "MS-0614",
        "Tables of another application",
        "The schema of the PostgreSQL database holds tables that have the names of the state store's and are not its own. Give the project a schema of its own, by `options=-csearch_path%3Dname` in the address.",
    ),
    (
        "MS-0615",
        "No schema for the state store",
        "The search path of the PostgreSQL connection names no schema that is there. Make it by `create schema`.",
    ),
    (
        "MS-0616",
        "No PostgreSQL in this build",
        "The environment keeps its state in PostgreSQL, and this build has no client for it. Build with the feature `postgres` or `full`.",
    ),
    (
        "MS-0617",
        "The lease was lost",
        "This process was stopped, or cut off from the state store, for longer than its lease, and another process has taken its place. Nothing more is written or recorded for it. What it had committed before stays, and the next run takes it from the lake.",
    ),
    (
        "MS-0618",
        "A state store of an unknown format",
        "The state store is marked with a format that no version of Millstream has made, such as 0 or a negative one: something else has written to it. Put a backup back, or name another place in `state`.",
    ),
];
