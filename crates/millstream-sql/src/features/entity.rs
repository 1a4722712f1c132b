//! The key types of entities: one for all views of an entity, wide enough for each.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use millstream_features::view::KeyDefinition;
use millstream_project::{Diagnostic, EntitySpec, Located, Location, ProjectSpec};

use super::{
    types::{is_key, kept_type, wider},
    view::Base,
};
use crate::{codes, type_name::type_name};

/// The entities' keys, as far as their views tell.
#[derive(Debug, Default)]
pub(super) struct Entities<'a> {
    keys: HashMap<&'a str, Vec<Key<'a>>>,
}

#[derive(Debug)]
struct Key<'a> {
    name: &'a Located<String>,
    data_type: DataType,
    /// The name and the place of the view that first had the type.
    first: (&'a str, Location),
}

impl<'a> Entities<'a> {
    /// Takes in the keys of a view. The error holds the problems of the keys; a view whose entity is unknown has its
    /// message elsewhere.
    pub(super) fn add(&mut self, base: &Base<'_>, spec: &'a ProjectSpec) -> Result<(), Vec<Diagnostic>> {
        let entity = spec.features.entity(&base.spec.entity).ok_or_else(Vec::new)?;
        let view = spec.features.view(&base.spec.name).ok_or_else(Vec::new)?;
        let (mut types, mut diagnostics) = (Vec::new(), Vec::new());
        for key in &entity.keys {
            match key_type(base, key, entity) {
                Ok(data_type) => types.push(data_type),
                Err(diagnostic) => diagnostics.push(*diagnostic),
            }
        }
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        let place = (view.name.as_str(), view.at);
        let Some(known) = self.keys.get_mut(entity.name.as_str()) else {
            let keys = entity.keys.iter().zip(types);
            let keys = keys.map(|(name, data_type)| Key { name, data_type, first: place });
            self.keys.insert(&entity.name, keys.collect());
            return Ok(());
        };
        for (key, found) in known.iter_mut().zip(types) {
            match wider(&key.data_type, &found) {
                Some(both) if both == key.data_type => {}
                Some(both) => *key = Key { name: key.name, data_type: both, first: place },
                None => diagnostics.push(conflict(key, &found, place, spec)),
            }
        }
        if diagnostics.is_empty() { Ok(()) } else { Err(diagnostics) }
    }

    /// The keys of an entity; `None` when no view tells their types.
    pub(super) fn keys(&self, entity: &str) -> Option<Vec<KeyDefinition>> {
        let definition =
            |key: &Key<'_>| KeyDefinition { name: key.name.value.clone(), data_type: key.data_type.clone() };
        self.keys.get(entity).map(|keys| keys.iter().map(definition).collect())
    }
}

fn key_type(
    base: &Base<'_>,
    key: &Located<String>,
    entity: &EntitySpec,
) -> Result<DataType, Box<Diagnostic>> {
    let (view, relation) = (base.spec, &base.relation);
    let Some(found) = relation.data_type(&key.value) else {
        let message = format!("{} has no column `{key}`, the key of `{}`", relation.called, entity.name);
        let at = view.sql.as_ref().map_or(view.from.at, |sql| sql.at);
        let hint = relation.nearest(&key.value);
        return Err(Box::new(Diagnostic { hint, ..Diagnostic::error(codes::FEATURE_COLUMN, message, at) }));
    };
    kept_type(found).filter(is_key).ok_or_else(|| {
        let message = format!("`{key}` is {} in `{}`, which cannot be a key", type_name(found), view.name);
        let hint = "keys are numbers, texts, dates, timestamps, booleans or bytes";
        Box::new(Diagnostic::error(codes::ENTITY_KEY, message, view.at).with_hint(hint))
    })
}

fn conflict(key: &Key<'_>, found: &DataType, (view, at): (&str, Location), spec: &ProjectSpec) -> Diagnostic {
    let (other, other_at) = key.first;
    let place = spec.files.get(other_at.file).map(|file| {
        let (line, _) = file.line_column(other_at.start);
        format!("`{other}` is in {}:{line}", file.path.display())
    });
    let message = format!(
        "the key `{}` is {} in `{view}` and {} in `{other}`",
        key.name,
        type_name(found),
        type_name(&key.data_type)
    );
    let hint = format!("cast it in the `sql` of one of the two: `SELECT cast(…) AS {}, …`", key.name);
    Diagnostic { label: place, ..Diagnostic::error(codes::ENTITY_KEY, message, at).with_hint(hint) }
}
