//! A project of 500 assets in which nothing changed: a run that finds nothing to do, and `check`.

use super::{Context, Row, project::Project};
use crate::Result;

const SOURCES: usize = 50;
const TABLES: usize = 450;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let project = Project::new(context.folder.join("noop"))?;
    write(&project)?;
    context.once(&context.run_project(&project.folder))?;
    let again = context.measure(|| Ok(()), || context.run_project(&project.folder))?;
    let check = context.measure(|| Ok(()), || context.millstream("check", &project.folder))?;
    let assets = SOURCES + TABLES;
    Ok(vec![
        Row::seconds(format!("run of {assets} assets, nothing changed"), again, 0.3),
        Row::seconds(format!("check of {assets} assets"), check, 0.5),
    ])
}

/// Sources of a few rows; each table joins two earlier assets, chosen so that the graph is deep and wide.
fn write(project: &Project) -> Result<()> {
    for source in 0..SOURCES {
        project.file(
            &format!("sources/s{source}.yaml"),
            &format!(
                "connector: {{type: files, path: data/s{source}.csv}}\n\
                 contract:\n  columns:\n    id: {{type: int64, required: true, unique: true}}\n    value: {{type: int64, range: [0, 1000]}}\n"
            ),
        )?;
        let rows: String = (0..10).map(|row| format!("{row},{}\n", row * source)).collect();
        project.file(&format!("data/s{source}.csv"), &format!("id,value\n{rows}"))?;
    }
    for table in 0..TABLES {
        let name = |place: usize| match place.checked_sub(SOURCES) {
            None => format!("bronze.s{place}"),
            Some(table) => format!("silver.t{table}"),
        };
        let earlier = SOURCES + table;
        let (left, right) = (name((table * 7 + 3) % earlier), name((table * 13 + 5) % earlier));
        project.file(
            &format!("tables/silver/t{table}.sql"),
            &format!(
                "/*---\nmaterialize: table\nchecks:\n  - not_null: [id]\n---*/\n\
                 SELECT a.id, a.value + coalesce(b.value, 0) % 7 AS value FROM {left} a LEFT JOIN {right} b ON a.id = b.id\n"
            ),
        )?;
    }
    Ok(())
}
