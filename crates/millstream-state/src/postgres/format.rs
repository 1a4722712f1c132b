//! The format of the tables: its number, whose they are, and the steps from older ones.

use deadpool_postgres::{Client, Transaction};
use tokio_postgres::IsolationLevel;

use super::PostgresFault;
use crate::StateError;

/// Step `n` brings a store of format `n` to format `n + 1`. A step that was released never changes again.
const MIGRATIONS: [&str; 17] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
    include_str!("migrations/0016.sql"),
    include_str!("migrations/0017.sql"),
    include_str!("migrations/0018.sql"),
];

/// Makes the table whose only row marks the schema's tables as a state store, and names the project that they belong to.
const MARK: &str = "CREATE TABLE millstream_state (format BIGINT NOT NULL, project TEXT NOT NULL)";

/// Tables that the steps make, those too that a later step drops: a schema that has no mark may have none of them.
const TABLES: [&str; 41] = [
    "breakers",
    "runs",
    "steps",
    "assets",
    "landings",
    "parts",
    "schema_versions",
    "check_results",
    "metrics",
    "pins",
    "service_versions",
    "dataset_versions",
    "verify_reports",
    "leases",
    "leased_assets",
    "publications",
    "published",
    "published_before",
    "artifacts",
    "outbox",
    "last_words",
    "scheduled_assets",
    "scheduled_triggers",
    "schedule_decisions",
    "housekeeping",
    "failed_reloads",
    "partitioned_assets",
    "partitions",
    "partition_values",
    "partition_checks",
    "backfills",
    "resumptions",
    "circuits",
    "retry_budgets",
    "sla_promises",
    "sla_breaches",
    "repairs",
    "offers",
    "workers",
    "webhook_calls",
    "step_log",
];

pub(super) async fn migrate(connection: &mut Client, place: &str, project: &str) -> Result<(), StateError> {
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let fault =
        |source: PostgresFault| StateError::Unreachable { place: place.into(), source: source.into() };
    let asked = |source: tokio_postgres::Error| fault(source.into());
    // What others made while this one waited for its turn has to be seen, whatever the server's own default is.
    let isolation = IsolationLevel::ReadCommitted;
    let begin = connection.build_transaction().isolation_level(isolation).read_only(false);
    let transaction = begin.start().await.map_err(asked)?;
    let place = schema(&transaction, place).await?;
    if mark(&transaction)
        .await
        .map_err(asked)?
        .is_some_and(|(format, owner)| format == known && owner == project)
    {
        return Ok(());
    }
    // Others that open the store for the first time wait here, and then find it made.
    let turn = "SELECT pg_advisory_xact_lock(1296649300, hashtext(current_schema()))";
    transaction.execute(turn, &[]).await.map_err(asked)?;
    let found = match mark(&transaction).await.map_err(asked)? {
        Some((_, owner)) if owner != project => {
            return Err(StateError::OtherProject { place, owner, project: project.into() });
        }
        Some((found, _)) if found > known => return Err(StateError::Newer { place, found, known }),
        // The format 0 is never seen: it becomes the present one in the transaction that makes it.
        Some((found, _)) if found < 1 => return Err(StateError::UnknownFormat { place, found }),
        Some((found, _)) if found == known => return Ok(()),
        Some((found, _)) => found,
        None => {
            if let Some(table) = foreign(&transaction).await.map_err(asked)? {
                return Err(StateError::Occupied { place, table });
            }
            transaction.batch_execute(MARK).await.map_err(asked)?;
            let insert = "INSERT INTO millstream_state (format, project) VALUES (0, $1)";
            transaction.execute(insert, &[&project]).await.map_err(asked)?;
            0
        }
    };
    for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.batch_execute(step).await.map_err(asked)?;
    }
    transaction.execute("UPDATE millstream_state SET format = $1", &[&known]).await.map_err(asked)?;
    transaction.commit().await.map_err(asked)
}

/// The place with the schema that tables are made in.
async fn schema(transaction: &Transaction<'_>, place: &str) -> Result<String, StateError> {
    let fault = |source: tokio_postgres::Error| StateError::Unreachable {
        place: place.into(),
        source: PostgresFault::from(source).into(),
    };
    let row = transaction.query_one("SELECT current_schema()::text", &[]).await.map_err(fault)?;
    match row.try_get::<_, Option<String>>(0).map_err(fault)? {
        Some(schema) => Ok(format!("{place}, schema {schema}")),
        None => Err(StateError::NoSchema { place: place.into() }),
    }
}

/// The format and the project of the schema's tables, if they are a state store.
async fn mark(transaction: &Transaction<'_>) -> Result<Option<(i64, String)>, tokio_postgres::Error> {
    if !exists(transaction, "millstream_state").await? {
        return Ok(None);
    }
    let row = transaction.query_opt("SELECT format, project FROM millstream_state", &[]).await?;
    row.map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).transpose()
}

/// The name of a table of another application, which is also the name of one of the store's tables.
async fn foreign(transaction: &Transaction<'_>) -> Result<Option<String>, tokio_postgres::Error> {
    for table in TABLES {
        if exists(transaction, table).await? {
            return Ok(Some(table.to_owned()));
        }
    }
    Ok(None)
}

async fn exists(transaction: &Transaction<'_>, table: &str) -> Result<bool, tokio_postgres::Error> {
    let sql = "SELECT count(*) > 0 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = current_schema() AND c.relname = $1::text";
    transaction.query_one(sql, &[&table]).await?.try_get(0)
}
