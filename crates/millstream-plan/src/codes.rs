//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    ("MS-0901", "Defined twice", "Two assets have the same name."),
    ("MS-0902", "Unknown input", "An asset reads another that does not exist."),
    (
        "MS-0903",
        "Tables in a circle",
        "Tables read each other in a circle, so that none of them can be built first.",
    ),
    (
        "MS-0904",
        "An input was never built",
        "A selected table reads one that has never been built and is not selected. Select `+name` to build what it reads too.",
    ),
    (
        "MS-0905",
        "Assets that cannot be scheduled",
        "By what they read and by `after` in their schedules, some assets wait for each other in a circle, so that none of them could be the first. The message names them in order.",
    ),
    (
        "MS-0911",
        "A malformed selection",
        "A selection is `name`, `+name`, `name+`, `2+name+1`, `tag:x`, `source:x`, `path:x` or a pattern like `gold.*`; a comma between two of them asks for both.",
    ),
    (
        "MS-0912",
        "A selection without a match",
        "No asset has this name, tag, path or pattern. The hint names the nearest, or those that there are.",
    ),
    ("MS-0913", "An ambiguous selection", "Several schemas have a table of this name. Write the schema too."),
];
