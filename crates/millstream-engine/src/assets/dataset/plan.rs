//! From a dataset's definition to what the build needs: columns by number, sides, versions.

use std::{collections::BTreeMap, path::PathBuf};

use millstream_ml::dataset::{
    AsKnown, DatasetPlan, InputVersion, LabelColumns as MlColumns, Resources, Shares, SplitBy, SplitPlan,
};
use millstream_project::{self as project, DatasetSpec, LabelOrigin, SplitSpec};
use millstream_sql::features::{AnalyzedDataset, LabelColumns};
use millstream_types::{TableName, TimestampMicros};

use super::encodings;
use crate::EngineError;

/// The parts of a plan that are decided outside of the dataset's definition.
pub(super) struct Surroundings {
    pub versions: BTreeMap<TableName, i64>,
    pub output: PathBuf,
    /// Whether `output` is a folder of files that are named by their hash.
    pub named_by_hash: bool,
    /// The BLAKE3 hash of the file of labels; `None` where the labels come from a query.
    pub labels_blake3: Option<String>,
    pub now: TimestampMicros,
    pub resources: Resources,
}

pub(super) fn plan(
    spec: &DatasetSpec,
    analyzed: &AnalyzedDataset,
    columns: &LabelColumns,
    around: Surroundings,
) -> Result<DatasetPlan, EngineError> {
    let service = analyzed.service.clone();
    let mut keys = Vec::with_capacity(service.views.len());
    for view in &service.views {
        let of_entity = columns.entities.get(&view.entity).ok_or_else(|| EngineError::LabelColumn {
            origin: origin(spec),
            message: format!("there is no key for the entity `{}`", view.entity),
        })?;
        keys.push(of_entity.clone());
    }
    let as_known = spec.as_known.as_ref().map(|known| match &known.value {
        project::AsKnown::At(at) => AsKnown::At(at.0),
        project::AsKnown::LabelTime => AsKnown::LabelTime,
        project::AsKnown::Column(_) => columns.as_known.map_or(AsKnown::LabelTime, AsKnown::Column),
    });
    let is_target = |column: &usize| {
        *column != columns.time && !columns.entities.values().any(|keys| keys.contains(column))
    };
    let kept: Vec<usize> = (0..columns.kept).collect();
    let labels = MlColumns {
        origin: origin(spec),
        blake3: around.labels_blake3,
        schema: columns.schema(),
        keys,
        time: columns.time,
        as_known,
        targets: kept.iter().copied().filter(is_target).collect(),
        kept,
    };
    let split = spec.split.as_ref().map(|split| sides(spec, &split.value, columns));
    let inputs = around
        .versions
        .into_iter()
        .map(|(table, version)| InputVersion { table: table.to_string(), version })
        .collect();
    Ok(DatasetPlan {
        name: spec.name.clone(),
        labels,
        service,
        split,
        encodings: encodings::of(spec)?,
        inputs,
        code_version: format!("millstream {}", env!("CARGO_PKG_VERSION")),
        output: around.output,
        named_by_hash: around.named_by_hash,
        now: around.now,
        resources: around.resources,
    })
}

/// Where labels come from, for people and for the manifest.
fn origin(spec: &DatasetSpec) -> String {
    match &spec.labels.origin {
        LabelOrigin::Table(table) => table.value.to_string(),
        LabelOrigin::Sql(sql) => sql.value.trim().to_owned(),
        LabelOrigin::File(path) => path.value.clone(),
    }
}

fn sides(spec: &DatasetSpec, split: &SplitSpec, columns: &LabelColumns) -> SplitPlan {
    // Where neither the split nor the labels name an entity, the first one of the features is taken.
    let entity = || {
        let named = split.entity.as_ref().or_else(|| spec.labels.entities.first());
        let keys = match named {
            Some(name) => columns.entities.get(&name.value),
            None => columns.entities.values().next(),
        };
        keys.cloned().unwrap_or_default()
    };
    let by = match split.by {
        project::SplitBy::Time => SplitBy::Time { embargo: spec.embargo },
        project::SplitBy::Hash => SplitBy::Hash { columns: entity(), seed: split.seed },
        project::SplitBy::Random if split.entity.is_some() => {
            SplitBy::Hash { columns: entity(), seed: split.seed }
        }
        project::SplitBy::Random => SplitBy::Random { seed: split.seed },
    };
    let share =
        |percent: &Option<millstream_types::Percent>| percent.map_or(0.0, |percent| percent.fraction());
    SplitPlan {
        by,
        shares: Shares {
            train: split.train.fraction(),
            validation: share(&split.validation),
            test: share(&split.test),
        },
    }
}
