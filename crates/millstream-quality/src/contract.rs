//! A contract, compiled: columns with their targets, checks with their kernels.

use std::{collections::HashSet, fmt, ops::Range, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, TimestampMicrosecondArray, new_null_array},
    datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
};
use millstream_project::{CheckKind, CheckSpec};
use millstream_types::{CheckId, ColumnType, Severity, Span, TimestampMicros};

use crate::{
    CheckProblem, QualityError, Relations,
    check::{self, Compiler, FutureCheck, RowCheck, TypeCheck, UndeclaredCheck},
    coerce::{Target, coerce},
    column::Column,
    evaluated::Evaluated,
    key::{Keys, is_int_type, keys_of},
};

/// A column that a source promises.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContractColumn {
    pub name: String,
    pub column_type: ColumnType,
    /// Whether the values are personal data, which the reasons of rejected rows mask.
    pub pii: bool,
    /// Whether the type was inferred from a sample. The column then may only hold values that give their text back: nobody
    /// has said that `007` is a number.
    pub inferred: bool,
}

/// What a contract is compiled with, besides its columns.
#[derive(Clone, Debug)]
pub struct ContractOptions<'a> {
    /// Row checks in the order of the file; table checks among them are left to [`crate::evaluate_table_checks`].
    pub checks: &'a [CheckSpec],
    /// The severity of a value that does not fit its column's type, for sources only.
    pub type_severity: Severity,
    /// Keys for relationship checks, see [`crate::relations_of`].
    pub relations: &'a Relations,
    /// Columns beyond the contract that pass untouched, after its own; absent ones are null.
    pub extra: &'a [FieldRef],
    /// What `now()` means in SQL conditions.
    pub now: TimestampMicros,
}

/// What the rows of a source whose events come one by one are judged by, besides the checks of its contract. Both checks reject.
#[derive(Clone, Copy, Debug, Default)]
pub struct StreamChecks<'a> {
    /// The column of the event time, and how far ahead of a row's arrival it may be.
    pub future: Option<(&'a str, Span)>,
    /// Whether a value outside of the contract's columns rejects its row.
    pub only_declared: bool,
}

/// One check as people and the state store see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckInfo {
    pub id: CheckId,
    pub severity: Severity,
    /// The columns that the check looks at; empty when it looks at the row as a whole.
    pub columns: Vec<String>,
}

impl CheckInfo {
    /// Whether a failing row is kept out of the table.
    #[must_use]
    pub fn rejects(&self) -> bool {
        self.severity >= Severity::Quarantine
    }
}

/// A compiled contract. Evaluating shares nothing that changes, so any number of threads may do it at once.
pub struct Contract {
    columns: Vec<Column>,
    extra: Vec<FieldRef>,
    schema: SchemaRef,
    checks: Vec<CheckInfo>,
    kernels: Vec<Box<dyn RowCheck>>,
    unique: Vec<UniqueCheck>,
    /// Whether a value that does not fit its type rejects the row.
    unfit_rejects: bool,
}

/// A unique check: which columns form the key.
#[derive(Clone, Debug)]
pub(crate) struct UniqueCheck {
    pub(crate) check: usize,
    pub(crate) rejects: bool,
    pub(crate) is_int: bool,
    pub(crate) names: Vec<String>,
    pub(crate) columns: Vec<Column>,
}

impl Contract {
    /// A source's contract: every column is converted to its type, and a value that does not fit fails the
    /// check `type(<column>)`. These checks come first, in the order of the columns.
    pub fn compile(columns: &[ContractColumn], options: &ContractOptions<'_>) -> Result<Self, QualityError> {
        Self::build(source_columns(columns)?, Some(columns.len()), options, &StreamChecks::default())
    }

    /// A source's contract as by [`Contract::compile`], with columns that were found behind the first `decided` ones. Their
    /// type checks come last, so that all others have the numbers that they have in the contract over the decided columns
    /// alone.
    pub fn compile_widened(
        columns: &[ContractColumn],
        decided: usize,
        options: &ContractOptions<'_>,
    ) -> Result<Self, QualityError> {
        Self::compile_stream(columns, decided, options, &StreamChecks::default())
    }

    /// A source's contract as by [`Contract::compile_widened`], for rows that are judged by further checks.
    pub fn compile_stream(
        columns: &[ContractColumn],
        decided: usize,
        options: &ContractOptions<'_>,
        stream: &StreamChecks<'_>,
    ) -> Result<Self, QualityError> {
        Self::build(source_columns(columns)?, Some(decided), options, stream)
    }

    /// A SQL table's contract: the columns have their types already. `pii` names the columns to mask.
    pub fn compile_table(
        schema: &Schema,
        pii: &HashSet<String>,
        options: &ContractOptions<'_>,
    ) -> Result<Self, QualityError> {
        Self::build(table_columns(schema, pii), None, options, &StreamChecks::default())
    }

    /// `typed_first` is the number of columns whose type checks come before all other checks; those of the rest come behind
    /// them. `None` is for columns that have their types already.
    fn build(
        columns: Vec<Column>,
        typed_first: Option<usize>,
        options: &ContractOptions<'_>,
        stream: &StreamChecks<'_>,
    ) -> Result<Self, QualityError> {
        let fields = columns.iter().map(|column| column.field.clone()).chain(options.extra.iter().cloned());
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let mut contract = Self {
            columns,
            extra: options.extra.to_vec(),
            schema,
            checks: Vec::new(),
            kernels: Vec::new(),
            unique: Vec::new(),
            unfit_rejects: options.type_severity >= Severity::Quarantine,
        };
        let typed_first = typed_first.map(|first| first.min(contract.columns.len()));
        if let Some(first) = typed_first {
            contract.add_type_checks(0..first, options.type_severity);
        }
        let compiler = Compiler::new(&contract.columns, Some(options.relations), options.now);
        let mut compiled = Vec::new();
        for spec in options.checks.iter().filter(|spec| spec.kind.is_row_check()) {
            let kernel = compiler.row_check(spec).map_err(|problem| check::as_error(spec, problem))?;
            compiled.push((spec, kernel));
        }
        for (spec, kernel) in compiled {
            contract.add(spec, kernel);
        }
        contract.add_stream_checks(stream, options.now);
        if let Some(first) = typed_first {
            contract.add_type_checks(first..contract.columns.len(), options.type_severity);
        }
        Ok(contract)
    }

    fn add_type_checks(&mut self, columns: Range<usize>, severity: Severity) {
        for column in self.columns.get(columns).unwrap_or_default() {
            let id = CheckId::new(&format!("type({})", column.name()));
            self.checks.push(CheckInfo { id, severity, columns: vec![column.name().to_owned()] });
            self.kernels.push(Box::new(TypeCheck::new(column.clone(), severity)));
        }
    }

    fn add_stream_checks(&mut self, stream: &StreamChecks<'_>, now: TimestampMicros) {
        if let Some((name, ahead_max)) = stream.future
            && let Some(column) = self.columns.iter().find(|column| column.name() == name)
            && let Some(kernel) = FutureCheck::new(column, ahead_max, now)
        {
            self.add_rejecting(&format!("future({name})"), Box::new(kernel));
        }
        if stream.only_declared {
            let declared = self.columns.iter().map(|column| column.name().to_owned()).collect();
            self.add_rejecting("columns", Box::new(UndeclaredCheck::new(declared)));
        }
    }

    fn add_rejecting(&mut self, id: &str, kernel: Box<dyn RowCheck>) {
        let (id, severity) = (CheckId::new(id), Severity::Quarantine);
        self.checks.push(CheckInfo { id, severity, columns: kernel.columns() });
        self.kernels.push(kernel);
    }

    fn add(&mut self, spec: &CheckSpec, kernel: Box<dyn RowCheck>) {
        let info = CheckInfo { id: spec.id.clone(), severity: spec.severity, columns: kernel.columns() };
        if let CheckKind::Unique { .. } = spec.kind {
            let named = |name: &String| self.columns.iter().find(|column| column.name() == name).cloned();
            let columns: Vec<Column> = info.columns.iter().filter_map(named).collect();
            self.unique.push(UniqueCheck {
                check: self.checks.len(),
                rejects: info.rejects(),
                is_int: matches!(&*columns, [column] if is_int_type(column.data_type())),
                names: info.columns.clone(),
                columns,
            });
        }
        self.checks.push(info);
        self.kernels.push(kernel);
    }

    /// The checks, in the order in which the first failing one names a rejected row.
    #[must_use]
    pub fn checks(&self) -> &[CheckInfo] {
        &self.checks
    }

    /// The schema of [`Evaluated::rows`]: the contract's columns, then the extra ones.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn unique_checks(&self) -> &[UniqueCheck] {
        &self.unique
    }

    pub(crate) fn kernels(&self) -> &[Box<dyn RowCheck>] {
        &self.kernels
    }

    /// Converts a batch and tests its rows. Columns are found by name; an absent one is null throughout.
    /// The verdict on uniqueness is added by [`crate::UniqueIndex::check`].
    pub fn evaluate(&self, raw: &RecordBatch) -> Result<Evaluated, QualityError> {
        self.evaluate_arrived(raw, None)
    }

    /// As [`Contract::evaluate`], for rows that arrived at these instants, one for each row, instead of when the contract was
    /// compiled.
    pub fn evaluate_arrived(
        &self,
        raw: &RecordBatch,
        arrived: Option<&TimestampMicrosecondArray>,
    ) -> Result<Evaluated, QualityError> {
        let rows = raw.num_rows();
        let mut arrays = Vec::with_capacity(self.schema.fields().len());
        let mut unfit = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let Some(array) = raw.column_by_name(column.name()) else {
                arrays.push(new_null_array(column.data_type(), rows));
                unfit.push(None);
                continue;
            };
            let coerced = column.coerced(array)?;
            arrays.push(coerced.array);
            unfit.push(coerced.failed);
        }
        for field in &self.extra {
            arrays.push(extra_column(raw, field)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let typed = RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options);
        let typed = typed.map_err(QualityError::arrow("put the converted columns together"))?;
        let mut evaluated = Evaluated::new(typed, unfit, self.unfit_rejects, arrived.cloned());
        for (check, kernel) in self.kernels.iter().enumerate() {
            let view = evaluated.view(raw);
            if let Some(failed) = kernel.failures(&view)? {
                evaluated.add(check, failed, self.checks[check].rejects());
            }
        }
        evaluated.keys = self.unique.iter().map(|check| check.keys(&evaluated.rows)).collect();
        Ok(evaluated)
    }
}

impl fmt::Debug for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contract")
            .field("schema", &self.schema)
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}

impl UniqueCheck {
    fn keys(&self, typed: &RecordBatch) -> Keys {
        let columns: Vec<&ArrayRef> = self.columns.iter().map(|column| column.array(typed)).collect();
        keys_of(&columns)
    }

    /// The keys of rows that are stored, whatever encoding the reader gave them.
    pub(crate) fn keys_by_name(&self, rows: &RecordBatch) -> Result<Keys, QualityError> {
        let mut columns = Vec::with_capacity(self.columns.len());
        for column in &self.columns {
            let name = column.name();
            let array = rows
                .column_by_name(name)
                .ok_or_else(|| QualityError::ColumnMissing { column: name.into() })?;
            columns.push(coerce(array, &column.target)?.array);
        }
        Ok(keys_of(&columns.iter().collect::<Vec<_>>()))
    }
}

fn extra_column(raw: &RecordBatch, field: &FieldRef) -> Result<ArrayRef, QualityError> {
    let Some(array) = raw.column_by_name(field.name()) else {
        return Ok(new_null_array(field.data_type(), raw.num_rows()));
    };
    if array.data_type() == field.data_type() {
        return Ok(array.clone());
    }
    if array.data_type() == &DataType::Null {
        return Ok(new_null_array(field.data_type(), raw.num_rows()));
    }
    Err(QualityError::ColumnType {
        column: field.name().clone(),
        found: array.data_type().to_string(),
        expected: field.data_type().to_string(),
    })
}

fn source_columns(columns: &[ContractColumn]) -> Result<Vec<Column>, QualityError> {
    let column = |(index, column): (usize, &ContractColumn)| {
        let target = Target::new(&column.column_type)
            .map_err(|zone| QualityError::Zone { column: column.name.clone(), zone })?;
        let field = Arc::new(Field::new(&column.name, target.data_type(), true));
        let inferred = column.inferred.then(|| column.column_type.clone());
        Ok(Column { index, field, target, pii: column.pii, inferred })
    };
    columns.iter().enumerate().map(column).collect()
}

fn table_columns(schema: &Schema, pii: &HashSet<String>) -> Vec<Column> {
    let column = |(index, field): (usize, &FieldRef)| {
        let target = Target::typed(field.data_type());
        let plain = Arc::new(field.as_ref().clone().with_data_type(target.data_type()).with_nullable(true));
        Column { index, field: plain, target, pii: pii.contains(field.name()), inferred: None }
    };
    schema.fields().iter().enumerate().map(column).collect()
}

/// Every problem of these checks, row and table checks alike, against a table's columns; needs no data.
#[must_use]
pub fn validate(schema: &Schema, checks: &[CheckSpec]) -> Vec<CheckProblem> {
    let columns = table_columns(schema, &HashSet::new());
    let compiler = Compiler::new(&columns, None, TimestampMicros(0));
    checks
        .iter()
        .filter_map(|spec| compiler.problem(spec).map(|problem| check::located(spec, problem)))
        .collect()
}
