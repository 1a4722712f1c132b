//! Names and ids: one type each, so that two of them cannot be swapped in a call.

use std::{cmp::Ordering, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{LATE_SUFFIX, REJECTED_SUFFIX};

/// `schema.name` of a table in the lake, both parts lower-case identifiers: `silver.orders`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TableName {
    schema: Arc<str>,
    name: Arc<str>,
}

impl TableName {
    /// Errors when either part is not an identifier (`[a-z_][a-z0-9_]*`).
    pub fn new(schema: &str, name: &str) -> Result<Self, NameError> {
        check_identifier(schema)?;
        check_identifier(name)?;
        Ok(Self { schema: schema.into(), name: name.into() })
    }

    /// The landed form of a source: `bronze.<source>`.
    #[must_use]
    pub fn bronze(source: &SourceName) -> Self {
        Self { schema: "bronze".into(), name: source.0.clone() }
    }

    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The table that keeps this table's rejected rows.
    #[must_use]
    pub fn rejected(&self) -> Self {
        Self { schema: self.schema.clone(), name: format!("{}{REJECTED_SUFFIX}", self.name).into() }
    }

    #[must_use]
    pub fn is_rejected(&self) -> bool {
        self.name.ends_with(REJECTED_SUFFIX)
    }

    /// The table whose rejected rows this table keeps, if it is a table of rejected rows.
    #[must_use]
    pub fn rejected_of(&self) -> Option<Self> {
        let name = self.name.strip_suffix(REJECTED_SUFFIX)?;
        Some(Self { schema: self.schema.clone(), name: name.into() })
    }

    /// The table that keeps the rows which took no part in this continuous table.
    #[must_use]
    pub fn late(&self) -> Self {
        Self { schema: self.schema.clone(), name: format!("{}{LATE_SUFFIX}", self.name).into() }
    }

    /// The continuous table whose late rows this table keeps, if it is a table of late rows.
    #[must_use]
    pub fn late_of(&self) -> Option<Self> {
        let name = self.name.strip_suffix(LATE_SUFFIX)?;
        Some(Self { schema: self.schema.clone(), name: name.into() })
    }

    #[must_use]
    pub fn asset_id(&self) -> AssetId {
        AssetId { text: self.to_string().into(), name_at: 0 }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

impl FromStr for TableName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.split_once('.') {
            Some((schema, name)) => Self::new(schema, name),
            None => Err(NameError::NotTwoParts { text: text.into() }),
        }
    }
}

impl TryFrom<String> for TableName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<TableName> for String {
    fn from(name: TableName) -> Self {
        name.to_string()
    }
}

/// The name of a source: the stem of `sources/<name>.yaml`, an identifier.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceName(Arc<str>);

impl SourceName {
    /// Errors when `name` is not an identifier.
    pub fn new(name: &str) -> Result<Self, NameError> {
        check_identifier(name)?;
        Ok(Self(name.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SourceName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<SourceName> for String {
    fn from(name: SourceName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            #[must_use]
            pub fn new(text: &str) -> Self {
                Self(text.into())
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

/// A node of the project's graph: a kind and a name. Of a source and of a table the name is the table's, and its text has
/// no kind (`silver.orders`); every other kind stands before its name (`view:spend`, `dataset:churn`).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct AssetId {
    text: Arc<str>,
    /// Where the name begins; 0 without a kind.
    name_at: usize,
}

impl AssetId {
    /// Reads the text that [`Self::as_str`] gives.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { text: text.into(), name_at: text.find(':').map_or(0, |colon| colon + 1) }
    }

    /// The asset `name` of a kind that is not a table.
    #[must_use]
    pub fn of_kind(kind: &str, name: &str) -> Self {
        Self { text: format!("{kind}:{name}").into(), name_at: kind.len() + 1 }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The word before the name; `None` for sources and tables.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.text.get(..self.name_at.checked_sub(1)?)
    }

    #[must_use]
    pub fn name(&self) -> &str {
        self.text.get(self.name_at..).unwrap_or_default()
    }
}

/// Tables come first, so that what is made of them follows them where nothing else orders.
impl Ord for AssetId {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.name_at > 0, &self.text).cmp(&(other.name_at > 0, &other.text))
    }
}

impl PartialOrd for AssetId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl From<String> for AssetId {
    fn from(text: String) -> Self {
        Self::new(&text)
    }
}

impl From<AssetId> for String {
    fn from(id: AssetId) -> Self {
        id.text.as_ref().to_owned()
    }
}

impl fmt::Display for AssetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

text_id! {
    /// One execution of a plan (a UUID of version 7, so that ids sort by time).
    RunId
}
text_id! {
    /// A check inside its table: `range(amount)`, stable across runs, shown to people.
    CheckId
}

/// A name that the project may not use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("`{text}` is not a name: use lower-case letters, digits and `_`, starting with a letter")]
    NotAnIdentifier { text: String },
    #[error("`{text}` is not a table's name: write `schema.table`")]
    NotTwoParts { text: String },
}

fn check_identifier(text: &str) -> Result<(), NameError> {
    let mut chars = text.chars();
    let first_fits = chars.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_');
    if first_fits && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_') {
        Ok(())
    } else {
        Err(NameError::NotAnIdentifier { text: text.into() })
    }
}
