//! Whether a table can have a column with the name that the data gives it. Pure.

use millstream_types::{COLUMN_NAME_RULE, Field, LANDING_COLUMNS, is_column_name};

use super::evolve::Refusal;

const WAY_OUT: &str = "rename the column where the data is made, or with the connector's `rename`";

/// Why the table cannot have a column with this name, if so: `found` is new and not among `known`.
pub(super) fn refused_name(place: &str, name: &str, known: &[Field]) -> Option<Refusal> {
    let same = |other: &str| name.to_lowercase() == other.to_lowercase();
    let refusal = |message: String, hint: String| Some(Refusal { message, hint });
    if LANDING_COLUMNS.iter().any(|reserved| same(reserved)) {
        let message = format!("{place} has a column `{name}`, a name that landing itself uses");
        return refusal(message, WAY_OUT.into());
    }
    if !is_column_name(name) {
        let message =
            format!("{place} has a column `{}`, a name that tables cannot hold", name.escape_debug());
        return refusal(message, format!("{COLUMN_NAME_RULE}; {WAY_OUT}"));
    }
    let twin = known.iter().map(|field| field.name.as_str()).find(|known| same(known))?;
    let message = format!(
        "{place} has a column `{name}`, which differs from the column `{twin}` in upper and lower case only"
    );
    refusal(
        message,
        format!(
            "add `rename: {{{name}: {twin}}}` to the connector where the data has only this one, \
             `rename: {{{name}: {twin}2}}` where it has both"
        ),
    )
}
