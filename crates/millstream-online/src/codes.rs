//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "MS-1001",
        "An online store that cannot be opened",
        "The address of `online`, or one of its options, cannot work.",
    ),
    (
        "MS-1002",
        "The online store is in use",
        "One process at a time opens an embedded store. Stop the other process, or use Redis when several have to write.",
    ),
    (
        "MS-1003",
        "The online store is damaged",
        "Stored bytes cannot be understood. Its values are derived from the lake: remove the store and materialise again.",
    ),
    (
        "MS-1004",
        "An online store of another format",
        "The store was written by another version of Millstream. Use that version, or materialise into a new store.",
    ),
    ("MS-1005", "The online store failed", "A read or a write failed; the cause says why."),
    (
        "MS-1006",
        "The online store is full",
        "The disk, or the memory that the server may use, is full. The embedded store has stored nothing by halves; make room and start again.",
    ),
    (
        "MS-1007",
        "The online store refuses",
        "The folder is read-only, or the server does not accept the password or allow the operation.",
    ),
    (
        "MS-1008",
        "The online store is not available",
        "The server cannot be reached, or is still loading its data. The call can be tried again.",
    ),
    (
        "MS-1009",
        "The online store is too slow",
        "No answer came in time. Nothing was changed by the call; it can be tried again.",
    ),
    (
        "MS-1010",
        "Unknown whether a change was stored",
        "The connection broke after the change was sent. Materialising the view again gives the exact state.",
    ),
    (
        "MS-1011",
        "A record that others keep changing",
        "Several writers change the same entity at the same time. Try again, or send its changes together.",
    ),
    (
        "MS-1012",
        "Too few replicas confirmed",
        "The change is stored on the server, but fewer replicas than asked for confirmed it in time.",
    ),
    (
        "MS-1013",
        "A request that makes no sense",
        "A key or a record is empty or too large, or an entity is named twice.",
    ),
    (
        "MS-1014",
        "A record that cannot be changed",
        "The new state of a record could not be worked out; the cause says why. Nothing of the update was stored.",
    ),
    (
        "MS-1015",
        "The online store has stopped",
        "A write failed, as on a full disk, and its error was logged. The embedded store is opened anew by itself once there is room; what was acknowledged is stored.",
    ),
];
