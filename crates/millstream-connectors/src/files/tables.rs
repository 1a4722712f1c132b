//! Which tables a folder holds, for a source of many: what `{table}` in the path can stand for.
//!
//! The files that the path means with `*` in the place of `{table}` are listed. The letters, digits, `_`, `-` and
//! blanks at that place are the name of a table, as few of them as the path allows. A folder without such a file is no
//! table.

use std::{collections::BTreeMap, path::Path};

use millstream_connector::{NamedConnection, OptionProblem, OptionProblems, TABLE};
use serde_json::Value;

use super::{
    config::{Target, target_of},
    listing::list_local,
    pattern::Pattern,
};

/// Names longer than this are none.
const NAME_BYTES_MAX: usize = 128;

/// The tables by name. Options without a readable path have no tables here: what is wrong with them is said when they
/// are checked.
pub(super) fn tables(
    options: &Value,
    connection: Option<NamedConnection<'_>>,
    project_root: &Path,
) -> Result<Vec<String>, OptionProblem> {
    let Some(path) = options.get("path").and_then(Value::as_str) else { return Ok(Vec::new()) };
    let problem = |message: &str, hint: &str| OptionProblem {
        path: vec!["path".to_owned()],
        message: message.to_owned(),
        hint: Some(hint.to_owned()),
    };
    // Whatever is wrong with the path is found again, and said, when the options of a table are checked.
    let Some((target, text)) = target_of(path.trim(), connection, &mut OptionProblems::default()) else {
        return Ok(Vec::new());
    };
    if !matches!(target, Target::Local) {
        let message = "tables cannot be looked for in another place than a local folder";
        return Err(problem(message, "name each table under `tables`, without `*`"));
    }
    let text = text.trim_start_matches("./");
    let Some((before, after)) = text.split_once(TABLE) else {
        return Err(problem(
            "the path does not say where the table's name stands",
            "write `{table}` in its place, as in `exports/{table}/*.csv`",
        ));
    };
    if !Pattern::new(before).is_ok_and(|before| before.is_literal()) {
        let hint = "name each table under `tables`, without `*`";
        return Err(problem("tables are looked for only where `{table}` is the first that is open", hint));
    }
    let unfit = |reason: String| problem(&format!("`{path}` is not a pattern: {reason}"), "mend the path");
    let all = Pattern::new(&text.replace(TABLE, "*")).map_err(unfit)?;
    let listing = match list_local(project_root, &all) {
        Ok(listing) => listing,
        Err(error) => {
            let reason = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            let hint = "tables are looked for when the project is read; the folder has to be there";
            return Err(problem(&format!("{error}: {reason}"), hint));
        }
    };
    let mut found: BTreeMap<String, Pattern> = BTreeMap::new();
    for file in &listing.files {
        name_table(&file.id, before, after, &mut found);
    }
    Ok(found.into_keys().collect())
}

/// Adds the table of a file: the shortest name with which the path means it.
fn name_table(file: &str, before: &str, after: &str, found: &mut BTreeMap<String, Pattern>) {
    let Some(rest) = file.strip_prefix(before) else { return };
    let longest = rest.find(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-' | ' '));
    let longest = longest.unwrap_or(rest.len()).min(NAME_BYTES_MAX);
    let next = after.chars().next().filter(|c| !['*', '?', '[', '{', '\\'].contains(c));
    for (name, behind) in (1..=longest).filter_map(|end| rest.split_at_checked(end)) {
        if next.is_some_and(|next| !behind.starts_with(next)) {
            continue;
        }
        if let Some(table) = found.get(name) {
            if table.matches(file) {
                return;
            }
        } else if let Ok(table) = Pattern::new(&format!("{before}{name}{}", after.replace(TABLE, name)))
            && table.matches(file)
        {
            found.insert(name.to_owned(), table);
            return;
        }
    }
}
