//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
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
        "This build has no connector of this type. The hint names the nearest, or all of them.",
    ),
    (
        "MS-0712",
        "Connector options",
        "The connector does not understand its options; the message says which and why.",
    ),
];
