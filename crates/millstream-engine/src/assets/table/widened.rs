//! The analysis of a table against the columns that its sources hold now.
//!
//! The project is analysed against the contracts alone. Under `evolution: widen` a landing may have given a
//! column a wider type since; what is computed from it must become wider too, or its values would not fit.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::LogicalPlan;
use millstream_lake::At;
use millstream_project::{Evolution, SourceSpec, TableSpec};
use millstream_sql::analyze;
use millstream_types::AssetId;

use crate::{EngineError, assets::source::landing::own_columns, engine::World};

/// What a build needs of the analysis.
pub(super) struct Analysed {
    pub plan: LogicalPlan,
    pub stored_schema: SchemaRef,
}

/// The analysis of the SQL of `spec`. It is made again when a source that the table reads, directly or not, was widened, and when
/// its parameters have other values than in the project.
pub(super) async fn analysed(world: &World, spec: &TableSpec) -> Result<Analysed, EngineError> {
    let project = &world.project;
    let before = project.graph.upstream(&spec.name.asset_id());
    let values = |spec: &TableSpec| -> Vec<String> {
        spec.parameters.iter().map(|parameter| parameter.default.clone()).collect()
    };
    let has_other_values = project.table(&spec.name).is_some_and(|known| values(known) != values(spec));
    let widened = widened_sources(world, &before).await?;
    let sources = widened.or_else(|| has_other_values.then(|| project.spec.sources.clone()));
    if let Some(sources) = sources {
        let is_before =
            |table: &&TableSpec| table.name != spec.name && before.contains(&table.name.asset_id());
        let tables = project.spec.tables.iter().filter(is_before).chain([spec]);
        let tables: Vec<_> = tables.cloned().collect();
        let analysis = analyze(&sources, &tables);
        return match analysis.tables.get(&spec.name) {
            Some(found) => {
                Ok(Analysed { plan: found.plan.clone(), stored_schema: found.stored_schema.clone() })
            }
            None => Err(EngineError::Refused {
                table: spec.name.clone(),
                message: format!(
                    "does not fit its widened sources: {}",
                    analysis.diagnostics.first().map_or("its SQL cannot be planned", |found| &found.message)
                ),
                hint: "write the wider type into the source's contract, and mend the SQL".into(),
            }),
        };
    }
    let found = project.analysis.tables.get(&spec.name).ok_or_else(|| project.unknown_table(&spec.name))?;
    Ok(Analysed { plan: found.plan.clone(), stored_schema: Arc::clone(&found.stored_schema) })
}

/// All sources with the types that their tables hold; `None` when no source among `before` differs from its
/// contract.
async fn widened_sources(
    world: &World,
    before: &BTreeSet<AssetId>,
) -> Result<Option<Vec<SourceSpec>>, EngineError> {
    let mut sources = world.project.spec.sources.clone();
    let mut differs = false;
    let may_differ = |source: &&mut SourceSpec| {
        source.contract.evolution == Evolution::Widen && before.contains(&source.table().asset_id())
    };
    for source in sources.iter_mut().filter(may_differ) {
        let Some(snapshot) = world.lake.snapshot(&source.table(), At::Latest).await? else { continue };
        for field in own_columns(&snapshot) {
            let promised = source.contract.columns.get_mut(&field.name);
            let promised = promised.filter(|promised| promised.column_type.widens_to(&field.column_type));
            if let Some(promised) = promised {
                differs |= promised.column_type != field.column_type;
                promised.column_type = field.column_type;
            }
        }
    }
    Ok(differs.then_some(sources))
}
