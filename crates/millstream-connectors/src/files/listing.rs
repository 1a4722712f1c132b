//! Which files of a local folder a pattern means.

use std::{
    collections::HashSet,
    fs,
    path::{Path, PathBuf},
};

use millstream_connector::{ConnectorError, WaitingPart};

use super::{
    pattern::Pattern,
    place::{FoundFile, Listing, local_stat},
    store::file_error,
};

/// Folders nested deeper are not followed.
const FOLDER_LEVELS_MAX: usize = 64;

pub(super) fn list_local(root: &Path, pattern: &Pattern) -> Result<Listing, ConnectorError> {
    let mut listing = Listing::default();
    let start = root.join(pattern.prefix());
    let metadata = fs::metadata(&start).map_err(|error| file_error(pattern.prefix(), error))?;
    if pattern.is_literal() {
        if metadata.is_dir() {
            return Err(ConnectorError::Refused {
                place: pattern.text().to_owned(),
                hint: Some(format!("write a pattern for the files in it: `{}/*.csv`", pattern.text())),
                source: "it is a folder, not a file".into(),
            });
        }
        listing.files.push(FoundFile { id: pattern.text().to_owned(), stat: local_stat(&metadata) });
        return Ok(listing);
    }
    let levels = pattern.levels().unwrap_or(FOLDER_LEVELS_MAX);
    let mut walk = Walk { pattern, listing: &mut listing, ancestors: HashSet::new() };
    walk.folder(&start, pattern.prefix(), levels)?;
    Ok(listing)
}

struct Walk<'a> {
    pattern: &'a Pattern,
    listing: &'a mut Listing,
    /// The folders above, to notice links that lead back.
    ancestors: HashSet<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path, name: &str, levels: usize) -> Result<(), ConnectorError> {
        let failed = |error| file_error(name, error);
        let canonical = fs::canonicalize(folder).map_err(failed)?;
        if !self.ancestors.insert(canonical.clone()) {
            return Ok(());
        }
        for entry in fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let file_name = path.file_name().unwrap_or_default();
            let text = file_name.to_string_lossy();
            let id = match name {
                "" | "/" => format!("{name}{text}"),
                _ => format!("{name}/{text}"),
            };
            let metadata = match fs::metadata(&path) {
                Ok(metadata) => metadata,
                // Gone since the folder was read, or a link to nothing.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(file_error(&id, error)),
            };
            if metadata.is_dir() && levels > 0 {
                self.folder(&path, &id, levels - 1)?;
            } else if metadata.is_file() && self.pattern.matches(&id) {
                if file_name.to_str().is_some() {
                    self.listing.files.push(FoundFile { id, stat: local_stat(&metadata) });
                } else {
                    let reason = "its name is not UTF-8; rename it".to_owned();
                    self.listing.waiting.push(WaitingPart { id, reason });
                }
            }
        }
        self.ancestors.remove(&canonical);
        Ok(())
    }
}
