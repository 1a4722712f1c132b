//! The codes of this room's errors, for the generated reference.

/// Code, title, and what happened and what to do.
pub const CODES: &[(&str, &str, &str)] = &[
    (
        "MS-1401",
        "An event log that cannot be opened",
        "The address of `log`, or one of its options, cannot work.",
    ),
    (
        "MS-1402",
        "The event log is in use",
        "One process at a time opens an embedded log. Stop the other process, or let it take the events in.",
    ),
    (
        "MS-1403",
        "An event log of another format",
        "A file of the log was written by another version of Millstream. Use that version.",
    ),
    (
        "MS-1404",
        "A topic that cannot be understood",
        "A file that says what a topic is made of is damaged; the log's other topics go on. Bring it back from a backup, or move the topic's folder away.",
    ),
    (
        "MS-1405",
        "Records of the event log are damaged",
        "The bytes of records changed on disk, or their file is gone. The message names the topic, the partition, the segment and the offsets; nobody is led past them in silence.",
    ),
    (
        "MS-1406",
        "The event log failed",
        "A read or a write failed; the cause says why. Nothing of the append is there.",
    ),
    (
        "MS-1407",
        "The event log's disk is full",
        "Nothing of the append is there. The log goes on by itself when there is room again.",
    ),
    ("MS-1408", "The event log's folder refuses", "The folder is read-only or belongs to somebody else."),
    (
        "MS-1409",
        "Unknown whether records were appended",
        "The disk did not confirm a sync. Records may be there or not after the next start; those of a producer with numbers can be sent again and are not doubled.",
    ),
    (
        "MS-1410",
        "A partition that takes no records",
        "A sync failed earlier, and after that nobody can say what the disk has. Check the disk and start again; what was acknowledged is there.",
    ),
    (
        "MS-1411",
        "No such topic or partition",
        "The topic was never made or is deleted, or it has fewer partitions.",
    ),
    (
        "MS-1412",
        "A topic that is there with something else",
        "The number of partitions and the kind of timestamps of a topic never change.",
    ),
    (
        "MS-1413",
        "A name that cannot be used",
        "Topics and readers have names of letters, digits, `.`, `_` and `-`.",
    ),
    (
        "MS-1414",
        "An offset that is not there",
        "Records before it were removed by retention before they were read, or it is beyond the end, as after the topic was made anew.",
    ),
    (
        "MS-1415",
        "A batch that is too large",
        "One batch of records is over the log's bound. Send smaller ones.",
    ),
    (
        "MS-1416",
        "The event log is over its bound",
        "Events come faster than they are read, or are kept longer than there is room for. The call can be tried again later.",
    ),
    (
        "MS-1417",
        "Records of a producer are missing",
        "A batch came before those that its producer numbered before it. Send those first.",
    ),
    (
        "MS-1418",
        "A producer that was replaced",
        "Another one with a higher epoch has taken over. Stop this one.",
    ),
    (
        "MS-1419",
        "A request that makes no sense",
        "An append without records, or with more than a segment can hold.",
    ),
    (
        "MS-1420",
        "Rows that cannot be stored or read",
        "Arrow cannot bring the rows to bytes or back; the cause says why.",
    ),
    ("MS-1421", "The event log is closed", "The process is ending. What was acknowledged is there."),
];
