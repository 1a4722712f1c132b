//! Short ways to write contracts, checks and batches.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, RecordBatch, StringArray},
    util::display::array_value_to_string,
};
use millstream_project::{
    Bounds, CheckKind, CheckSpec, FileId, Located, Location, NamedPattern, Pattern, Scalar,
};
use millstream_quality::{Contract, ContractColumn, ContractOptions, Evaluated, QualityError, Relations};
use millstream_types::{CheckId, Severity, TimestampMicros};

/// 2024-05-01T12:00:00Z
pub(crate) const NOW: TimestampMicros = TimestampMicros(1_714_564_800_000_000);

pub(crate) fn at() -> Location {
    Location { file: FileId(0), start: 3, end: 9 }
}

pub(crate) fn named(text: &str) -> Located<String> {
    Located::new(text.to_owned(), at())
}

pub(crate) fn check(id: &str, kind: CheckKind) -> CheckSpec {
    CheckSpec { id: CheckId::new(id), severity: Severity::Quarantine, kind, at: at() }
}

pub(crate) fn with(severity: Severity, mut spec: CheckSpec) -> CheckSpec {
    spec.severity = severity;
    spec
}

pub(crate) fn not_null(column: &str) -> CheckSpec {
    check(&format!("not_null({column})"), CheckKind::NotNull { column: named(column) })
}

pub(crate) fn unique(columns: &[&str]) -> CheckSpec {
    let id = format!("unique({})", columns.join(","));
    check(&id, CheckKind::Unique { columns: columns.iter().map(|column| named(column)).collect() })
}

pub(crate) fn range(column: &str, min: Option<Scalar>, max: Option<Scalar>) -> CheckSpec {
    check(
        &format!("range({column})"),
        CheckKind::Range { column: named(column), bounds: Bounds { min, max } },
    )
}

pub(crate) fn length(column: &str, min: Option<u64>, max: Option<u64>) -> CheckSpec {
    check(
        &format!("length({column})"),
        CheckKind::Length { column: named(column), bounds: Bounds { min, max } },
    )
}

pub(crate) fn one_of(column: &str, values: Vec<Scalar>) -> CheckSpec {
    check(&format!("one_of({column})"), CheckKind::OneOf { column: named(column), values })
}

pub(crate) fn pattern(column: &str, pattern: Pattern) -> CheckSpec {
    check(&format!("pattern({column})"), CheckKind::Pattern { column: named(column), pattern })
}

pub(crate) fn regex(column: &str, text: &str) -> CheckSpec {
    pattern(column, Pattern::Regex(text.into()))
}

pub(crate) fn form(column: &str, named: NamedPattern) -> CheckSpec {
    pattern(column, Pattern::Named(named))
}

pub(crate) fn expression(sql: &str) -> CheckSpec {
    check(&format!("expression({sql})"), CheckKind::Expression { sql: named(sql) })
}

pub(crate) fn text(value: &str) -> Scalar {
    Scalar::Text(value.into())
}

pub(crate) fn number(value: &str) -> Scalar {
    Scalar::Number(value.into())
}

pub(crate) fn column(name: &str, column_type: &str) -> ContractColumn {
    ContractColumn {
        name: name.into(),
        column_type: column_type.parse().unwrap(),
        pii: false,
        inferred: false,
    }
}

pub(crate) fn columns(types: &[(&str, &str)]) -> Vec<ContractColumn> {
    types.iter().map(|(name, column_type)| column(name, column_type)).collect()
}

pub(crate) fn try_compile(
    columns: &[ContractColumn],
    checks: &[CheckSpec],
) -> Result<Contract, QualityError> {
    compile_with(columns, checks, Severity::Quarantine, &Relations::new())
}

pub(crate) fn compile_with(
    columns: &[ContractColumn],
    checks: &[CheckSpec],
    type_severity: Severity,
    relations: &Relations,
) -> Result<Contract, QualityError> {
    Contract::compile(columns, &ContractOptions { checks, type_severity, relations, extra: &[], now: NOW })
}

pub(crate) fn compile(types: &[(&str, &str)], checks: &[CheckSpec]) -> Contract {
    try_compile(&columns(types), checks).unwrap()
}

pub(crate) fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

pub(crate) fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

/// Names of the failing checks, for each row.
pub(crate) fn failing(contract: &Contract, evaluated: &Evaluated) -> Vec<Vec<String>> {
    (0..evaluated.rows.num_rows())
        .map(|row| {
            let failed = evaluated.failures.iter().filter(|failure| failure.rows.value(row));
            failed.map(|failure| contract.checks()[failure.check].id.as_str().to_owned()).collect()
        })
        .collect()
}

pub(crate) fn shown(array: &dyn Array, row: usize) -> String {
    if array.is_null(row) { "null".into() } else { array_value_to_string(array, row).unwrap() }
}

/// The values after conversion to `column_type`: `✗` for one that did not fit.
pub(crate) fn converted(column_type: &str, raw: ArrayRef) -> Vec<String> {
    let contract = compile(&[("c", column_type)], &[]);
    let evaluated = contract.evaluate(&batch(vec![("c", raw)])).unwrap();
    let failed = failing(&contract, &evaluated);
    let typed = evaluated.rows.column(0);
    let show = |row: usize| match &*failed[row] {
        [] => shown(typed, row),
        [check] => {
            assert_eq!(check, "type(c)");
            assert!(typed.is_null(row), "a value that does not fit is null");
            "✗".into()
        }
        more => panic!("one check, but {more:?} failed"),
    };
    (0..typed.len()).map(show).collect()
}
