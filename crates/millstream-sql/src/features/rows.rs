//! Reading a view's events from its tables: the newest versions, others, or certain files only.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{catalog::TableProvider, execution::SendableRecordBatchStream};
use futures::future::BoxFuture;
use millstream_features::view::ViewDefinition;
use millstream_lake::At;
use millstream_types::TableName;

use crate::{
    schema::conform_stream,
    session::{Resolved, SqlError, SqlSession, TableResolver},
};

/// What stands for one of the tables that a view reads.
#[derive(Clone)]
pub enum EventInput {
    /// The table at a version or a time.
    At(At),
    /// These rows, for instance those of the files that a version added.
    Rows(Arc<dyn TableProvider>),
}

impl fmt::Debug for EventInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(at) => f.debug_tuple("At").field(at).finish(),
            Self::Rows(_) => f.debug_tuple("Rows").finish_non_exhaustive(),
        }
    }
}

/// The events of a view, in [`ViewDefinition::event_schema`]. Tables that `inputs` does not name are read at their newest
/// versions, tables behind a SQL view included. The session's memory and partitions bound what the query uses; rows
/// come in no order.
///
/// # Errors
///
/// A table is not there or cannot be read; a value that does not fit its column ends the stream.
pub fn event_rows<'a>(
    session: &'a SqlSession,
    definition: &'a ViewDefinition,
    inputs: BTreeMap<TableName, EventInput>,
) -> BoxFuture<'a, Result<SendableRecordBatchStream, SqlError>> {
    Box::pin(async move {
        let resolver = Chosen { inner: Arc::clone(session.resolver()), inputs };
        let stream = session.with_resolver(Arc::new(resolver)).query(&definition.query, None).await?;
        Ok(conform_stream(stream, &definition.event_schema()))
    })
}

/// The tables of another resolver, some of which are replaced by `inputs`.
#[derive(Debug)]
struct Chosen {
    inner: Arc<dyn TableResolver>,
    inputs: BTreeMap<TableName, EventInput>,
}

#[async_trait]
impl TableResolver for Chosen {
    async fn resolve(&self, table: &TableName, at: At) -> Result<Option<Resolved>, SqlError> {
        match self.inputs.get(table) {
            Some(EventInput::Rows(rows)) => Ok(Some(Resolved::Table(Arc::clone(rows)))),
            Some(EventInput::At(chosen)) => self.inner.resolve(table, *chosen).await,
            None => self.inner.resolve(table, at).await,
        }
    }

    fn known_tables(&self) -> Vec<TableName> {
        self.inner.known_tables()
    }
}
