//! What both stores refuse before they touch anything.

use super::{Append, EntityKey};
use crate::error::{OnlineError, Result};

/// Largest record, mark or log entry, in bytes.
pub const RECORD_BYTES_MAX: usize = 256 * 1024 * 1024;

/// Longest name of a mark or a log, in bytes.
pub(crate) const NAME_BYTES_MAX: usize = 1024;

pub(super) fn check_update(
    entities: &[EntityKey],
    marks: &[(&str, &[u8])],
    append: Option<&Append<'_>>,
) -> Result<()> {
    entities.iter().try_for_each(EntityKey::check)?;
    check_marks(marks)?;
    if let Some(append) = append {
        check_name("a log", append.log)?;
        append.entries.iter().try_for_each(|entry| check_value("a log entry", entry))?;
    }
    Ok(())
}

pub(super) fn check_marks(marks: &[(&str, &[u8])]) -> Result<()> {
    for (index, (name, value)) in marks.iter().enumerate() {
        check_name("a mark", name)?;
        check_value("a mark", value)?;
        if marks.iter().take(index).any(|(other, _)| other == name) {
            return Err(OnlineError::Request { reason: format!("the mark `{name}` is named twice") });
        }
    }
    Ok(())
}

/// `what` names the value in the message.
pub(super) fn check_value(what: &str, bytes: &[u8]) -> Result<()> {
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(OnlineError::Request {
            reason: format!("{what} has {} bytes, at most {RECORD_BYTES_MAX} are possible", bytes.len()),
        });
    }
    Ok(())
}

pub(super) fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        return Err(OnlineError::Request {
            reason: format!("the name of {what} must have 1 to {NAME_BYTES_MAX} bytes"),
        });
    }
    Ok(())
}
