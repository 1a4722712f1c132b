//! The codes of this room's errors, for the generated reference.

/// Each code with its title, and a text that says what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    ("MS-0701", "Rows cannot be computed", "A computation over rows failed; the cause says why."),
    ("MS-0702", "Unknown asset", "No source or table has this name. The hint names the nearest."),
    ("MS-0703", "Never built", "The table belongs to the project, but nothing has been built yet."),
    (
        "MS-0705",
        "Refused",
        "The operation would harm the table or cannot be done to it; the message says why.",
    ),
    (
        "MS-0706",
        "The record of a commit",
        "The record that a commit carries cannot be written or read. Please report it.",
    ),
    (
        "MS-0707",
        "A worker stopped",
        "A thread ended unexpectedly. Nothing half-done is visible; run again, and please report it.",
    ),
    ("MS-0708", "Cancelled", "The operation was asked to stop. What was finished is kept."),
    (
        "MS-0711",
        "Unknown connector",
        "This build has no connector of this type, or none that has connections. The hint names the nearest, or all of them.",
    ),
    (
        "MS-0712",
        "Connector options",
        "The connector does not understand its options, or those of a connection; the message says which and why.",
    ),
    (
        "MS-0713",
        "A relationship that cannot be judged",
        "A `relationship` looks into a table that is built before. It cannot look into a view, into the table itself, or into one that reads it.",
    ),
    (
        "MS-0720",
        "Unknown feature",
        "No service, view, feature or dataset has this name. The hint names the nearest, or what there is.",
    ),
    (
        "MS-0721",
        "A stored definition",
        "The definition of a service cannot be written or read back. Please report it.",
    ),
    (
        "MS-0722",
        "A file of labels",
        "The file cannot be read. Labels come from Parquet, Avro, CSV with a header line, or JSON lines.",
    ),
    (
        "MS-0723",
        "Columns of labels",
        "The labels have no column for the time or for a key. Name it under `time` or `keys` of the dataset.",
    ),
    ("MS-0724", "A request for features", "Columns are missing or do not fit; the message says which."),
    ("MS-0725", "Arrow", "A column cannot be converted or put together; the cause says why."),
    (
        "MS-0736",
        "A key that is too long",
        "The key of an entity has more bytes than the online store takes. Datasets take keys of any length.",
    ),
    (
        "MS-0728",
        "Encodings of a dataset",
        "`encode` holds something else than an encoding of a column, names a column that the dataset does not have, or an encoding that cannot take the column's type.",
    ),
    (
        "MS-0735",
        "The file of a dataset",
        "The file of a version of a dataset is gone, was replaced by a later build, or was damaged.",
    ),
    (
        "MS-0737",
        "A project that moved",
        "A project was loaded again in a running process, and names other stores than those that are open. Restart the process.",
    ),
    (
        "MS-0738",
        "Triggers that cannot work",
        "Assets set each other off in a circle, or name an asset or a pool that does not exist; the message says which.",
    ),
    (
        "MS-0740",
        "An attempt took too long",
        "An attempt at a step took longer than its `timeout`, and was broken off; nothing half-done is visible. It is tried again like after other faults that may pass.",
    ),
    (
        "MS-0775",
        "Rows that are not accounted for",
        "The rows that a step read are not those that it wrote, rejected and left out, so that nothing was committed. Run it again; if it stays so, a data file of an input has lost rows (build the input again with `--full-refresh`), or it is a defect: please report it.",
    ),
    (
        "MS-0776",
        "A receiver outside",
        "What `telemetry` of `millstream.yaml` names cannot be reached, or refuses what it is told. Messages wait in the state store, the last 100,000 of them, and are sent in order once it takes them.",
    ),
    (
        "MS-0181",
        "Unique only when landed",
        "A check of uniqueness compares an event with all that landed, so that whoever follows the events sees them before it. Say `deduplicate` in continuous tables, or send events with an idempotency key.",
    ),
    (
        "MS-0182",
        "Events without columns",
        "Events have no schema of their own. Name their fields under `columns` in the contract of the source.",
    ),
    (
        "MS-0785",
        "Cut off from the state store",
        "A server that runs steps for others could not reach the state store for as long as its lease lasts, 90 seconds, and cancelled its steps: another server may run them by then. It gives them back once the store answers, and they count as no attempt.",
    ),
    ("MS-0726", "A file", "A file cannot be read or written; the cause says why."),
    (
        "MS-0755",
        "Partitions of a table",
        "The table has no partitions, has none of that name, or has more of them than one run or backfill builds; the message says which.",
    ),
    (
        "MS-0756",
        "A backfill that is not there",
        "No backfill of this id is on record; `millstream backfill list` names those that are.",
    ),
    (
        "MS-0860",
        "A view that follows a source",
        "Events of the view come from its source. Rows that were pushed to it would be missing in the source's table, and so in training. Send them to the source, or let the view follow nothing with `stream: false`.",
    ),
    (
        "MS-0792",
        "The state of a continuous table is not the table's",
        "The folder with the states of pipelines was lost, or it or the lake was put back to an earlier time. Going on would count rows twice or not at all, so the table is left as it is until it is computed anew.",
    ),
    (
        "MS-0793",
        "A continuous table that is not committed",
        "A check that halts failed for what its pipeline made. The last good version stays, and nothing of the rows is lost: they are in the log.",
    ),
];
