//! The connector of scripted sources: `connector: {type: scripted, place: orders}`. It passes the conformance suite of all
//! connectors.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StringArray, new_null_array},
    datatypes::{DataType, Field, Schema},
};
use async_trait::async_trait;
use futures::{StreamExt, stream};
use millstream_connector::{
    Block, BlockStream, Bound, BuildContext, ConnectionFactory, Connector, ConnectorConfig, ConnectorError,
    ConnectorFactory, Discovery, Evidence, FoundColumn, KnownPart, MalformedRow, Meter, NamedConnection,
    Operation, Operations, OptionProblem, Part, PartChange, PartVersion, Positions, ReadEnd, ReadRequest,
    SourceBatch, WaitingPart, options_schema, read_options,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    connection::ScriptedConnection,
    line::{Harm, Line},
    script::{Call, Script, Text},
};

/// The number of rows in one block; it is low, so that a part has several blocks.
const BLOCK_ROWS: usize = 3;

#[derive(Clone, Debug)]
pub(crate) struct ScriptedFactory(pub Script);

impl ConnectorFactory for ScriptedFactory {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    fn schema(&self) -> serde_json::Value {
        options_schema::<ScriptedOptions>()
    }

    fn connection(&self) -> Option<&dyn ConnectionFactory> {
        Some(self)
    }

    fn validate(
        &self,
        options: &serde_json::Value,
        connection: Option<NamedConnection<'_>>,
    ) -> Result<Box<dyn ConnectorConfig>, Vec<OptionProblem>> {
        let (options, problems) = read_options::<ScriptedOptions>(options);
        let options = problems.result(options)?;
        let connection = connection.map(|connection| connection.name.to_owned());
        Ok(Box::new(Config { script: self.0.clone(), place: options.place.unwrap_or_default(), connection }))
    }
}

#[derive(Deserialize, JsonSchema)]
struct ScriptedOptions {
    /// The name of a place.
    place: Option<String>,
}

#[derive(Debug)]
struct Config {
    script: Script,
    place: String,
    connection: Option<String>,
}

impl ConnectorConfig for Config {
    fn build(&self, context: &BuildContext) -> Result<Arc<dyn Connector>, ConnectorError> {
        let (script, place) = (self.script.clone(), self.place.clone());
        let connection = self.connection.as_deref().map(|name| context.connection(name)).transpose()?;
        Ok(Arc::new(Scripted { line: script.line(), script, place, connection, ends: Arc::default() }))
    }
}

/// A connector to one place, on the line of the engine that it was built for.
#[derive(Clone, Debug)]
struct Scripted {
    script: Script,
    place: String,
    line: Arc<Line>,
    connection: Option<Arc<ScriptedConnection>>,
    /// The position at which the last read of each part ended.
    ends: Arc<Mutex<BTreeMap<String, ReadEnd>>>,
}

/// The content of a part's version.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    rows: usize,
    hash: String,
    touched: u32,
}

impl Version {
    /// The version of the part's first `rows` rows.
    fn of(text: &Text, rows: usize) -> Self {
        let rows = rows.min(text.rows.len());
        let content = format!("{}\n{}", text.header, text.rows[..rows].join("\n"));
        let hash = blake3::hash(content.as_bytes()).to_hex()[..16].to_owned();
        Self { rows, hash, touched: text.touched }
    }

    fn whole(text: &Text) -> PartVersion {
        Self::up_to(text, text.rows.len())
    }

    fn up_to(text: &Text, rows: usize) -> PartVersion {
        PartVersion(serde_json::to_string(&Self::of(text, rows)).unwrap())
    }

    /// The part as it was discovered, without the rows by which a log has grown since; `None` if its content is another one.
    fn discovered(mut text: Text, version: &PartVersion) -> Option<Text> {
        let known: Self = serde_json::from_str(&version.0).unwrap();
        if text.is_log() && known.hash == Self::of(&text, known.rows).hash {
            text.rows.truncate(known.rows);
        }
        (Self::whole(&text) == *version).then_some(text)
    }
}

fn change(known: Option<&KnownPart>, text: &Text) -> Option<PartChange> {
    let Some(known) = known else { return Some(PartChange::New) };
    let version: Version = serde_json::from_str(&known.version.0).unwrap();
    let begins_so = version.hash == Version::of(text, version.rows).hash;
    match begins_so {
        true if version.rows == text.rows.len() => None,
        true => Some(PartChange::Grown),
        false => Some(PartChange::Replaced),
    }
}

impl Scripted {
    fn fault(&self, harm: Harm) -> ConnectorError {
        let place = self.place.clone();
        // Libraries repeat passwords in their messages, and so does this error.
        let source = match &self.connection {
            Some(connection) => format!("the script says so to `{}`", connection.password.reveal()).into(),
            None => "the script says so".into(),
        };
        match harm {
            Harm::Passing => ConnectorError::Unavailable { place, retry_after: None, source },
            Harm::Lasting | Harm::Death => ConnectorError::Refused { place, hint: None, source },
        }
    }

    /// Makes one call, which is a point of the line. The script may have a fault for it too.
    fn call(&self, call: Call, part: &str) -> Result<(), ConnectorError> {
        let what = || format!("source: {call:?} {} {part}", self.place);
        self.line.enter(what, false).map_err(|harm| self.fault(harm))?;
        self.script.happen(&self.place, call);
        match self.script.fault(&self.place, call) {
            Some(harm) => Err(self.fault(harm)),
            None => Ok(()),
        }
    }

    fn broken(part: &str, reason: &str) -> ConnectorError {
        ConnectorError::Broken { part: part.to_owned(), reason: reason.to_owned() }
    }

    fn lost(part: &str) -> ConnectorError {
        ConnectorError::PositionLost { part: part.to_owned(), reason: "the log begins behind it".to_owned() }
    }

    fn text(&self, part: &Part) -> Result<Text, ConnectorError> {
        let place = self.script.place(&self.place).unwrap_or_default();
        match place.parts.get(&part.id) {
            Some(text) => Version::discovered(text.clone(), &part.version),
            None => None,
        }
        .ok_or_else(|| ConnectorError::Changed { part: part.id.clone() })
    }

    /// Fails where the script forgets rows that were acknowledged, and the read asks for one of them.
    fn check_kept(&self, part: &Part, after: Option<i64>) -> Result<(), ConnectorError> {
        let place = self.script.place(&self.place).unwrap_or_default();
        let gone = place.acknowledged.get(&part.id).copied();
        match gone.filter(|gone| place.forgets && after.unwrap_or(0) < *gone) {
            Some(gone) => Err(Self::broken(&part.id, &format!("it is gone up to {gone}"))),
            None => Ok(()),
        }
    }
}

/// How many of `rows` a read brings: up to the first clean position at which `bound` is reached.
fn cut(rows: &[(i64, String)], is_log: bool, bound: Bound) -> usize {
    let mut meter = Meter::start(bound);
    let ends = rows.iter().position(|(_, row)| {
        let goes_on = is_log && row.split(',').next().is_some_and(|operation| operation.ends_with('+'));
        meter.add(1, row.len());
        !goes_on && meter.is_reached()
    });
    ends.map_or(rows.len(), |end| end + 1)
}

#[async_trait]
impl Connector for Scripted {
    async fn discover(&self, known: &[KnownPart]) -> Result<Discovery, ConnectorError> {
        self.call(Call::Discover, "")?;
        while self.script.place(&self.place).is_some_and(|place| place.is_silent) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let place = self.script.place(&self.place).ok_or_else(|| self.fault(Harm::Lasting))?;
        let mut found = Discovery::default();
        for (id, text) in &place.parts {
            let known = known.iter().find(|known| known.id == *id);
            if known.is_some() && place.lost.contains(id) {
                return Err(Self::lost(id));
            }
            let version = Version::whole(text);
            match (change(known, text), known) {
                (Some(change), _) => {
                    found.parts.push(Part { id: id.clone(), version, change, bytes: None });
                }
                (None, Some(known)) if known.version != version => {
                    found.refreshed.push(KnownPart { version, ..known.clone() });
                }
                _ => {}
            }
        }
        let waiting = place.waiting.into_iter();
        found.waiting = waiting.map(|(id, reason)| WaitingPart { id, reason }).collect();
        Ok(found)
    }

    async fn describe(&self, part: &Part) -> Result<Vec<FoundColumn>, ConnectorError> {
        self.call(Call::Describe, &part.id)?;
        let text = self.text(part)?;
        if text.broken_at == Some(0) {
            return Err(Self::broken(&part.id, "it has no header"));
        }
        let shown = text.header.split(',').enumerate();
        let shown = shown.filter(|(_, column)| !column.starts_with('+') && *column != "?");
        let columns = shown.map(|(at, column)| {
            let (name, declared) = declaration(column);
            let values = text.rows.iter().map(|row| row.split(',').nth(at).filter(|value| !value.is_empty()));
            match declared {
                Some(declared) => FoundColumn::declared(name.to_owned(), declared.parse().unwrap()),
                None => FoundColumn::inferred(name.to_owned(), Evidence::of_column(&values.collect())),
            }
        });
        Ok(columns.collect())
    }

    /// The rows that have as many values as the part has columns by now.
    async fn decode_again(
        &self,
        part: &str,
        rows: Vec<MalformedRow>,
    ) -> Result<Vec<SourceBatch>, ConnectorError> {
        let place = self.script.place(&self.place).unwrap_or_default();
        let Some(text) = place.parts.get(part) else { return Ok(Vec::new()) };
        let rows = rows.into_iter().map(|row| (row.position, row.text)).collect();
        let block = Box::new(Rows { header: text.header.clone(), rows });
        Ok(vec![SourceBatch { malformed: Vec::new(), ..block.decode()? }])
    }

    /// A part whose name ends in `.jsonl` is like JSON lines.
    fn names_every_column(&self, part: &Part) -> bool {
        !part.id.ends_with(".jsonl")
    }

    async fn read(&self, part: &Part, request: &ReadRequest) -> Result<BlockStream, ConnectorError> {
        self.call(Call::Read, &part.id)?;
        let text = self.text(part)?;
        self.check_kept(part, request.after)?;
        if request.after.is_none() {
            self.script.begin_anew(&self.place, &part.id);
        }
        let rows = (1_i64..).zip(text.rows.clone());
        let mut rows: Vec<_> = rows.filter(|(at, _)| request.after.is_none_or(|after| *at > after)).collect();
        let taken = cut(&rows, text.is_log(), request.until);
        let more = taken < rows.len();
        rows.truncate(taken);
        let position = rows.last().map(|(at, _)| *at);
        let read = position.and_then(|at| usize::try_from(at).ok()).filter(|_| more);
        let version = Version::up_to(&text, read.unwrap_or(text.rows.len()));
        let end = ReadEnd { version, position, more };
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).insert(part.id.clone(), end);
        let blocks: Vec<_> = rows.chunks(BLOCK_ROWS).map(<[_]>::to_vec).collect();
        let (scripted, id, header) = (self.clone(), part.id.clone(), text.header);
        let broken_at = text.broken_at.and_then(|row| i64::try_from(row).ok());
        let blocks = stream::iter(blocks).then(move |rows| {
            if broken_at.is_some_and(|row| rows.iter().any(|(at, _)| *at > row)) {
                return futures::future::ready(Err(Self::broken(&id, "it ends too early")));
            }
            let block: Box<dyn Block> = Box::new(Rows { header: header.clone(), rows });
            let called = scripted.call(Call::Block, &id).map(|()| block);
            futures::future::ready(called)
        });
        Ok(blocks.boxed())
    }

    async fn finish(&self, part: &Part) -> Result<ReadEnd, ConnectorError> {
        self.call(Call::Finish, &part.id)?;
        let text = self.text(part)?;
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(ends.get(&part.id).cloned().unwrap_or_else(|| ReadEnd::of_part(Version::whole(&text))))
    }

    fn bound(&self) -> Bound {
        self.script.place(&self.place).map(|place| place.bound).unwrap_or_default()
    }

    async fn acknowledge(&self, durable: &[KnownPart]) -> Result<(), ConnectorError> {
        self.call(Call::Acknowledge, "")?;
        for part in durable {
            self.script.acknowledge(&self.place, &part.id, part.position);
        }
        Ok(())
    }
}

/// A column's name, and its type where it is declared.
fn declaration(column: &str) -> (&str, Option<&str>) {
    let column = column.trim_start_matches('+');
    match column.split_once(':') {
        Some((name, declared)) => (name, Some(declared)),
        None => (column, None),
    }
}

/// A block: a few rows with their positions.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) header: String,
    pub(super) rows: Vec<(i64, String)>,
}

impl Block for Rows {
    fn bytes(&self) -> usize {
        self.rows.iter().map(|(_, row)| row.len()).sum()
    }

    fn decode(self: Box<Self>) -> Result<SourceBatch, ConnectorError> {
        let is_log = self.header.starts_with("?,");
        let rows = self.rows.into_iter().filter(|(_, row)| !is_log || !row.starts_with('-'));
        let batch = Self { rows: rows.collect(), ..*self }.plain();
        if is_log { Ok(told(batch)) } else { Ok(batch) }
    }
}

/// The batch of a log with its operations, which its first column names.
fn told(batch: SourceBatch) -> SourceBatch {
    let words: Vec<String> =
        batch.rows.column(0).as_string::<i32>().iter().map(|word| word.unwrap().to_owned()).collect();
    let kind = |word: &String| match word.trim_end_matches('+').chars().next() {
        Some('i') => Operation::Insert,
        Some('u') => Operation::Update,
        Some('d') => Operation::Delete,
        Some('t') => Operation::Truncate,
        other => panic!("{other:?} is no operation"),
    };
    let rows = batch.rows.project(&(1..batch.rows.num_columns()).collect::<Vec<_>>()).unwrap();
    let old: StringArray =
        words.iter().map(|word| word.trim_end_matches('+').split_once(':').map(|(_, key)| key)).collect();
    let mut before: Vec<ArrayRef> =
        rows.columns().iter().map(|column| new_null_array(column.data_type(), column.len())).collect();
    before[0] = Arc::new(old);
    let before = Some(RecordBatch::try_new(rows.schema(), before).unwrap());
    let operations = Some(Operations { kinds: words.iter().map(kind).collect(), before });
    SourceBatch { rows, operations, ..batch }
}

impl Rows {
    pub(super) fn plain(self) -> SourceBatch {
        let names: Vec<&str> = self.header.split(',').map(|column| declaration(column).0).collect();
        let values = |row: &str| row.split(',').map(str::to_owned).collect::<Vec<_>>();
        let (good, bad): (Vec<_>, Vec<_>) = self
            .rows
            .iter()
            .map(|(at, row)| (*at, row, values(row)))
            .partition(|row| row.2.len() == names.len());
        let column = |at: usize| -> ArrayRef {
            let values =
                good.iter().map(|(_, _, values)| Some(values[at].as_str()).filter(|it| !it.is_empty()));
            Arc::new(values.collect::<StringArray>())
        };
        let fields: Vec<_> = names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect();
        let rows =
            RecordBatch::try_new(Arc::new(Schema::new(fields)), (0..names.len()).map(column).collect());
        let malformed = bad.iter().map(|(at, row, values)| MalformedRow {
            position: *at,
            text: (*row).clone(),
            bytes: None,
            reason: format!("{} values for {} columns", values.len(), names.len()),
        });
        SourceBatch {
            rows: rows.unwrap(),
            positions: Positions::Each(good.iter().map(|(at, ..)| *at).collect::<Vec<_>>().into()),
            operations: None,
            arrivals: None,
            malformed: malformed.collect(),
            last_position: self.rows.last().map(|(at, _)| *at),
        }
    }
}
