//! Discovers, describes and reads files.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use millstream_connector::{
    Block, BlockStream, Connector, ConnectorError, Discovery, FoundColumn, KnownPart, MalformedRow, Part,
    ReadEnd, ReadRequest, SourceBatch,
};
use millstream_usage::charged;
use tokio::{
    sync::mpsc::{self, Sender},
    task::{JoinHandle, spawn_blocking},
};

use super::{
    again::decode_rows,
    avro,
    config::FilesConfig,
    csv::CsvDialect,
    discover::discover,
    format::{Format, compression, format_by_name, is_tab_separated},
    infer::{declared_columns, infer_columns},
    input::{Input, RawInput, io_error},
    parquet::ParquetFile,
    place::Place,
    pump::{BLOCKS_QUEUED_MAX, TextEnd},
    store::file_error,
    text::{TextFormat, TextRequest, read_growth, read_sample, read_through, read_whole},
    version::{FileVersion, Resume},
};

#[derive(Debug)]
pub(super) struct FilesConnector {
    pub(super) place: Place,
    pub(super) config: FilesConfig,
    /// The versions of files that have been read to their end, by id.
    finished: Arc<Mutex<HashMap<String, FileVersion>>>,
}

/// What the reading of a whole file has taught.
#[derive(Debug, Default)]
struct Learned {
    bytes: u64,
    hash: Option<String>,
    next_line: Option<i64>,
}

/// Reads a file on a blocking thread; `None` when nobody listens any more.
type Reading = Box<dyn FnOnce(&Sender<Box<dyn Block>>) -> Result<Option<Learned>, ConnectorError> + Send>;

impl FilesConnector {
    pub(super) fn new(place: Place, config: FilesConfig) -> Self {
        Self { place, config, finished: Arc::default() }
    }

    pub(super) fn format(&self, id: &str) -> Option<Format> {
        self.config.format.or_else(|| format_by_name(id))
    }

    fn readable(&self, part: &Part) -> Result<(Format, FileVersion), ConnectorError> {
        let broken = |reason: &str| ConnectorError::Broken { part: part.id.clone(), reason: reason.into() };
        let format = self.format(&part.id).ok_or_else(|| broken("its name does not tell the format"))?;
        let version = FileVersion::parse(&part.version);
        Ok((format, version.ok_or_else(|| broken("its version was not made by this connector"))?))
    }

    fn dialect(&self, id: &str) -> CsvDialect {
        let mut dialect = self.config.csv.clone();
        if !self.config.delimiter_given && is_tab_separated(id) {
            dialect.delimiter = b'\t';
        }
        dialect
    }

    fn text_request(&self, id: &str, format: Format, request: &ReadRequest) -> TextRequest {
        let format = match format {
            Format::Csv => TextFormat::Csv(self.dialect(id)),
            _ => TextFormat::Jsonl(request.columns.clone()),
        };
        let block_bytes = self.config.block_bytes;
        TextRequest {
            part: id.to_owned(),
            format,
            encoding: self.config.encoding,
            block_bytes,
            after: request.after,
        }
    }

    async fn text_reading(
        &self,
        part: &Part,
        format: Format,
        version: &FileVersion,
        request: &ReadRequest,
    ) -> Result<Reading, ConnectorError> {
        let text = self.text_request(&part.id, format, request);
        let hash = version.hash.is_none();
        let start = self.place.open(&part.id, &version.stat, 0, hash).await?;
        let resume = version.resume.filter(|resume| request.after.is_some_and(|after| after >= resume.after));
        if let Some(resume) = resume {
            let rest = self.place.open(&part.id, &version.stat, resume.bytes, false).await?;
            return Ok(Box::new(move |sender| read_rest(&text, start, rest, resume, sender)));
        }
        Ok(Box::new(move |sender| {
            let mut input = open_text(&text, start)?;
            let end = read_whole(&text, &mut input, sender)?;
            end.map(|end| learned(&text.part, &mut input, Some(end))).transpose()
        }))
    }

    async fn avro_reading(
        &self,
        part: &Part,
        version: &FileVersion,
        after: Option<i64>,
    ) -> Result<Reading, ConnectorError> {
        let raw = self.place.open(&part.id, &version.stat, 0, version.hash.is_none()).await?;
        let (id, block_bytes) = (part.id.clone(), self.config.block_bytes);
        Ok(Box::new(move |sender| {
            let mut input = open_input(&id, raw)?;
            let whole = avro::pump(&id, &mut input, block_bytes, after, sender)?;
            whole.then(|| learned(&id, &mut input, None)).transpose()
        }))
    }

    async fn found_columns(&self, part: &Part) -> Result<Vec<FoundColumn>, ConnectorError> {
        let (format, version) = self.readable(part)?;
        if format == Format::Parquet {
            let file = ParquetFile::open(&self.place, &part.id, &version.stat).await?;
            return Ok(declared_columns(&file.schema()));
        }
        let raw = self.place.open(&part.id, &version.stat, 0, false).await?;
        let request = self.text_request(&part.id, format, &ReadRequest::default());
        let columns = spawn_blocking(charged(move || {
            let mut input = open_input(&request.part, raw)?;
            if format == Format::Avro {
                return avro::read_schema(&request.part, &mut input).map(|schema| declared_columns(&schema));
            }
            let mut input = input.decoded(request.encoding);
            let sample = read_sample(&request, &mut input)?;
            Ok(sample.map_or_else(Vec::new, |sample| infer_columns(&sample.rows)))
        }));
        columns.await.map_err(|error| file_error(&part.id, error.into()))?
    }

    async fn blocks(&self, part: &Part, request: &ReadRequest) -> Result<BlockStream, ConnectorError> {
        let (format, version) = self.readable(part)?;
        let reading = match format {
            Format::Parquet => {
                let file = ParquetFile::open(&self.place, &part.id, &version.stat).await?;
                let end = hash_afterwards(self.place.clone(), part.id.clone(), version.clone()).boxed();
                return Ok(self.watched(file.blocks(request.after), part, version, end));
            }
            Format::Avro => self.avro_reading(part, &version, request.after).await?,
            Format::Csv | Format::Jsonl => self.text_reading(part, format, &version, request).await?,
        };
        let (sender, receiver) = mpsc::channel(BLOCKS_QUEUED_MAX);
        let thread = spawn_blocking(charged(move || reading(&sender)));
        let received = stream::unfold(receiver, |mut receiver| async move {
            let block = receiver.recv().await?;
            Some((Ok(block), receiver))
        });
        let end = end_of_thread(part.id.clone(), thread).boxed();
        Ok(self.watched(received.boxed(), part, version, end))
    }

    /// Adds to a stream what must be true at its end: the file is still the one that was discovered.
    fn watched(
        &self,
        blocks: BlockStream,
        part: &Part,
        version: FileVersion,
        end: EndOfReading,
    ) -> BlockStream {
        let watch = Watch {
            place: self.place.clone(),
            id: part.id.clone(),
            version,
            finished: self.finished.clone(),
        };
        stream::unfold(Some((blocks, watch, end)), |state| async move {
            let (mut blocks, watch, end) = state?;
            match blocks.next().await {
                Some(Ok(block)) => Some((Ok(block), Some((blocks, watch, end)))),
                Some(Err(error)) => Some((Err(watch.reconsider(error).await), None)),
                None => match watch.finish(end).await {
                    Ok(()) => None,
                    Err(error) => Some((Err(watch.reconsider(error).await), None)),
                },
            }
        })
        .boxed()
    }
}

#[async_trait]
impl Connector for FilesConnector {
    fn means(&self, id: &str) -> bool {
        self.place.path_of(id).is_some_and(|path| self.config.pattern.matches(path))
    }

    async fn discover(&self, known: &[KnownPart]) -> Result<Discovery, ConnectorError> {
        discover(self, known).await
    }

    async fn describe(&self, part: &Part) -> Result<Vec<FoundColumn>, ConnectorError> {
        self.config.rename.columns(&part.id, self.found_columns(part).await?)
    }

    async fn read(&self, part: &Part, request: &ReadRequest) -> Result<BlockStream, ConnectorError> {
        Ok(self.config.rename.blocks(&part.id, self.blocks(part, request).await?))
    }

    async fn decode_again(
        &self,
        part: &str,
        rows: Vec<MalformedRow>,
    ) -> Result<Vec<SourceBatch>, ConnectorError> {
        let Some(format) = self.format(part).filter(|format| format.is_text()) else { return Ok(Vec::new()) };
        let request = self.text_request(part, format, &ReadRequest::default());
        // Without the file nobody knows what its columns are.
        let stat = match self.place.stat(part).await {
            Ok(stat) => stat,
            Err(ConnectorError::Refused { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let raw = self.place.open(part, &stat, 0, false).await?;
        let decoded = spawn_blocking(charged(move || {
            let mut input = open_text(&request, raw)?;
            decode_rows(&request, &mut input, rows)
        }));
        let batches = decoded.await.map_err(|error| file_error(part, error.into()))??;
        batches.into_iter().map(|batch| self.config.rename.batch(part, batch)).collect()
    }

    fn names_every_column(&self, part: &Part) -> bool {
        self.format(&part.id) != Some(Format::Jsonl)
    }

    async fn finish(&self, part: &Part) -> Result<ReadEnd, ConnectorError> {
        let (_, mut version) = self.readable(part)?;
        let finished = self.finished.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = finished.get(&part.id).filter(|read| read.stat == version.stat) {
            return Ok(ReadEnd::of_part(read.to_part_version()));
        }
        version.resume = None;
        Ok(ReadEnd::of_part(version.to_part_version()))
    }
}

/// What the reading has learned, once it is over.
type EndOfReading = BoxFuture<'static, Result<Learned, ConnectorError>>;

/// Watches over one reading of one file.
struct Watch {
    place: Place,
    id: String,
    version: FileVersion,
    finished: Arc<Mutex<HashMap<String, FileVersion>>>,
}

impl Watch {
    async fn finish(&self, end: EndOfReading) -> Result<(), ConnectorError> {
        let learned = end.await?;
        let changed = || ConnectorError::Changed { part: self.id.clone() };
        if learned.bytes != self.version.stat.size || !self.is_same_file().await? {
            return Err(changed());
        }
        let mut version = self.version.clone();
        version.hash = version.hash.or(learned.hash);
        version.next_line = learned.next_line;
        version.resume = None;
        self.finished.lock().unwrap_or_else(PoisonError::into_inner).insert(self.id.clone(), version);
        Ok(())
    }

    /// The error that a reading ends with. A file that changes while it is read looks broken, and the next run can read
    /// it.
    async fn reconsider(&self, error: ConnectorError) -> ConnectorError {
        match error {
            ConnectorError::Broken { .. } if self.is_same_file().await.is_ok_and(|same| !same) => {
                ConnectorError::Changed { part: self.id.clone() }
            }
            error => error,
        }
    }

    async fn is_same_file(&self) -> Result<bool, ConnectorError> {
        Ok(self.place.stat(&self.id).await?.same_as(&self.version.stat))
    }
}

async fn end_of_thread(
    id: String,
    thread: JoinHandle<Result<Option<Learned>, ConnectorError>>,
) -> Result<Learned, ConnectorError> {
    match thread.await {
        Ok(learned) => Ok(learned?.unwrap_or_default()),
        Err(error) => Err(file_error(&id, error.into())),
    }
}

/// Formats that are read by range are hashed by another pass, where that costs no network.
async fn hash_afterwards(place: Place, id: String, version: FileVersion) -> Result<Learned, ConnectorError> {
    let bytes = version.stat.size;
    if version.hash.is_some() || !place.is_local() {
        return Ok(Learned { bytes, ..Learned::default() });
    }
    let mut raw = place.open(&id, &version.stat, 0, true).await?;
    let failed = id.clone();
    let learned = spawn_blocking(charged(move || {
        read_through(&mut raw, |_| {}).map_err(|error| io_error(&id, error))?;
        Ok(Learned { bytes: raw.bytes(), hash: raw.hash(), next_line: None })
    }));
    learned.await.map_err(|error| file_error(&failed, error.into()))?
}

fn open_input(part: &str, raw: RawInput) -> Result<Input, ConnectorError> {
    Input::new(raw, compression(part).0).map_err(|error| io_error(part, error))
}

fn open_text(text: &TextRequest, raw: RawInput) -> Result<Input, ConnectorError> {
    Ok(open_input(&text.part, raw)?.decoded(text.encoding))
}

fn read_rest(
    text: &TextRequest,
    start: RawInput,
    rest: RawInput,
    resume: Resume,
    sender: &Sender<Box<dyn Block>>,
) -> Result<Option<Learned>, ConnectorError> {
    let mut start = open_text(text, start)?;
    let mut rest = open_text(text, rest)?;
    let Some(end) = read_growth(text, &mut start, &mut rest, resume, sender)? else { return Ok(None) };
    let mut learned = learned(&text.part, &mut rest, Some(end))?;
    learned.bytes = learned.bytes.saturating_add(resume.bytes);
    Ok(Some(learned))
}

fn learned(part: &str, input: &mut Input, end: Option<TextEnd>) -> Result<Learned, ConnectorError> {
    let raw = input.drain().map_err(|error| io_error(part, error))?;
    let next_line = end.and_then(|end| end.next_line);
    Ok(Learned { bytes: raw.bytes(), hash: raw.hash(), next_line })
}
