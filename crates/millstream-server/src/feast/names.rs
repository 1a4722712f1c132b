//! Feature names in Feast's two forms: `view:feature` in requests, `feature` or `view__feature` in answers.

use std::collections::HashSet;

use crate::error::{ApiError, ErrorKind};

/// `view:feature` or `view__feature` as `view.feature`; the name of an on-demand feature stays as it is.
pub(super) fn from_feast(name: &str) -> Result<String, ApiError> {
    let (view, feature) = match name.split_once(':').or_else(|| name.split_once("__")) {
        Some(parts) => parts,
        None => return Ok(name.to_owned()),
    };
    if let Some((view, version)) = view.split_once('@') {
        let message = format!("`{name}` asks for version {version} of a view");
        let hint =
            format!("views have no versions here: ask for `{view}:{feature}`, or for a version of a service");
        return Err(ApiError::new(ErrorKind::UnknownView, message).with_hint(hint).with_field("features"));
    }
    Ok(format!("{view}.{feature}"))
}

/// The name of a feature in an answer.
pub(super) fn to_feast(name: &str, full: bool) -> String {
    match name.split_once('.') {
        Some((view, feature)) if full => format!("{view}__{feature}"),
        Some((_, feature)) => feature.to_owned(),
        None => name.to_owned(),
    }
}

/// Refuses an answer in which two columns would have one name.
pub(super) fn distinct<'a>(names: impl Iterator<Item = &'a str>, full: bool) -> Result<(), ApiError> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            let error =
                ApiError::new(ErrorKind::NameCollision, format!("Duplicate features named {name} found."));
            return Err(if full { error } else { error.with_hint("set `full_feature_names` to true") });
        }
    }
    Ok(())
}
