//! The columns of labels: those that are kept, and those by which features are found, in the types that this needs.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use indexmap::{IndexMap, IndexSet};
use millstream_features::view::ServiceDefinition;
use millstream_project::{
    AsKnown, DatasetFeatures, DatasetSpec, Diagnostic, FeaturesSpec, Located, Location,
};

use super::{
    types::{cast_exactly, kept_type, widens},
    view::is_time,
};
use crate::{catalog::timestamp, codes, nearest::name_hint, session::SqlError, type_name::type_name};

/// What is made of rows of labels. Columns are known by their numbers in [`LabelColumns::schema`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelColumns {
    columns: Vec<Column>,
    /// The number of columns, from the first one on, that are part of the dataset: keys, time, and those that are kept.
    pub kept: usize,
    /// The numbers of each entity's key columns, in the entity's order and types.
    pub entities: IndexMap<String, Vec<usize>>,
    /// The number of the column with the time at which features are wanted, microseconds UTC.
    pub time: usize,
    /// The number of the column with the time up to which rows were known, microseconds UTC.
    pub as_known: Option<usize>,
    /// The values that on-demand features need: the name and the column's number of each.
    pub request: Vec<(String, usize)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    /// The name that the column has in the labels' rows.
    source: String,
    name: String,
    data_type: DataType,
}

impl LabelColumns {
    /// Finds the columns of a dataset's labels among those of its rows, which come from a table, a query or a file.
    ///
    /// # Errors
    ///
    /// Every column that is missing, or whose type does not fit.
    pub fn find(
        spec: &DatasetSpec,
        features: &FeaturesSpec,
        service: &ServiceDefinition,
        rows: &Schema,
    ) -> Result<Self, Vec<Diagnostic>> {
        let mut find = Find { spec, rows, columns: Vec::new(), diagnostics: Vec::new() };
        let keys = find.keys(features, service);
        let kept = find.kept(&keys, service);
        let found = find.joined(keys, service);
        match found {
            Some((entities, time, as_known, request)) if find.diagnostics.is_empty() => {
                Ok(Self { columns: find.columns, kept, entities, time, as_known, request })
            }
            _ => Err(find.diagnostics),
        }
    }

    /// The columns that the labels' rows must have, each once.
    #[must_use]
    pub fn sources(&self) -> IndexSet<&str> {
        self.columns.iter().map(|column| column.source.as_str()).collect()
    }

    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        let fields = self.columns.iter();
        let fields = fields.map(|column| Field::new(&column.name, column.data_type.clone(), true));
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// The columns that are part of the dataset.
    #[must_use]
    pub fn kept_schema(&self) -> Schema {
        Schema::new(self.schema().fields().iter().take(self.kept).cloned().collect::<Vec<_>>())
    }

    /// Rows of labels in [`LabelColumns::schema`].
    ///
    /// # Errors
    ///
    /// A column is missing, or a value does not fit the type that joining needs.
    pub fn project(&self, rows: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let column = |column: &Column| -> Result<ArrayRef, SqlError> {
            let source = rows.column_by_name(&column.source).ok_or_else(|| {
                let message = format!("the labels have no column `{}`", column.source);
                SqlError::Invalid { code: codes::LABELS, message, place: None, label: None, hint: None }
            })?;
            cast_exactly(source, &column.data_type).map_err(|error| SqlError::Execution {
                message: format!("a value of the label column `{}` does not fit: {error}", column.source),
            })
        };
        let columns = self.columns.iter().map(column).collect::<Result<Vec<_>, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(self.schema(), columns, &options)
            .map_err(|error| SqlError::Execution { message: error.to_string() })
    }
}

/// The key columns of each entity among the labels' columns, with the types in which they are joined.
type Keys = IndexMap<String, Vec<(String, DataType)>>;
type Joined = (IndexMap<String, Vec<usize>>, usize, Option<usize>, Vec<(String, usize)>);

struct Find<'a> {
    spec: &'a DatasetSpec,
    rows: &'a Schema,
    columns: Vec<Column>,
    diagnostics: Vec<Diagnostic>,
}

impl Find<'_> {
    fn data_type(&self, name: &str) -> Option<&DataType> {
        self.rows.field_with_name(name).ok().map(Field::data_type)
    }

    /// The type in which a column is kept. A column that is not there, or that nothing can keep, is reported.
    fn found(&mut self, name: &str, what: &str, at: Location) -> Option<DataType> {
        let Some(found) = self.data_type(name) else {
            let known = self.rows.fields().iter().map(|field| field.name().as_str());
            let hint = name_hint(name, known, "their columns");
            let message = format!("the labels have no column `{name}`{what}");
            self.diagnostics.push(Diagnostic { hint, ..Diagnostic::error(codes::LABELS, message, at) });
            return None;
        };
        let kept = kept_type(found);
        if kept.is_none() {
            let message = format!("the label column `{name}` is {}", type_name(found));
            let hint = "cast it, or leave it out";
            self.diagnostics.push(Diagnostic::error(codes::LABELS, message, at).with_hint(hint));
        }
        kept
    }

    /// The entities that the labels are about: those that the labels name, or those of the features.
    fn keys(&mut self, features: &FeaturesSpec, service: &ServiceDefinition) -> Keys {
        let labels = &self.spec.labels;
        let written = labels.entities.iter().map(|entity| (entity.value.as_str(), entity.at));
        let of_features = service.entities.iter().map(|entity| (entity.name.as_str(), labels.at));
        let about: Vec<(&str, Location)> =
            if labels.entities.is_empty() { of_features.collect() } else { written.collect() };
        let mut keys = Keys::new();
        for (name, at) in about {
            let Some(entity) = features.entity(name) else { continue };
            let typed = service.entities.iter().find(|known| known.name == name);
            let types = |key: &str| {
                let key = typed?.keys.iter().find(|known| known.name == key)?;
                Some(key.data_type.clone())
            };
            let columns = entity.keys.iter().filter_map(|key| self.key(key, name, at, types(&key.value)));
            let columns = columns.collect();
            keys.insert(name.to_owned(), columns);
        }
        keys
    }

    fn key(
        &mut self,
        key: &Located<String>,
        entity: &str,
        at: Location,
        joined: Option<DataType>,
    ) -> Option<(String, DataType)> {
        let (column, at) = match self.spec.labels.keys.get(&key.value) {
            Some(column) => (&column.value, column.at),
            None => (&key.value, at),
        };
        let found = self.found(column, &format!(", the key `{key}` of `{entity}`"), at)?;
        let Some(joined) = joined else { return Some((column.clone(), found)) };
        if widens(&found, &joined) {
            return Some((column.clone(), joined));
        }
        let message = format!(
            "the label column `{column}` is {}, the key `{key}` of `{entity}` is {}",
            type_name(&found),
            type_name(&joined)
        );
        let hint = format!("cast one of the two: the label column, or `{key}` in the tables of the views");
        self.diagnostics.push(Diagnostic::error(codes::LABEL_KEY, message, at).with_hint(hint));
        None
    }

    /// Adds the columns that the dataset keeps: keys, time, then those that are asked for, or all in the order of the
    /// rows. The result is the number of columns.
    fn kept(&mut self, keys: &Keys, service: &ServiceDefinition) -> usize {
        let labels = &self.spec.labels;
        let mut names: IndexMap<String, Location> = IndexMap::new();
        if let Some(columns) = &labels.columns {
            let of_keys = keys.values().flatten().map(|(column, _)| (column.clone(), labels.at));
            names.extend(of_keys);
            names.insert(labels.time.value.clone(), labels.time.at);
            for column in columns {
                names.entry(column.value.clone()).or_insert(column.at);
            }
        } else {
            names.extend(self.rows.fields().iter().map(|field| (field.name().clone(), labels.at)));
        }
        let is_time = |name: &String| *name == labels.time.value;
        for (name, at) in &names {
            // A missing time column has a message of its own.
            if is_time(name) && self.data_type(name).is_none() {
                continue;
            }
            let Some(data_type) = self.found(name, "", *at) else { continue };
            self.columns.push(Column { source: name.clone(), name: name.clone(), data_type });
        }
        self.unique(&names, service);
        self.columns.len()
    }

    /// Reports columns whose names the dataset uses for something else.
    fn unique(&mut self, names: &IndexMap<String, Location>, service: &ServiceDefinition) {
        let taken = |name: &str| service.features.iter().any(|feature| feature.name == name);
        for (name, at) in names {
            let what = if taken(name) {
                "a feature"
            } else if name == "split" && self.spec.split.is_some() {
                "the column that says on which side of the split a row is"
            } else {
                continue;
            };
            let message = format!("`{name}` is a column of the labels and {what}");
            let hint = "leave it out with `columns`, or give it another name in the labels' `sql`";
            self.diagnostics.push(Diagnostic::error(codes::DATASET_COLUMN, message, *at).with_hint(hint));
        }
    }

    /// Adds the columns by which features are found.
    fn joined(&mut self, keys: Keys, service: &ServiceDefinition) -> Option<Joined> {
        let spec = self.spec;
        let time = self.time(&spec.labels.time.value, ", the time of the labels", spec.labels.time.at);
        let as_known = spec.as_known.as_ref();
        let as_known = match as_known.map(|known| (&known.value, known.at)) {
            Some((AsKnown::Column(column), at)) => {
                Some(self.time(column, ", the cut-off of known times", at)?)
            }
            Some((AsKnown::LabelTime | AsKnown::At(_), _)) | None => None,
        };
        let mut request = Vec::new();
        for value in service.request() {
            let at = match &spec.features {
                DatasetFeatures::Service(name) => name.at,
                DatasetFeatures::List(list) => list.first().map_or(spec.at, |item| item.at),
            };
            let what = ", which an on-demand feature needs from the request";
            let Some(found) = self.found(&value.name, what, at) else { continue };
            if !fits(&found, &value.data_type) {
                let message = format!(
                    "the label column `{}` is {}, the request value is {}",
                    value.name,
                    type_name(&found),
                    type_name(&value.data_type)
                );
                let hint = "cast the label column, or declare the value's type under `request`";
                self.diagnostics.push(Diagnostic::error(codes::LABELS, message, at).with_hint(hint));
                continue;
            }
            let index = self.request(&value.name, value.data_type.clone());
            request.push((value.name, index));
        }
        let mut entities = IndexMap::new();
        for (entity, columns) in keys {
            let columns = columns.into_iter().map(|(column, data_type)| self.column(&column, data_type));
            let columns: Vec<usize> = columns.collect();
            entities.insert(entity, columns);
        }
        Some((entities, time?, as_known, request))
    }

    fn time(&mut self, name: &str, what: &str, at: Location) -> Option<usize> {
        let found = self.found(name, what, at)?;
        if is_time(&found) {
            return Some(self.column(name, timestamp()));
        }
        let message = format!("`{name}` is {}, not a timestamp or a date", type_name(&found));
        let hint = "cast it in the labels' `sql`, or name another column";
        self.diagnostics.push(Diagnostic::error(codes::LABELS, message, at).with_hint(hint));
        None
    }

    /// The number of a column with a value of the request. On-demand features find it by its name, whether or not it is
    /// kept.
    fn request(&mut self, source: &str, data_type: DataType) -> usize {
        if self.columns.iter().any(|known| known.name == source) {
            return self.column(source, data_type);
        }
        self.columns.push(Column { source: source.to_owned(), name: source.to_owned(), data_type });
        self.columns.len() - 1
    }

    /// The number of a column in a type; a kept column is used where its type is the same.
    fn column(&mut self, source: &str, data_type: DataType) -> usize {
        let same = |known: &Column| known.source == source && known.data_type == data_type;
        if let Some(index) = self.columns.iter().position(same) {
            return index;
        }
        let name = format!("_joined_{}", self.columns.len());
        self.columns.push(Column { source: source.to_owned(), name, data_type });
        self.columns.len() - 1
    }
}

/// Whether a label column can stand for a request value.
fn fits(found: &DataType, wanted: &DataType) -> bool {
    widens(found, wanted)
        || (found.is_numeric() && *wanted == DataType::Float64)
        || (*found == DataType::Date32 && matches!(wanted, DataType::Timestamp(..)))
}
