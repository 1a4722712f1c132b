//! What a query sees of a continuous table beside its committed rows: results that its pipeline has told and not committed yet.
//!
//! A reader takes the version and the results that follow on it together, so that no row is there twice and none is missing, whatever is committed meanwhile.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::datatypes::SchemaRef;
use datafusion::{
    catalog::{TableProvider, view::ViewTable},
    common::{Column, JoinType, NullEquality},
    datasource::{MemTable, provider_as_source},
    error::DataFusionError,
    logical_expr::{Expr, Join, JoinConstraint, LogicalPlan, LogicalPlanBuilder},
    prelude::ident,
};
use millstream_lake::{At, Lake};
use millstream_quality::Contract;
use millstream_types::TableName;

use super::buffer::{Key, Net, Told};
use crate::{EngineError, resolver::provider};

/// The continuous tables that are at work in a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct LiveTables(Arc<Mutex<BTreeMap<TableName, Arc<LiveTable>>>>);

/// A continuous table at work.
pub(super) struct LiveTable {
    pub table: TableName,
    pub schema: SchemaRef,
    pub key: Vec<String>,
    /// What keeps rows out of the table.
    pub contract: Option<Contract>,
    pub told: ToldRows,
}

/// Results that follow on a version of the table.
#[derive(Debug, Default)]
pub(super) struct ToldRows(Mutex<Following>);

#[derive(Debug, Default)]
struct Following {
    /// `None` before the pipeline knows its table's version.
    version: Option<i64>,
    rows: Vec<Told>,
}

/// Takes the table from the list when its pipeline ends.
#[derive(Debug)]
pub(super) struct Listed {
    tables: LiveTables,
    table: Arc<LiveTable>,
}

impl fmt::Debug for LiveTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveTable").field("table", &self.table).finish_non_exhaustive()
    }
}

impl LiveTables {
    /// Lets queries see what the table's pipeline tells, until the result is dropped.
    pub(super) fn list(&self, table: Arc<LiveTable>) -> Listed {
        self.tables().insert(table.table.clone(), table.clone());
        Listed { tables: self.clone(), table }
    }

    /// The committed rows of a table and what was told since; `None` of a table that is not at work in this process, or has told nothing since.
    pub(crate) async fn read(
        &self,
        lake: &Lake,
        table: &TableName,
    ) -> Result<Option<Arc<dyn TableProvider>>, EngineError> {
        let Some(live) = self.tables().get(table).cloned() else { return Ok(None) };
        let Some((version, told)) = live.told.get() else { return Ok(None) };
        let Some(snapshot) = lake.snapshot(table, At::Version(version)).await? else { return Ok(None) };
        // Until the first commit under another definition the table has other columns.
        if told.is_empty() || snapshot.schema() != live.schema {
            return Ok(None);
        }
        let key = (!live.key.is_empty()).then(|| Key::of(&live.schema, &live.key, table)).transpose()?;
        let net = live.accepted(Net::of(table, &live.schema, key.as_ref(), &told)?)?;
        let committed = provider(lake, &snapshot)?;
        live.joined(committed, net).map(Some).map_err(EngineError::rows)
    }

    fn tables(&self) -> MutexGuard<'_, BTreeMap<TableName, Arc<LiveTable>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        let mut tables = self.tables.tables();
        if tables.get(&self.table.table).is_some_and(|listed| Arc::ptr_eq(listed, &self.table)) {
            tables.remove(&self.table.table);
        }
    }
}

impl LiveTable {
    /// The results that the table's contract lets in.
    fn accepted(&self, net: Net) -> Result<Net, EngineError> {
        let Some(contract) = &self.contract else { return Ok(net) };
        let quality = |source| EngineError::Quality { table: self.table.clone(), source };
        let accepted =
            |rows| contract.evaluate(rows).and_then(|evaluated| evaluated.accepted()).map_err(quality);
        let rows = net.rows.iter().map(accepted).collect::<Result<_, _>>()?;
        Ok(Net { rows, ..net })
    }

    /// The committed rows without those whose place is taken, and the results.
    fn joined(
        &self,
        committed: Arc<dyn TableProvider>,
        net: Net,
    ) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let names: Vec<Expr> = self.schema.fields().iter().map(|field| ident(field.name())).collect();
        let committed = scan("committed", committed)?;
        let keys = match &net.keys {
            Some(keys) => keys.batch(&self.table).map_err(|error| DataFusionError::External(error.into()))?,
            None => None,
        };
        let stays = match keys {
            None => committed,
            Some(keys) => {
                let side = |name: &str, of: &str| Expr::Column(Column::new(Some(of.to_owned()), name));
                let on = self.key.iter().map(|name| (side(name, "keys"), side(name, "committed"))).collect();
                let keys = scan("keys", Arc::new(MemTable::try_new(keys.schema(), vec![vec![keys]])?))?;
                LogicalPlan::Join(Join::try_new(
                    Arc::new(keys),
                    Arc::new(committed),
                    on,
                    None,
                    JoinType::RightAnti,
                    JoinConstraint::On,
                    NullEquality::NullEqualsNull,
                    false,
                )?)
            }
        };
        let told = MemTable::try_new(self.schema.clone(), vec![net.rows])?;
        let told = LogicalPlanBuilder::from(scan("told", Arc::new(told))?).project(names.clone())?.build()?;
        let all = LogicalPlanBuilder::from(stays).project(names)?.union(told)?.build()?;
        Ok(Arc::new(ViewTable::new(all, None)))
    }
}

fn scan(name: &str, rows: Arc<dyn TableProvider>) -> Result<LogicalPlan, DataFusionError> {
    LogicalPlanBuilder::scan(name, provider_as_source(rows), None)?.build()
}

impl ToldRows {
    pub(super) fn push(&self, told: Told) {
        self.following().rows.push(told);
    }

    pub(super) fn all(&self) -> Vec<Told> {
        self.following().rows.clone()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.following().rows.is_empty()
    }

    /// What was told is in this version of the table.
    pub(super) fn committed(&self, version: Option<i64>) {
        *self.following() = Following { version, rows: Vec::new() };
    }

    fn get(&self) -> Option<(i64, Vec<Told>)> {
        let following = self.following();
        Some((following.version?, following.rows.clone()))
    }

    fn following(&self) -> MutexGuard<'_, Following> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
