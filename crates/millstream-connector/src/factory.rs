//! From options in a project file to a running connector: validate (pure), then build (may touch the world).

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use millstream_types::{Field, SourceName};

use crate::{
    BlockStream, Bound, Connection, ConnectionFactory, Connections, ConnectorError, Discovery, EventDecoder,
    FoundColumn, Intake, KnownPart, LogAccess, MalformedRow, NamedConnection, OptionProblem, Part, ReadEnd,
    SourceBatch,
};

/// A kind of connector, by the name that `connector: {type: …}` uses.
pub trait ConnectorFactory: Send + Sync + fmt::Debug {
    fn kind(&self) -> &'static str;

    /// JSON Schema of the options (without `type` and `connection`), for editors and for `millstream schema`.
    fn schema(&self) -> serde_json::Value;

    /// What this kind makes of a connection; `None` for a kind that knows none.
    fn connection(&self) -> Option<&dyn ConnectionFactory> {
        None
    }

    /// The options that read one file as labels; `None` for connectors that read no files.
    fn options_of_file(&self, _path: &str) -> Option<serde_json::Value> {
        None
    }

    /// Whether sources of this kind list files, so that they can say `new_files` in their schedule.
    fn lists_files(&self) -> bool {
        false
    }

    /// Checks the options without touching the world; reports every problem. `connection` is the one that the source
    /// names, of this kind's own type.
    fn validate(
        &self,
        options: &serde_json::Value,
        connection: Option<NamedConnection<'_>>,
    ) -> Result<Box<dyn ConnectorConfig>, Vec<OptionProblem>>;

    /// The tables that are there, for a source of many: what [`TABLE`] in the options can stand for. Looks at what needs no
    /// network, since a project is loaded offline; where that is not enough, the problem says so.
    fn tables(
        &self,
        _options: &serde_json::Value,
        _connection: Option<NamedConnection<'_>>,
        _project_root: &Path,
    ) -> Result<Vec<String>, OptionProblem> {
        Err(OptionProblem {
            path: Vec::new(),
            message: format!("the connector `{}` cannot look for tables", self.kind()),
            hint: Some("name each table under `tables`".into()),
        })
    }
}

/// What stands for the table in the options of a source of many tables.
pub const TABLE: &str = "{table}";

/// Checked options of one source.
pub trait ConnectorConfig: Send + Sync + fmt::Debug {
    /// Creates the connector. May read credentials from the context, but reads no data.
    fn build(&self, context: &BuildContext) -> Result<Arc<dyn Connector>, ConnectorError>;

    /// How the source takes events in through the event log; `None` for a source that is only read.
    fn intake(&self) -> Option<&Intake> {
        None
    }
}

/// What a connector may know about the project that it runs in.
#[derive(Clone, Debug)]
pub struct BuildContext {
    /// Relative paths are relative to this folder.
    pub project_root: PathBuf,
    /// The project's connections, opened on first use.
    pub connections: Arc<Connections>,
    /// The source that the connector is built for; `None` where it reads for something else, such as the labels of a dataset.
    pub source: Option<SourceName>,
    /// The event log of the process; `None` where there is none.
    pub log: Option<Arc<dyn LogAccess>>,
}

impl BuildContext {
    /// A project without connections and without an event log.
    #[must_use]
    pub fn new(project_root: PathBuf) -> Self {
        Self { project_root, connections: Arc::default(), source: None, log: None }
    }

    /// The connection of this name, the same one for every source.
    pub fn connection<T: Connection>(&self, name: &str) -> Result<Arc<T>, ConnectorError> {
        self.connections.open(name, &self.project_root)
    }
}

/// A source that can be read.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug {
    /// What there is to read, given what has been landed.
    async fn discover(&self, known: &[KnownPart]) -> Result<Discovery, ConnectorError>;

    /// Whether a part of this id could be among those that `discover` gives with the options as they are. A file that was
    /// deleted is meant still; one outside the path is not.
    fn means(&self, _id: &str) -> bool {
        true
    }

    /// The columns of a part, from its declaration or from a sample of its rows.
    async fn describe(&self, part: &Part) -> Result<Vec<FoundColumn>, ConnectorError>;

    /// Whether the description of a part names every column that the part has. In JSON lines it cannot: a key that no
    /// object of the sample holds may be left out for its nulls, or come later.
    fn names_every_column(&self, _part: &Part) -> bool {
        true
    }

    /// Decodes rows anew that were malformed when the part was read, as the options are now. The rows that can be read are
    /// in the batches, at their positions; a connector that cannot read rows by themselves gives none.
    async fn decode_again(
        &self,
        _part: &str,
        _rows: Vec<MalformedRow>,
    ) -> Result<Vec<SourceBatch>, ConnectorError> {
        Ok(Vec::new())
    }

    /// What decodes the events of a source that takes them in through the event log; `None` for other sources.
    fn events(&self) -> Option<&dyn EventDecoder> {
        None
    }

    /// How much of the source one commit takes in, at most. Without a bound everything that `discover` offers is one commit;
    /// a source with an endless stream or a backlog of any size has one.
    fn bound(&self) -> Bound {
        Bound::NONE
    }

    /// The blocks of `part` that stand after `request.after`, up to `request.until` or the part's end as it was discovered.
    /// Reading the same part version again gives the same rows at the same positions. A read that ends at its bound has
    /// brought at least one row or a higher position, and ends where nothing is torn apart that belongs together, such as
    /// the rows of one transaction. A connector whose parts end by themselves, as files do, may read on to the end.
    async fn read(&self, part: &Part, request: &ReadRequest) -> Result<BlockStream, ConnectorError>;

    /// Where the stream of [`Connector::read`] that has just ended without an error did so, and what to remember. Reading may
    /// have learned what discovery did not know (the content's hash), so the caller stores this version rather than the
    /// one that `discover` gave.
    async fn finish(&self, part: &Part) -> Result<ReadEnd, ConnectorError> {
        Ok(ReadEnd::of_part(part.version.clone()))
    }

    /// What was read up to these positions is durable, so that the source need not keep it: a replication slot may advance.
    /// Called after each commit, and by the next run for everything that is known, since a process may end in between. The
    /// same may be told again, and it changes nothing then; parts that are not named stay as they are.
    async fn acknowledge(&self, _durable: &[KnownPart]) -> Result<(), ConnectorError> {
        Ok(())
    }
}

/// How a part is to be read.
#[derive(Clone, Debug, Default)]
pub struct ReadRequest {
    /// The columns that the table has by now, which formats without a schema can expect. Columns that the part has
    /// beyond these are delivered too.
    pub columns: Vec<Field>,
    /// Only rows at higher positions are wanted; `None` for all.
    pub after: Option<i64>,
    /// How much is wanted at once.
    pub until: Bound,
}
