//! What a source consists of, and how far it has been read.

use millstream_types::ColumnType;
use serde::{Deserialize, Serialize};

use crate::Evidence;

/// One independently readable unit of a source: a file, a topic's partition, a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// The name of the part, the same in every run, such as a file's path or a topic's partition. It becomes `_source`
    /// of every row.
    pub id: String,
    pub version: PartVersion,
    pub change: PartChange,
    /// How many bytes there are to read, where known; for progress only.
    pub bytes: Option<u64>,
}

/// How a part differs from what has been landed of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartChange {
    /// The part was never seen, or its content is to be added although it was seen, where the user asked for that.
    New,
    /// The content that was read is unchanged and more follows: read after the known position.
    Grown,
    /// The content of the part is another: the rows that came from it are replaced.
    Replaced,
}

/// A connector's own description of a part's content (size, entity tag, hash, …), as JSON text. The engine
/// stores it and hands it back; only the connector reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartVersion(pub String);

/// What the engine remembers of a part that it has landed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownPart {
    pub id: String,
    pub version: PartVersion,
    /// Position of the last row that was landed or rejected: the highest `_position` of this part.
    pub position: i64,
}

/// The answer to "what is there to read?".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Discovery {
    /// Parts with something to read, in the order in which they are to be landed.
    pub parts: Vec<Part>,
    /// Parts that are not ready; they are looked at again on the next run.
    pub waiting: Vec<WaitingPart>,
    /// Known parts whose version must be refreshed although their content is the same (a touched file).
    pub refreshed: Vec<KnownPart>,
}

/// A part that cannot be read yet, and why, as a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingPart {
    pub id: String,
    pub reason: String,
}

/// A column as it stands in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundColumn {
    pub name: String,
    /// The type that the source declares, or the narrowest one that fits a sample where it declares none.
    pub column_type: ColumnType,
    /// What the sample showed; `None` where the source itself declares the type (Parquet, Avro).
    pub evidence: Option<Evidence>,
}

impl FoundColumn {
    /// A column whose type the source declares.
    #[must_use]
    pub fn declared(name: String, column_type: ColumnType) -> Self {
        Self { name, column_type, evidence: None }
    }

    /// A column whose type a sample suggests.
    #[must_use]
    pub fn inferred(name: String, evidence: Evidence) -> Self {
        Self { name, column_type: evidence.column_type(), evidence: Some(evidence) }
    }

    /// Whether the source itself declares the type.
    #[must_use]
    pub fn is_declared(&self) -> bool {
        self.evidence.is_none()
    }
}
