//! How the connector tells whether a file is the one it has read.

use millstream_connector::PartVersion;
use serde::{Deserialize, Serialize};

/// What a listing tells about a file without opening it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stat {
    pub(super) size: u64,
    /// Last modification, microseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) mtime_us: Option<i64>,
    /// The entity tag that a store gives the content; a local file has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) etag: Option<String>,
}

impl Stat {
    /// Whether the file can be taken as unchanged without reading it.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let same_name = match (&self.etag, &other.etag) {
            (Some(a), Some(b)) => a == b,
            _ => self.mtime_us.is_some() && self.mtime_us == other.mtime_us,
        };
        same_name && self.size == other.size
    }
}

/// The version of a file, written as `PartVersion`; one that cannot be read counts as other content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FileVersion {
    /// The version of this form of writing.
    v: u32,
    #[serde(flatten)]
    pub(super) stat: Stat,
    /// BLAKE3 of the file's bytes, hexadecimal; known once they have been read from end to end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hash: Option<String>,
    /// Line number of text that would be appended; absent where appended text could change the rows before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next_line: Option<i64>,
    /// Where the new text of a grown file starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) resume: Option<Resume>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Resume {
    pub(super) bytes: u64,
    pub(super) line: i64,
    /// The position that every row before the new text stands at or before.
    pub(super) after: i64,
}

const VERSION: u32 = 1;

impl FileVersion {
    pub(super) fn new(stat: Stat) -> Self {
        Self { v: VERSION, stat, hash: None, next_line: None, resume: None }
    }

    pub(super) fn parse(version: &PartVersion) -> Option<Self> {
        serde_json::from_str(&version.0).ok().filter(|parsed: &Self| parsed.v == VERSION)
    }

    pub(super) fn to_part_version(&self) -> PartVersion {
        // Texts and numbers always make valid JSON.
        PartVersion(serde_json::to_string(self).unwrap_or_default())
    }
}

/// What the bytes of a changed file say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Digest {
    pub(super) bytes: u64,
    pub(super) hash: String,
    /// The digest of the first bytes, as many as the known version had; `None` when there are fewer now.
    pub(super) prefix: Option<Prefix>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) hash: String,
    /// Whether the known text ended with a line end, or the new text starts with one.
    pub(super) at_line_end: bool,
}

/// What happened to a file since it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Touched,
    Grown,
    Replaced,
}

/// Compares a changed file's bytes with what is known. `can_grow`: the format is one that can be continued.
pub(super) fn compare(known: &FileVersion, digest: &Digest, can_grow: bool) -> Change {
    let Some(known_hash) = &known.hash else { return Change::Replaced };
    if digest.bytes == known.stat.size && digest.hash == *known_hash {
        return Change::Touched;
    }
    let Some(prefix) = &digest.prefix else { return Change::Replaced };
    let continues = digest.bytes > known.stat.size && prefix.hash == *known_hash && prefix.at_line_end;
    if can_grow && continues && known.next_line.is_some() && known.stat.size > 0 {
        Change::Grown
    } else {
        Change::Replaced
    }
}
