//! A project of 1,000 assets of all kinds in which nothing changed: a run that finds nothing to do, `check` and `plan`; and the
//! same with 100,000 runs in the state store.

use std::process::Command;

use super::{Context, Row, project::Project};
use crate::{Result, process};

const SOURCES: usize = 60;
const TABLES: usize = 840;
const VIEWS: usize = 60;
const SERVICES: usize = 20;
const DATASETS: usize = 20;

/// Rows of a source.
const ROWS: usize = 10;

const RUNS: usize = 100_000;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let project = Project::new(context.folder.join("noop"))?;
    write(&project)?;
    context.once(&context.run_project(&project.folder))?;
    let mut rows = figures(context, &project, "")?;
    let mut filled = Command::new(context.example("many_runs")?);
    filled.arg(project.folder.join(".millstream/state.db")).arg(RUNS.to_string());
    process::run(&mut filled)?;
    rows.extend(figures(context, &project, ", 100,000 runs")?);
    Ok(rows)
}

fn figures(context: &Context<'_>, project: &Project, after: &str) -> Result<Vec<Row>> {
    let again = context.measure(|| Ok(()), || context.run_project(&project.folder))?;
    let check = context.measure(|| Ok(()), || context.millstream("check", &project.folder))?;
    let plan = context.measure(|| Ok(()), || context.millstream("plan", &project.folder))?;
    let assets = SOURCES + TABLES + VIEWS + SERVICES + DATASETS;
    Ok(vec![
        Row::seconds(format!("run of {assets} assets, nothing changed{after}"), again, 0.3),
        Row::seconds(format!("check of {assets} assets{after}"), check, 0.3),
        Row::seconds(format!("plan of {assets} assets{after}"), plan, 0.2),
    ])
}

/// Sources of a few rows; each table joins two earlier assets, chosen so that the graph is deep and wide; features over the
/// sources and what is made of them.
fn write(project: &Project) -> Result<()> {
    for source in 0..SOURCES {
        project.file(
            &format!("sources/s{source}.yaml"),
            &format!(
                "connector: {{type: files, path: data/s{source}.csv}}\n\
                 contract:\n  columns:\n    id: {{type: int64, required: true, unique: true}}\n    value: {{type: int64, range: [0, 1000]}}\n    at: {{type: timestamp}}\n"
            ),
        )?;
        let rows: String =
            (0..ROWS).map(|row| format!("{row},{},2026-01-01T00:00:00Z\n", row * source)).collect();
        project.file(&format!("data/s{source}.csv"), &format!("id,value,at\n{rows}"))?;
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
    write_features(project)
}

fn write_features(project: &Project) -> Result<()> {
    let views: String = (0..VIEWS)
        .map(|view| {
            let source = view % SOURCES;
            format!("  v{view}: {{from: bronze.s{source}, time: at, features: {{n: {{count: \"*\"}}, newest: {{column: value}}}}}}\n")
        })
        .collect();
    let services: String = (0..SERVICES)
        .map(|service| format!("  f{service}: [v{service}.*, v{}.*]\n", VIEWS - 1 - service))
        .collect();
    let text = format!("entity: {{name: thing, key: id}}\nviews:\n{views}services:\n{services}");
    project.file("features/thing.yaml", &text)?;
    for dataset in 0..DATASETS {
        project.file(
            &format!("datasets/d{dataset}.yaml"),
            &format!(
                "labels: {{from: bronze.s{dataset}, entity: thing, time: at, columns: [id, at]}}\nfeatures: f{}\nrefresh: on_change\n",
                dataset % SERVICES
            ),
        )?;
    }
    Ok(())
}
