//! A folder of small projects and what analysis says of each: one snapshot per file.

use std::{fmt::Write as _, fs, path::Path};

use millstream_sql::{Analysis, TableAnalysis};

use crate::support;

#[test]
fn every_case_gives_its_recorded_answer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/cases");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 20, "cases are missing");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let project = support::project(&text);
        let analysis = project.analyze();
        let mut answer = support::render(&analysis.diagnostics, &project.tables);
        for table in analysis.tables.values() {
            describe(table, &analysis, &mut answer);
        }
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        insta::with_settings!({prepend_module_to_snapshot => false, omit_expression => true, description => text}, {
            insta::assert_snapshot!(name, answer);
        });
    }
}

fn describe(table: &TableAnalysis, analysis: &Analysis, answer: &mut String) {
    let reads: Vec<_> = table.dependencies.iter().map(ToString::to_string).collect();
    writeln!(answer, "\n{}: {}", table.name, support::describe(&table.schema)).unwrap();
    writeln!(answer, "  reads {}", reads.join(", ")).unwrap();
    assert!(analysis.schema(&table.name).is_some());
    let lineage = table.lineage();
    for (column, inputs) in &lineage.columns {
        let direct = inputs.direct.iter().map(|(from, kind)| format!("{from} {kind:?}"));
        let indirect = inputs.indirect.iter().map(|(from, kind)| format!("({from} {kind:?})"));
        let inputs: Vec<_> = direct.chain(indirect).collect();
        writeln!(answer, "  {column} <- {}", inputs.join(", ")).unwrap();
    }
    if !lineage.rows.is_empty() {
        let rows: Vec<_> = lineage.rows.iter().map(|(from, kind)| format!("{from} {kind:?}")).collect();
        writeln!(answer, "  rows <- {}", rows.join(", ")).unwrap();
    }
}
