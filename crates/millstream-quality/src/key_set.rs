//! The keys of another table's column, for relationship checks.

use std::{collections::HashMap, fmt, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, RecordBatch},
    compute::cast,
    datatypes::DataType,
};
use datafusion::{catalog::TableProvider, logical_expr::ident};
use futures::{TryStreamExt, future::BoxFuture};
use millstream_project::{CheckKind, CheckSpec};
use millstream_query::{Execution, QueryRuntime, scan};
use millstream_types::TableName;

use crate::{
    QualityError,
    coerce::{Target, coerce},
    key::{is_int_type, keys_of},
    unique::{HashSet, IntSet, Seen},
};

/// A column of a table that relationship checks refer to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Relation {
    pub table: TableName,
    pub column: String,
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table, self.column)
    }
}

/// The keys that relationship checks need, loaded before a contract is compiled.
pub type Relations = HashMap<Relation, Arc<KeySet>>;

/// The columns of other tables that these checks refer to, each once.
#[must_use]
pub fn relations_of(checks: &[CheckSpec]) -> Vec<Relation> {
    let mut relations = Vec::new();
    for check in checks {
        if let CheckKind::Relationship { to_table, to_column, .. } = &check.kind {
            let relation = Relation { table: to_table.value.clone(), column: to_column.clone() };
            if !relations.contains(&relation) {
                relations.push(relation);
            }
        }
    }
    relations
}

/// The values of a column, without nulls and repetitions. A key takes as much memory as in [`crate::UniqueIndex`].
#[derive(Debug)]
pub struct KeySet {
    pub(crate) data_type: DataType,
    seen: Seen,
}

impl KeySet {
    /// An empty set of values of this type.
    #[must_use]
    pub fn new(data_type: &DataType) -> Self {
        let target = Target::typed(data_type);
        let seen = if is_int_type(&target.data_type()) {
            Seen::Int(IntSet::default())
        } else {
            Seen::Hash(HashSet::default())
        };
        Self { data_type: target.data_type(), seen }
    }

    /// Reads `column` of a table.
    pub fn load<'a>(
        runtime: &'a dyn QueryRuntime,
        table: Arc<dyn TableProvider>,
        column: &'a str,
    ) -> BoxFuture<'a, Result<Self, QualityError>> {
        Box::pin(async move {
            let schema = table.schema();
            let field = schema
                .field_with_name(column)
                .map_err(|_| QualityError::ColumnMissing { column: column.into() })?;
            let mut set = Self::new(field.data_type());
            let doing = || QualityError::query(format!("read the keys in `{column}`"));
            let plan = scan(table).and_then(|rows| rows.project([ident(column)])?.build()).map_err(doing())?;
            let mut batches = runtime.stream(plan, Execution::default()).await.map_err(doing())?;
            while let Some(batch) = batches.try_next().await.map_err(doing())? {
                set.add(&batch)?;
            }
            Ok(set)
        })
    }

    /// Adds the first column of a batch.
    pub fn add(&mut self, batch: &RecordBatch) -> Result<(), QualityError> {
        let values = coerce(batch.column(0), &Target::AsIs(self.data_type.clone()))?;
        self.seen.insert_all(&keys_of(&[&values.array]), None, |_| {});
        Ok(())
    }

    /// The rows of `values` that hold a value which is not in the set.
    pub(crate) fn missing(
        &self,
        values: &ArrayRef,
    ) -> Result<Option<arrow::buffer::BooleanBuffer>, QualityError> {
        let same_type = if values.data_type() == &self.data_type || self.data_type.is_integer() {
            values.clone()
        } else {
            cast(values, &self.data_type).map_err(QualityError::arrow("compare keys"))?
        };
        let keys = keys_of(&[&same_type]);
        Ok(crate::bitmap::of_rows(values.len(), values.nulls(), |row| !self.seen.contains(&keys, row)))
    }
}

/// Whether values of the two types can be compared as keys without a loss.
pub(crate) fn comparable(left: &DataType, right: &DataType) -> bool {
    let (left, right) = (crate::coerce::plain_type(left), crate::coerce::plain_type(right));
    match (&left, &right) {
        (a, b) if a.is_integer() && b.is_integer() => true,
        (DataType::Decimal128(_, a), DataType::Decimal128(_, b)) => a <= b,
        (a, b) => a == b && crate::key::is_key_type(a),
    }
}
