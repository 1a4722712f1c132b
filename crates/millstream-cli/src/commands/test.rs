//! `millstream test`: the project's own tests, given rows and expected rows.

use std::collections::BTreeSet;

use millstream_project::{ProjectSpec, TestSpec};
use millstream_sql::{TestOutcome, TestRow, Verdict, run_test};

use crate::{
    CliError, Exit, diagnostics, human,
    output::{self, BAD, FAINT, GOOD, styled},
    project,
    session::Session,
    show::table::table,
    wire::{TestDocument, TestResult},
};

/// Rows of a difference that are shown of each kind.
const ROWS_SHOWN: usize = 20;

/// Run the project's tests: given rows, expected rows, in memory
///
/// Reads `tests/*.yaml`: each test gives rows for some tables and the rows that a SQL table makes of them. No stored
/// data is read or written.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// Tables (`silver.orders`, `orders`) or parts of tests' names; without one, every test
    #[arg(value_name = "SELECTION")]
    pub(crate) selection: Vec<String>,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let project = project::open(session)?;
    let tests = select(&project.spec, &arguments.selection)?;
    let mut outcomes = Vec::with_capacity(tests.len());
    for test in tests {
        let outcome = run_test(test, &project.analysis, &project.spec.tables).await;
        if !session.settings.json {
            output::print(&text(&outcome, &project.spec))?;
        }
        outcomes.push(outcome);
    }
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    if session.settings.json {
        let results = outcomes.iter().map(|outcome| TestResult::new(outcome, &project.spec.files)).collect();
        output::print_json(&TestDocument { passed: outcomes.len() - failed, failed, tests: results })?;
    } else {
        let passed = format!("{} passed", outcomes.len() - failed);
        let said = if failed > 0 { styled(BAD, format_args!("{failed} failed, {passed}")) } else { passed };
        output::print_line(&format!("\n{}: {said}", human::count(outcomes.len() as u64, "test")))?;
    }
    Ok(if failed > 0 { Exit::Failure } else { Exit::Success })
}

/// The tests that any of the words fits.
fn select<'a>(spec: &'a ProjectSpec, words: &[String]) -> Result<Vec<&'a TestSpec>, CliError> {
    let fits = |test: &TestSpec, word: &str| {
        test.table.value.to_string() == word || test.table.value.name() == word || test.name.contains(word)
    };
    for word in words {
        if !spec.tests.iter().any(|test| fits(test, word)) {
            let tables: BTreeSet<String> =
                spec.tests.iter().map(|test| test.table.value.to_string()).collect();
            let names = spec.tests.iter().map(|test| test.name.as_str());
            let known: Vec<&str> = tables.iter().map(String::as_str).chain(names).collect();
            return Err(CliError::unknown("test or tested table", word, &known));
        }
    }
    let chosen = |test: &&TestSpec| words.is_empty() || words.iter().any(|word| fits(test, word));
    Ok(spec.tests.iter().filter(chosen).collect())
}

fn text(outcome: &TestOutcome, spec: &ProjectSpec) -> String {
    let title = format!("{}  {}", outcome.table, outcome.name);
    match &outcome.verdict {
        Verdict::Passed { rows } => {
            let rows = styled(FAINT, human::count(*rows as u64, "row"));
            format!("{} {title}  {rows}\n", styled(GOOD, '✓'))
        }
        Verdict::Different { columns, expected_rows, actual_rows, missing, unexpected, changed } => {
            let mut text = format!("{} {title}\n", styled(BAD, '✗'));
            if expected_rows != actual_rows {
                let expected = human::count(*expected_rows as u64, "row");
                text.push_str(&format!(
                    "    {expected} expected, {} came\n",
                    human::thousands(*actual_rows as u64)
                ));
            }
            text.push_str(&changes(columns, changed));
            text.push_str(&rows("missing", columns, missing));
            text.push_str(&rows("not expected", columns, unexpected));
            text
        }
        Verdict::Invalid(found) => {
            let found = diagnostics::render(found, &spec.files, output::colour_on_stderr());
            format!("{} {title}\n{}", styled(BAD, '✗'), indented(&found))
        }
        Verdict::Failed(error) => {
            let hint = error.hint().map(|hint| format!("    help: {hint}\n")).unwrap_or_default();
            format!("{} {title}\n    {error} ({})\n{hint}", styled(BAD, '✗'), error.code())
        }
    }
}

fn changes(columns: &[String], changed: &[millstream_sql::ChangedRow]) -> String {
    let mut text = String::new();
    for row in changed.iter().take(ROWS_SHOWN) {
        let cells: Vec<String> = columns
            .iter()
            .zip(&row.expected)
            .enumerate()
            .map(|(index, (column, expected))| match row.cells.iter().find(|cell| cell.column == index) {
                Some(cell) => format!(
                    "{column}: expected {}, got {}",
                    styled(GOOD, shown(cell.expected.as_ref())),
                    styled(BAD, shown(cell.actual.as_ref()))
                ),
                None => format!("{column}: {}", shown(expected.as_ref())),
            })
            .collect();
        text.push_str(&format!("    ~ {{{}}}\n", cells.join(", ")));
    }
    text.push_str(&more(changed.len()));
    text
}

fn rows(what: &str, columns: &[String], rows: &[TestRow]) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let header: Vec<&str> = columns.iter().map(String::as_str).collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .take(ROWS_SHOWN)
        .map(|row| row.iter().map(|cell| shown(cell.as_ref()).to_owned()).collect())
        .collect();
    let right = vec![false; columns.len()];
    let lines = indented(&table(&header, &cells, &right));
    format!("    {what}:\n{lines}{}", more(rows.len()))
}

fn more(rows: usize) -> String {
    match rows.checked_sub(ROWS_SHOWN) {
        None | Some(0) => String::new(),
        Some(rest) => format!("    … and {} more\n", human::thousands(rest as u64)),
    }
}

fn shown(cell: Option<&String>) -> &str {
    cell.map_or("null", String::as_str)
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("    {line}\n")).collect()
}
