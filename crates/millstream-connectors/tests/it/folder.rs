//! A temporary project folder and the connector over it, as the engine would use it.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use millstream_connector::{
    BuildContext, Connector, ConnectorError, ConnectorFactory, Discovery, KnownPart, Part, ReadRequest,
    SourceBatch,
    conformance::{placed_rows, read_batches},
};
use millstream_connectors::FilesFactory;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder of files.
pub(crate) struct Folder {
    pub(crate) dir: TempDir,
}

impl Folder {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Waits until a write gives the file another modification time.
    pub(crate) async fn tick(&self) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    pub(crate) fn connector(&self, options: &Value) -> Arc<dyn Connector> {
        self.try_connector(options).unwrap()
    }

    pub(crate) fn try_connector(&self, options: &Value) -> Result<Arc<dyn Connector>, ConnectorError> {
        let config = FilesFactory.validate(options, None).unwrap();
        config.build(&BuildContext::new(self.dir.path().to_owned()))
    }
}

/// Options for a path, without the wait for young files.
pub(crate) fn options(path: &str) -> Value {
    json!({ "path": path, "settle": 0 })
}

pub(crate) async fn discover(connector: &dyn Connector, known: &[KnownPart]) -> Discovery {
    connector.discover(known).await.unwrap()
}

/// Reads a part and says what to remember of it.
pub(crate) async fn land(
    connector: &dyn Connector,
    part: &Part,
    after: Option<i64>,
) -> (Vec<String>, KnownPart) {
    let request = ReadRequest { after, ..ReadRequest::default() };
    let rows = lines(&read_batches(connector, part, &request).await.unwrap());
    let position = rows.last().and_then(|row| row.split(':').next()?.parse().ok()).or(after).unwrap_or(0);
    let version = connector.finish(part).await.unwrap().version;
    (rows, KnownPart { id: part.id.clone(), version, position })
}

/// The only part of a connector, read with `request`, as lines `position: name: value, …`.
pub(crate) async fn read_one(
    options: &Value,
    folder: &Folder,
    request: &ReadRequest,
) -> Result<Vec<String>, String> {
    let connector = folder.try_connector(options).map_err(|error| error.to_string())?;
    let found = connector.discover(&[]).await.map_err(|error| error.to_string())?;
    let Some(part) = found.parts.first() else { return Err(format!("{:?}", found.waiting)) };
    let batches = read_batches(&*connector, part, request).await.map_err(|error| error.to_string())?;
    Ok(lines(&batches))
}

/// Rows as lines `position: name: value, …`; of malformed ones the reason and the text.
pub(crate) fn lines(batches: &[SourceBatch]) -> Vec<String> {
    let mut rows = placed_rows(batches).unwrap();
    for malformed in batches.iter().flat_map(|batch| &batch.malformed) {
        let row = rows.iter_mut().find(|row| row.0 == malformed.position && row.1.starts_with("malformed"));
        row.unwrap().1 = format!("! {} <{}>", malformed.reason, malformed.text);
    }
    rows.into_iter().map(|(position, text)| format!("{position}: {text}").trim_end().to_owned()).collect()
}
