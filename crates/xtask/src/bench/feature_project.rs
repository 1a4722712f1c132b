//! Projects with feature views in the shape of Feast's own benchmark: one entity, views of ten columns.

use std::fmt::Write;

use super::{Context, project::Project};
use crate::Result;

/// Columns of a view.
pub(super) const COLUMNS: usize = 10;

/// A source `rows` of Parquet files in `data/`: `entity`, `event_timestamp`, then a column of each of the types.
pub(super) fn source(project: &Project, types: &[&str]) -> Result<()> {
    let mut text = String::from(
        "connector: {type: files, path: data/*.parquet}\ncontract:\n  columns:\n    \
         entity: {type: int64, required: true}\n    event_timestamp: {type: timestamp, required: true}\n",
    );
    for (at, name) in types.iter().enumerate() {
        writeln!(text, "    f_{at}: {{type: {name}}}")?;
    }
    project.file("sources/rows.yaml", &text)
}

/// So many views of the newest row's columns, and the service `fs_0` of all of them.
pub(super) fn newest_views(project: &Project, views: usize) -> Result<()> {
    let mut text = String::from("entity: {name: entity, key: entity}\nviews:\n");
    for view in 0..views {
        write!(text, "  fv_{view}:\n    from: bronze.rows\n    time: event_timestamp\n    features:\n")?;
        for column in view * COLUMNS..(view + 1) * COLUMNS {
            writeln!(text, "      f_{column}: {{column: f_{column}}}")?;
        }
    }
    let all: Vec<_> = (0..views).map(|view| format!("fv_{view}.*")).collect();
    writeln!(text, "services:\n  fs_0: [{}]", all.join(", "))?;
    project.file("features/entity.yaml", &text)
}

/// One view of ten features over windows of 1 hour to 90 days.
pub(super) fn windowed_view(project: &Project) -> Result<()> {
    project.file(
        "features/entity.yaml",
        r#"entity: {name: entity, key: entity}
views:
  windows:
    from: bronze.rows
    time: event_timestamp
    features:
      count_1h:  {count: "*", window: 1h}
      count_7d:  {count: "*", window: 7d}
      count_90d: {count: "*", window: 90d}
      sum_7d:    {sum: f_5, window: 7d}
      sum_30d:   {sum: f_5, window: 30d}
      mean_30d:  {mean: f_5, window: 30d}
      mean_90d:  {mean: f_5, window: 90d}
      min_90d:   {min: f_6, window: 90d}
      max_90d:   {max: f_6, window: 90d}
      last_90d:  {last: f_0, window: 90d}
services:
  fs_0: [windows.*]
"#,
    )
}

/// A landed project in `folder` of the views that `define` writes, over `rows` rows of `entities` entities. None of the views
/// is online yet.
pub(super) fn landed(
    context: &Context<'_>,
    folder: &str,
    types: &[&str],
    (rows, entities): (u64, u64),
    define: impl FnOnce(&Project) -> Result<()>,
) -> Result<Project> {
    let columns = types.join(",");
    let data = context.data(
        &format!("features-{rows}-{entities}-{}.parquet", types.len()),
        "features_data.py",
        &[&rows.to_string(), &entities.to_string(), &columns],
    )?;
    let project = Project::new(context.folder.join(folder))?;
    source(&project, types)?;
    define(&project)?;
    project.link(&data, "data/rows.parquet")?;
    context.once(context.run_project(&project.folder).arg("rows"))?;
    Ok(project)
}
