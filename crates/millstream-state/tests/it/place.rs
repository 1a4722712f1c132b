//! Where a test's store is: in a file of SQLite, or in a schema of a PostgreSQL server.

use millstream_state::State;
use rusqlite::Connection;
use tempfile::TempDir;

/// Where the file lies in its folder.
const STORE: &str = "deep/state.db";

/// A place that only this test uses.
pub(crate) enum Place {
    File(TempDir),
    #[cfg(feature = "postgres")]
    Schema(crate::server::Schema),
}

impl Place {
    pub(crate) fn file() -> Self {
        Self::File(tempfile::tempdir().unwrap())
    }

    /// Whether all who share the store share a disk too.
    pub(crate) fn is_local(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// The store, as a process finds it that starts now.
    pub(crate) async fn open(&self) -> State {
        match self {
            Self::File(folder) => State::open(&folder.path().join(STORE)).await.unwrap(),
            #[cfg(feature = "postgres")]
            Self::Schema(schema) => State::connect(schema.url(), "shop").await.unwrap(),
        }
    }

    /// The values of a figure that are recorded, newest first.
    pub(crate) async fn metrics(&self, asset: &str, name: &str) -> Vec<(i64, f64)> {
        let sql = "SELECT at, value FROM metrics WHERE asset = $1 AND name = $2 ORDER BY at DESC";
        match self {
            Self::File(folder) => {
                let file = Connection::open(folder.path().join(STORE)).unwrap();
                let mut statement = file.prepare(sql).unwrap();
                let rows = statement.query_map([asset, name], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                rows.collect::<Result<_, _>>().unwrap()
            }
            #[cfg(feature = "postgres")]
            Self::Schema(schema) => {
                let rows = schema.client().await.query(sql, &[&asset, &name]).await.unwrap();
                rows.iter().map(|row| (row.get(0), row.get(1))).collect()
            }
        }
    }
}

/// Runs each case on every kind of database.
macro_rules! on_each_database {
    ($($case:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(crate::place::Place::file()).await;
            })*
        }
        #[cfg(feature = "postgres")]
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let suite = concat!(module_path!(), "::", stringify!($case));
                if let Some(schema) = crate::server::Schema::fresh(suite).await {
                    super::$case(crate::place::Place::Schema(schema)).await;
                }
            })*
        }
    };
}
pub(crate) use on_each_database;
