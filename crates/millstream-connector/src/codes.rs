//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "MS-0301",
        "A source does not answer",
        "The place cannot be reached, or answered with a fault that may pass. The step is tried again with growing waits before it fails.",
    ),
    ("MS-0302", "A source refuses", "The place does not exist, or the credentials do not open it."),
    (
        "MS-0303",
        "Broken input",
        "The content is broken as a whole (a truncated Parquet or gzip file), so that no row of it can be trusted. Repair or remove the file; everything else lands.",
    ),
    (
        "MS-0304",
        "Input changed while it was read",
        "The file was written to during the read. Nothing of it was committed; the next attempt reads the new content.",
    ),
    (
        "MS-0305",
        "Options that cannot work",
        "The connector's options are well-formed, but cannot work in this place.",
    ),
    (
        "MS-0306",
        "Input of a kind that is not read",
        "The content is whole, but written in a way that is not read: a codec, a type. Write it in another way; everything else lands.",
    ),
    (
        "MS-0307",
        "A position that is gone",
        "The position up to which a part of a source was read is not there any more, as after a log was cut off behind it, so that the rows between cannot be read one by one. With `on_lost_position: resync` the part is read again from its beginning, and takes the place of what landed of it.",
    ),
];
