//! Rows of a query in one of the formats, batch by batch.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, SchemaRef},
    util::display::{ArrayFormatter, FormatOptions},
};
use tokio::{
    sync::mpsc,
    task::{JoinHandle, spawn_blocking},
};

use super::{
    arrow_ipc::{ArrowFile, ArrowStream},
    csv::Csv,
    format::Format,
    json::Json,
    parquet::Parquet,
    table::Layout,
};
use crate::{
    CliError, human,
    output::{self, FAINT, styled},
};

/// Takes a result's batches in order.
pub(crate) trait RowWriter: Send {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError>;

    /// Writes what closes the format.
    fn finish(self: Box<Self>) -> Result<(), CliError>;
}

/// Where rows go.
pub(crate) enum Target {
    Stdout,
    /// The file appears when the last row is in it.
    File(PathBuf),
}

impl Target {
    /// Whether readers of the target take the rows in order, from the front.
    fn is_stream(&self) -> bool {
        match self {
            Self::Stdout => true,
            Self::File(path) => path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("arrows")),
        }
    }
}

/// A writer of `format` into `target`.
fn writer(format: Format, schema: SchemaRef, target: &Target) -> Result<Box<dyn RowWriter>, CliError> {
    let sink = Sink::open(target)?;
    Ok(match format {
        Format::Table => Box::new(TableRows::new(schema, sink)),
        Format::Csv => Box::new(Csv::new(&schema, sink)?),
        Format::Json => Box::new(Json::new(sink)),
        Format::Arrow if target.is_stream() => Box::new(ArrowStream::new(&schema, sink)?),
        Format::Arrow => Box::new(ArrowFile::new(&schema, sink)?),
        Format::Parquet => Box::new(Parquet::new(schema, sink)?),
    })
}

/// Batches that wait for a reader of standard output.
const WAITING_BATCHES: usize = 2;

/// A writer on a thread of its own: whoever reads the rows may take as long as they like, and the command hears meanwhile
/// that it is to stop. Without an end, what was written stays unfinished.
pub(crate) struct Apart {
    pieces: mpsc::Sender<Piece>,
    work: JoinHandle<Result<(), CliError>>,
}

enum Piece {
    Rows(RecordBatch),
    End,
}

impl Apart {
    pub(crate) fn start(format: Format, schema: SchemaRef, target: Target) -> Self {
        let (pieces, mut waiting) = mpsc::channel(WAITING_BATCHES);
        let work = spawn_blocking(move || {
            let mut writer = writer(format, schema, &target)?;
            while let Some(piece) = waiting.blocking_recv() {
                match piece {
                    Piece::Rows(batch) => writer.batch(&batch)?,
                    Piece::End => return writer.finish(),
                }
            }
            Ok(())
        });
        Self { pieces, work }
    }

    /// Hands over a batch. Returns whether more rows are wanted: after a fault none are, and [`Self::end`] returns the
    /// fault.
    pub(crate) async fn batch(&self, batch: RecordBatch) -> bool {
        self.pieces.send(Piece::Rows(batch)).await.is_ok()
    }

    /// Waits until everything is written; unless all rows were handed over, nothing closes the format.
    pub(crate) async fn end(self, is_complete: bool) -> Result<(), CliError> {
        if is_complete {
            // A writer that has stopped has a fault, which is returned below.
            let _ = self.pieces.send(Piece::End).await;
        }
        drop(self.pieces);
        self.work.await.map_err(|error| CliError::Output(error.into()))?
    }
}

/// Buffered bytes to standard output or to a file that is renamed into place at the end.
pub(crate) struct Sink {
    out: BufWriter<Box<dyn Write + Send>>,
    rename: Option<(PathBuf, PathBuf)>,
    is_terminal: bool,
}

impl Sink {
    fn open(target: &Target) -> Result<Self, CliError> {
        let (out, rename): (Box<dyn Write + Send>, _) = match target {
            Target::Stdout => (Box::new(io::stdout()), None),
            Target::File(path) => {
                let mut unfinished = path.clone().into_os_string();
                unfinished.push(".unfinished");
                let unfinished = PathBuf::from(unfinished);
                let file = File::create(&unfinished).map_err(CliError::file("create", &unfinished))?;
                (Box::new(file), Some((unfinished, path.clone())))
            }
        };
        let is_terminal = rename.is_none() && io::IsTerminal::is_terminal(&io::stdout());
        Ok(Self { out: BufWriter::with_capacity(1 << 16, out), rename, is_terminal })
    }

    /// Flushes, and makes the file visible.
    pub(crate) fn finish(mut self) -> Result<(), CliError> {
        self.out.flush().map_err(CliError::Output)?;
        if let Some((unfinished, path)) = self.rename.take() {
            fs::rename(&unfinished, &path).map_err(CliError::file("write", path))?;
        }
        Ok(())
    }
}

impl Drop for Sink {
    /// A result that was not finished leaves no file behind.
    fn drop(&mut self) {
        if let Some((unfinished, _)) = self.rename.take() {
            // What cannot be removed stays under its telling name.
            let _ = fs::remove_file(unfinished);
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Rows that decide the widths of the columns; later rows are fitted to them.
const ROWS_FITTED: usize = 1_000;
/// Rows turned into text at once.
const ROWS_AT_ONCE: usize = 1_000;

/// Aligned columns.
struct TableRows {
    schema: SchemaRef,
    sink: Sink,
    layout: Option<Layout>,
    first: Vec<Vec<String>>,
    rows: u64,
}

impl TableRows {
    fn new(schema: SchemaRef, sink: Sink) -> Self {
        Self { schema, sink, layout: None, first: Vec::new(), rows: 0 }
    }

    /// Fixes the layout and writes what waited for it.
    fn start(&mut self) -> Result<(), CliError> {
        let names: Vec<String> = self.schema.fields().iter().map(|field| field.name().clone()).collect();
        let right = self.schema.fields().iter().map(|field| is_number(field.data_type())).collect();
        let terminal = if self.sink.is_terminal { output::terminal_width() } else { None };
        let first = std::mem::take(&mut self.first);
        let layout = Layout::fit(&names, &first, right, terminal);
        let text = format!("{}{}", layout.header(&names), layout.rows(&first));
        self.layout = Some(layout);
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> Result<(), CliError> {
        let written = if self.sink.is_terminal
            && anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
        {
            self.sink.write_all(text.as_bytes())
        } else {
            self.sink.write_all(anstream::adapter::strip_str(text).to_string().as_bytes())
        };
        written.map_err(CliError::Output)
    }
}

impl RowWriter for TableRows {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        let mut from = 0;
        while from < batch.num_rows() {
            let piece = batch.slice(from, ROWS_AT_ONCE.min(batch.num_rows() - from));
            from += piece.num_rows();
            self.rows += piece.num_rows() as u64;
            let rows = cells(&piece)?;
            match &self.layout {
                Some(layout) => {
                    let text = layout.rows(&rows);
                    self.write(&text)?;
                }
                None => {
                    self.first.extend(rows);
                    if self.first.len() >= ROWS_FITTED {
                        self.start()?;
                    }
                }
            }
        }
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), CliError> {
        if self.layout.is_none() {
            self.start()?;
        }
        let count = styled(FAINT, human::count(self.rows, "row"));
        self.write(&format!("{count}\n"))?;
        self.sink.finish()
    }
}

/// Each row's cells as text; line breaks and other control characters become spaces.
pub(crate) fn cells(batch: &RecordBatch) -> Result<Vec<Vec<String>>, CliError> {
    let options =
        FormatOptions::default().with_null("null").with_timestamp_tz_format(Some("%Y-%m-%d %H:%M:%S%.fZ"));
    let formatters = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| CliError::Format(error.into()))?;
    let cell = |formatter: &ArrayFormatter<'_>, row| {
        formatter
            .value(row)
            .try_to_string()
            .map(
                |text| if text.contains(char::is_control) { human::shorten(&text, usize::MAX) } else { text },
            )
            .map_err(|error| CliError::Format(error.into()))
    };
    (0..batch.num_rows())
        .map(|row| formatters.iter().map(|formatter| cell(formatter, row)).collect())
        .collect()
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}
