//! Names that a table can have for its columns: the rules of Delta and of those who read it. Pure.

use millstream_types::{ColumnType, Field, LANDING_COLUMNS};

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
    if !is_storable(name) {
        let message =
            format!("{place} has a column `{}`, a name that tables cannot hold", name.escape_debug());
        let rule = "names are not empty and hold no blanks and none of `,;{}()=`";
        return refusal(message, format!("{rule}; {WAY_OUT}"));
    }
    let twin = known.iter().map(|field| field.name.as_str()).find(|known| same(known))?;
    let message = format!(
        "{place} has a column `{name}`, which differs from the column `{twin}` in upper and lower case only"
    );
    refusal(message, format!("write `{twin}` in the contract as the data does, or {WAY_OUT}"))
}

/// Whether every member of a nested type has a name that a table can hold.
pub(super) fn has_storable_members(column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::List(element) => has_storable_members(element),
        ColumnType::Struct(members) => members.iter().enumerate().all(|(at, member)| {
            let same = |other: &Field| other.name.to_lowercase() == member.name.to_lowercase();
            is_storable(&member.name)
                && has_storable_members(&member.column_type)
                && !members.iter().take(at).any(same)
        }),
        _ => true,
    }
}

fn is_storable(name: &str) -> bool {
    let is_unfit = |character: char| {
        character.is_control() || matches!(character, ' ' | ',' | ';' | '{' | '}' | '(' | ')' | '=')
    };
    !name.is_empty() && !name.contains(is_unfit)
}
