//! The suite that every connector passes: what the engine relies on, stated once.
//!
//! A connector's tests implement [`Fixture`] and call [`check`]; one that tells what happened to rows implements
//! [`ChangeFixture`] and calls [`check_changes`]. A failure is a sentence that names the step.

mod changes;

pub use changes::{ChangeFixture, RowChange, check_changes};

use std::{sync::Arc, time::Duration};

use arrow::{
    array::RecordBatch,
    error::ArrowError,
    util::display::{ArrayFormatter, FormatOptions},
};
use async_trait::async_trait;
use futures::{
    StreamExt,
    future::{BoxFuture, LocalBoxFuture},
};

use crate::{
    Bound, Connector, ConnectorError, Discovery, FoundColumn, KnownPart, Part, PartChange, ReadEnd,
    ReadRequest, SourceBatch,
};

/// A source that the suite can fill and change.
#[async_trait]
pub trait Fixture: Send {
    /// A connector over the fixture's content. Called again for each step, as each run of the engine does.
    fn connector(&self) -> Result<Arc<dyn Connector>, ConnectorError>;

    /// A connector to a place that does not exist.
    fn nowhere(&self) -> Result<Arc<dyn Connector>, ConnectorError>;

    /// Brings the source to a state with at least two parts and six rows in each, whatever it held before.
    async fn fill(&mut self);

    /// Gives the part other rows, so that nothing of what was read holds.
    async fn replace(&mut self, part: &str);

    /// Adds rows behind those of the part; false where the source cannot do that.
    async fn grow(&mut self, part: &str) -> bool;

    /// Changes what the source says of the part (a time, say) but no row; false where it cannot.
    async fn touch(&mut self, part: &str) -> bool;

    /// Whether the rows of a part never become others, as in a log: then one that is begun anew under the same name is no replaced
    /// part, but a position that is lost.
    fn is_log(&self) -> bool {
        false
    }

    /// How many rows at most stand between two positions at which a bounded read can end, the rows of a transaction, say;
    /// `None` where the connector reads every part to its end.
    fn rows_together_max(&self) -> Option<usize> {
        None
    }

    /// The position up to which the source was told that the rows of a part are durable; `None` where it remembers none.
    async fn acknowledged(&mut self, _part: &str) -> Option<i64> {
        None
    }

    /// The request with which the suite calls `read`.
    fn request(&self) -> ReadRequest {
        ReadRequest::default()
    }
}

/// One row as text, with its position; malformed rows among them.
pub type PlacedRow = (i64, String);

/// Runs the whole suite.
pub fn check<'a>(fixture: &'a mut dyn Fixture) -> LocalBoxFuture<'a, Result<(), String>> {
    Box::pin(async move {
        no_such_place(fixture).await?;
        fixture.fill().await;
        let known = first_run(fixture).await?;
        nothing_twice(fixture, &known).await?;
        continues_anywhere(fixture).await?;
        ends_at_bounds(fixture).await?;
        touched(fixture, &known).await?;
        let known = grown(fixture, known).await?;
        replaced(fixture, &known).await?;
        acknowledged(fixture).await
    })
}

/// Reads the blocks of a part to the end.
pub fn read_batches<'a>(
    connector: &'a dyn Connector,
    part: &'a Part,
    request: &'a ReadRequest,
) -> BoxFuture<'a, Result<Vec<SourceBatch>, ConnectorError>> {
    Box::pin(async move {
        let mut blocks = connector.read(part, request).await?;
        let mut batches = Vec::new();
        while let Some(block) = blocks.next().await {
            batches.push(block?.decode()?);
        }
        Ok(batches)
    })
}

/// The rows of some batches in the order of their positions: each as `name: value, …`, nulls left out.
pub fn placed_rows(batches: &[SourceBatch]) -> Result<Vec<PlacedRow>, String> {
    let mut rows = Vec::new();
    for batch in batches {
        let texts = row_texts(&batch.rows).map_err(|error| error.to_string())?;
        rows.extend(texts.into_iter().enumerate().map(|(row, text)| (batch.positions.get(row), text)));
        let malformed = |row: &crate::MalformedRow| (row.position, format!("malformed: {}", row.text));
        rows.extend(batch.malformed.iter().map(malformed));
        let highest = rows.iter().map(|(position, _)| *position).max();
        let empty = batch.rows.num_rows() == 0 && batch.malformed.is_empty();
        ensure(empty || batch.last_position == highest, || {
            format!("last_position is {:?}, the highest position is {highest:?}", batch.last_position)
        })?;
    }
    rows.sort();
    Ok(rows)
}

fn row_texts(batch: &RecordBatch) -> Result<Vec<String>, ArrowError> {
    let options = FormatOptions::default();
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let columns = columns
        .map(|(field, array)| Ok((field.name(), array, ArrayFormatter::try_new(array.as_ref(), &options)?)))
        .collect::<Result<Vec<_>, ArrowError>>()?;
    let text = |row: usize| {
        let values = columns.iter().filter(|(_, array, _)| array.is_valid(row));
        let values: Vec<String> =
            values.map(|(name, _, text)| format!("{name}: {}", text.value(row))).collect();
        values.join(", ")
    };
    Ok((0..batch.num_rows()).map(text).collect())
}

async fn no_such_place(fixture: &dyn Fixture) -> Result<(), String> {
    let outcome = match fixture.nowhere() {
        Ok(connector) => connector.discover(&[]).await.map(|_| ()),
        Err(error) => Err(error),
    };
    match outcome {
        Err(
            ConnectorError::Refused { .. }
            | ConnectorError::Unavailable { .. }
            | ConnectorError::Options { .. },
        ) => Ok(()),
        other => Err(format!("a place that does not exist must be refused, but: {other:?}")),
    }
}

/// Everything is new, is described, and reads the same twice. Gives what the engine would remember.
async fn first_run(fixture: &dyn Fixture) -> Result<Vec<KnownPart>, String> {
    let connector = connect(fixture)?;
    let found = discover(&*connector, &[]).await?;
    ensure(found.parts.len() >= 2, || format!("two parts or more are expected, found {found:?}"))?;
    let mut known = Vec::new();
    for part in &found.parts {
        ensure(part.change == PartChange::New, || format!("`{}` is not new: {:?}", part.id, part.change))?;
        let columns = connector.describe(part).await.map_err(|error| failed("describe", part, &error))?;
        let batches = read(&*connector, part, &fixture.request()).await?;
        // A part without a schema of its own may describe nothing, and then the contract's columns are what is known.
        if connector.names_every_column(part) || !columns.is_empty() {
            described(part, &columns, &batches)?;
        }
        let rows = placed_rows(&batches)?;
        ensure(rows.len() >= 6, || format!("six rows or more are expected in `{}`: {rows:?}", part.id))?;
        let twice = rows.windows(2).find(|pair| pair[0].0 == pair[1].0);
        ensure(twice.is_none(), || format!("two rows at one position of `{}`: {twice:?}", part.id))?;
        let ReadEnd { version, .. } = finish(&*connector, part).await?;
        let again = placed_rows(&read(&*connect(fixture)?, part, &fixture.request()).await?)?;
        ensure(rows == again, || format!("`{}` reads differently the second time", part.id))?;
        let position = rows.last().map_or(0, |(position, _)| *position);
        known.push(KnownPart { id: part.id.clone(), version, position });
    }
    Ok(known)
}

fn described(part: &Part, columns: &[FoundColumn], batches: &[SourceBatch]) -> Result<(), String> {
    for field in batches.iter().flat_map(|batch| batch.rows.schema_ref().fields()) {
        let found = columns.iter().any(|column| column.name == *field.name());
        ensure(found, || format!("column `{}` of `{}` is not described", field.name(), part.id))?;
    }
    Ok(())
}

/// What is known is not offered again.
async fn nothing_twice(fixture: &dyn Fixture, known: &[KnownPart]) -> Result<(), String> {
    let found = discover(&*connect(fixture)?, known).await?;
    ensure(found.parts.is_empty(), || format!("all is known, but there is {:?}", found.parts))?;
    let connector = connect(fixture)?;
    let all = discover(&*connector, &[]).await?;
    for part in &all.parts {
        let last = known.iter().find(|known| known.id == part.id).map(|known| known.position);
        let request = ReadRequest { after: last, ..fixture.request() };
        let rows = placed_rows(&read(&*connector, part, &request).await?)?;
        ensure(rows.is_empty(), || format!("nothing follows the last row of `{}`, but {rows:?}", part.id))?;
    }
    Ok(())
}

/// Reading after any position gives exactly the rows behind it.
async fn continues_anywhere(fixture: &dyn Fixture) -> Result<(), String> {
    let connector = connect(fixture)?;
    for part in &discover(&*connector, &[]).await?.parts {
        let rows = placed_rows(&read(&*connector, part, &fixture.request()).await?)?;
        for (after, _) in &rows {
            let request = ReadRequest { after: Some(*after), ..fixture.request() };
            let rest = placed_rows(&read(&*connector, part, &request).await?)?;
            let expected: Vec<_> = rows.iter().filter(|(position, _)| position > after).cloned().collect();
            ensure(rest == expected, || {
                format!("after {after} of `{}`: {rest:?} is not {expected:?}", part.id)
            })?;
        }
    }
    Ok(())
}

/// Read from bound to bound, each time by another process that knows only where the last one ended, a part gives the rows
/// that it gives at once.
async fn ends_at_bounds(fixture: &dyn Fixture) -> Result<(), String> {
    let bounds = [
        Bound { rows: Some(1), ..Bound::NONE },
        Bound { rows: Some(4), ..Bound::NONE },
        Bound { bytes: Some(1), ..Bound::NONE },
        Bound { time: Some(Duration::ZERO), ..Bound::NONE },
    ];
    for bound in bounds {
        let connector = connect(fixture)?;
        for part in discover(&*connector, &[]).await?.parts {
            let whole = placed_rows(&read(&*connector, &part, &fixture.request()).await?)?;
            let bounded = read_bounded(fixture, &part, bound).await?;
            ensure(bounded.concat() == whole, || {
                format!("`{}` read with {bound:?} gives {bounded:?}, at once {whole:?}", part.id)
            })?;
            let Some(together) = fixture.rows_together_max() else { continue };
            let wanted = bound.rows.and_then(|rows| usize::try_from(rows).ok()).unwrap_or(1);
            let rows_max = together.saturating_add(wanted).saturating_sub(1);
            let longest = bounded.iter().map(Vec::len).max().unwrap_or(0);
            ensure(bound.rows.is_none() || longest <= rows_max, || {
                format!(
                    "a read of `{}` with {bound:?} gave {longest} rows, {rows_max} at most were expected",
                    part.id
                )
            })?;
            ensure(bound.bytes.is_some() || bounded.len() > 1 || whole.len() <= rows_max, || {
                format!("a read of `{}` with {bound:?} went on to the end", part.id)
            })?;
        }
    }
    Ok(())
}

/// The rows of each read.
async fn read_bounded(
    fixture: &dyn Fixture,
    part: &Part,
    bound: Bound,
) -> Result<Vec<Vec<PlacedRow>>, String> {
    let (mut part, mut after, mut reads) = (part.clone(), None, Vec::new());
    loop {
        let connector = connect(fixture)?;
        let request = ReadRequest { after, until: bound, ..fixture.request() };
        let rows = placed_rows(&read(&*connector, &part, &request).await?)?;
        let end = finish(&*connector, &part).await?;
        let position = rows.last().map(|(position, _)| *position).max(end.position).max(after);
        reads.push(rows);
        let known = KnownPart { id: part.id.clone(), version: end.version, position: position.unwrap_or(0) };
        let found = discover(&*connect(fixture)?, std::slice::from_ref(&known)).await?;
        let rest = found.parts.into_iter().find(|found| found.id == part.id);
        match (rest, end.more) {
            (None, false) => return Ok(reads),
            (Some(rest), true) if rest.change == PartChange::Grown && position > after => {
                (part, after) = (rest, position);
            }
            (rest, more) => {
                return Err(format!(
                    "a read of `{}` after {after:?} with {bound:?} came to {position:?}, and more waits: {more}; then there \
                     is {rest:?}",
                    part.id
                ));
            }
        }
    }
}

/// What is told to be durable may be told again, is not offered again, and what comes behind it is.
async fn acknowledged(fixture: &mut dyn Fixture) -> Result<(), String> {
    fixture.fill().await;
    let connector = connect(fixture)?;
    let mut known = Vec::new();
    for part in &discover(&*connector, &[]).await?.parts {
        let rows = placed_rows(&read(&*connector, part, &fixture.request()).await?)?;
        let ReadEnd { version, .. } = finish(&*connector, part).await?;
        let position = rows.last().map_or(0, |(position, _)| *position);
        known.push(KnownPart { id: part.id.clone(), version, position });
    }
    for _ in 0..2 {
        let told = connect(fixture)?.acknowledge(&known).await;
        told.map_err(|error| format!("acknowledge: {error}: {error:?}"))?;
    }
    for part in &known {
        let told = fixture.acknowledged(&part.id).await;
        ensure(told.is_none_or(|told| told == part.position), || {
            format!("`{}` was told {} and remembers {told:?}", part.id, part.position)
        })?;
    }
    let found = discover(&*connect(fixture)?, &known).await?;
    ensure(found.parts.is_empty(), || format!("all is acknowledged, but there is {:?}", found.parts))?;
    let Some(first) = known.first().cloned() else { return Ok(()) };
    if fixture.grow(&first.id).await {
        let connector = connect(fixture)?;
        let found = discover(&*connector, &known).await?;
        let part = found.parts.iter().find(|part| part.id == first.id && part.change == PartChange::Grown);
        let Some(part) = part else {
            return Err(format!("`{}` has grown after it was acknowledged, but {found:?}", first.id));
        };
        let request = ReadRequest { after: Some(first.position), ..fixture.request() };
        let rows = placed_rows(&read(&*connector, part, &request).await?)?;
        ensure(!rows.is_empty(), || format!("`{}` has grown and gives no row", part.id))?;
    }
    Ok(())
}

/// A part whose content is the same is refreshed, not read again.
async fn touched(fixture: &mut dyn Fixture, known: &[KnownPart]) -> Result<(), String> {
    let Some(first) = known.first() else { return Ok(()) };
    if !fixture.touch(&first.id).await {
        return Ok(());
    }
    let found = discover(&*connect(fixture)?, known).await?;
    let refreshed = found.refreshed.iter().any(|part| part.id == first.id && part.position == first.position);
    ensure(found.parts.is_empty() && refreshed, || format!("a touched part must be refreshed, but {found:?}"))
}

/// Checks that of a part that has grown exactly the new rows are read.
async fn grown(fixture: &mut dyn Fixture, mut known: Vec<KnownPart>) -> Result<Vec<KnownPart>, String> {
    let Some(first) = known.first().cloned() else { return Ok(known) };
    if !fixture.grow(&first.id).await {
        return Ok(known);
    }
    let connector = connect(fixture)?;
    let found = discover(&*connector, &known).await?;
    let part = found.parts.iter().find(|part| part.id == first.id && part.change == PartChange::Grown);
    let Some(part) = part else { return Err(format!("`{}` has grown, but {found:?}", first.id)) };
    let request = ReadRequest { after: Some(first.position), ..fixture.request() };
    let rest = placed_rows(&read(&*connector, part, &request).await?)?;
    let ReadEnd { version, .. } = finish(&*connector, part).await?;
    let all = placed_rows(&read(&*connector, part, &fixture.request()).await?)?;
    let expected: Vec<_> = all.iter().filter(|(position, _)| *position > first.position).cloned().collect();
    ensure(!rest.is_empty() && rest == expected, || format!("new rows: {rest:?} is not {expected:?}"))?;
    let position = rest.last().map_or(first.position, |(position, _)| *position);
    known[0] = KnownPart { id: first.id, version, position };
    nothing_twice(fixture, &known).await?;
    Ok(known)
}

/// A part with other content is offered as replaced, and a stale part is not read as if it were the new one.
async fn replaced(fixture: &mut dyn Fixture, known: &[KnownPart]) -> Result<(), String> {
    let connector = connect(fixture)?;
    let stale = discover(&*connector, &[]).await?;
    let Some(stale) = stale.parts.first() else { return Err("no part is left".into()) };
    let before = placed_rows(&read(&*connector, stale, &fixture.request()).await?)?;
    fixture.replace(&stale.id).await;
    let outcome = read_batches(&*connector, stale, &fixture.request()).await;
    let noticed = matches!(outcome, Err(ConnectorError::Changed { .. } | ConnectorError::PositionLost { .. }));
    ensure(noticed, || format!("the content has changed since discovery, but {outcome:?}"))?;

    if fixture.is_log() {
        let outcome = connector.discover(known).await;
        let is_lost = matches!(outcome, Err(ConnectorError::PositionLost { .. }));
        return ensure(is_lost, || format!("the position is of another log, but {outcome:?}"));
    }
    let found = discover(&*connector, known).await?;
    let part = found.parts.iter().find(|part| part.id == stale.id && part.change == PartChange::Replaced);
    let Some(part) = part else { return Err(format!("`{}` is replaced, but {found:?}", stale.id)) };
    let after = placed_rows(&read(&*connector, part, &fixture.request()).await?)?;
    ensure(before != after, || format!("`{}` still has its old rows", part.id))
}

fn connect(fixture: &dyn Fixture) -> Result<Arc<dyn Connector>, String> {
    fixture.connector().map_err(|error| format!("the connector cannot be built: {error}"))
}

async fn discover(connector: &dyn Connector, known: &[KnownPart]) -> Result<Discovery, String> {
    connector.discover(known).await.map_err(|error| format!("discover: {error}: {error:?}"))
}

async fn read(
    connector: &dyn Connector,
    part: &Part,
    request: &ReadRequest,
) -> Result<Vec<SourceBatch>, String> {
    read_batches(connector, part, request).await.map_err(|error| failed("read", part, &error))
}

async fn finish(connector: &dyn Connector, part: &Part) -> Result<ReadEnd, String> {
    connector.finish(part).await.map_err(|error| failed("finish", part, &error))
}

fn failed(step: &str, part: &Part, error: &ConnectorError) -> String {
    format!("{step} `{}`: {error}: {error:?}", part.id)
}

fn ensure(holds: bool, problem: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem()) }
}
