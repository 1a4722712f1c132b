//! Names that a table can have for its columns and for the members of nested ones: the rules of Delta and of those who read it.

use crate::{ColumnType, Field};

/// What a column's name may be, for hints.
pub const COLUMN_NAME_RULE: &str = "names are not empty and hold no blanks and none of `,;{}()=`";

/// Whether a table can have a column with this name.
#[must_use]
pub fn is_column_name(name: &str) -> bool {
    let is_unfit = |character: char| {
        character.is_control() || matches!(character, ' ' | ',' | ';' | '{' | '}' | '(' | ')' | '=')
    };
    !name.is_empty() && !name.contains(is_unfit)
}

/// Why a table cannot hold the members of a nested type, if so: a name that no column can have, or two that differ in upper
/// and lower case only.
#[must_use]
pub fn unfit_member(column_type: &ColumnType) -> Option<String> {
    match column_type {
        ColumnType::List(element) => unfit_member(element),
        ColumnType::Struct(members) => members.iter().enumerate().find_map(|(at, member)| {
            let name = &member.name;
            if !is_column_name(name) {
                return Some(format!(
                    "the member `{}` has a name that tables cannot hold",
                    name.escape_debug()
                ));
            }
            let same = |other: &&Field| other.name.to_lowercase() == name.to_lowercase();
            match members.iter().take(at).find(same) {
                Some(twin) => Some(format!(
                    "the members `{name}` and `{}` differ only in upper and lower case",
                    twin.name
                )),
                None => unfit_member(&member.column_type),
            }
        }),
        _ => None,
    }
}
