//! Paths of data files in the log are URIs; inside Millstream they are plain.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// The characters that a URI cannot hold as they are, or that would change its meaning. Slashes stay: they divide
/// folders.
const ENCODED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'*')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The path of a data file from the table's folder, as the log spells it and as the store knows it.
///
/// The spelling is kept, because programs that compare spellings would not find a file again by another one. Inside
/// Millstream two spellings of one file are one path.
#[derive(Clone, Debug, Default)]
pub(crate) struct FilePath {
    spelled: Box<str>,
    /// The decoded path where it differs from `spelled`, which is rare.
    decoded: Option<Box<str>>,
}

impl FilePath {
    /// The path of a file that the store calls `plain`, in Millstream's own spelling.
    pub(crate) fn of(plain: &str) -> Self {
        let spelled: Box<str> = utf8_percent_encode(plain, ENCODED).to_string().into();
        let decoded = (*spelled != *plain).then(|| plain.into());
        Self { spelled, decoded }
    }

    /// The path of a file that the log spells as `spelled`.
    pub(crate) fn parse(spelled: &str) -> Result<Self, std::str::Utf8Error> {
        let plain = percent_decode_str(spelled).decode_utf8()?;
        let decoded = (plain != spelled).then(|| plain.into());
        Ok(Self { spelled: spelled.into(), decoded })
    }

    /// The path as the log spells it.
    pub(crate) fn spelled(&self) -> &str {
        &self.spelled
    }

    /// The path as the store knows it.
    pub(crate) fn plain(&self) -> &str {
        self.decoded.as_deref().unwrap_or(&self.spelled)
    }
}

impl PartialEq for FilePath {
    fn eq(&self, other: &Self) -> bool {
        self.plain() == other.plain()
    }
}

impl Serialize for FilePath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.spelled.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
