//! `millstream ingest`: events from a file or from standard input go into the event log of a source.

mod pieces;
mod receiver;

use std::{fs::File, io::Read, path::PathBuf, time::Instant};

use millstream_engine::{Random, SystemRandom};

use self::{
    pieces::{Piece, Pieces},
    receiver::Receiver,
};
use crate::{
    CliError, Exit, human,
    output::{self, GOOD, styled},
    progress::counter::Counter,
    session::Session,
    wire::IngestDocument,
};

/// Pieces that are read ahead of the one that is being taken.
const AHEAD: usize = 2;

/// Send events to a source, from a file or from standard input
///
/// They are durable in the event log when the command ends, and land when the source does. While a `millstream serve` of the
/// project runs, it has the log open: send to it with `--server`, with its token in the variable MILLSTREAM_TOKEN.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// The source, whose connector is of type `http`
    #[arg(value_name = "SOURCE")]
    pub(crate) source: String,
    /// The file with the events; standard input without it, or for `-`
    #[arg(value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Send them to this server instead of writing into the log, such as `http://127.0.0.1:6566`
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<String>,
    /// How the events are written; without it, by the ending of the file's name, or else JSON lines
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub(crate) format: Option<Format>,
    /// Take nothing in that an earlier run of this command with the same events took in, as after one that was broken off. That
    /// is known for as long as fewer than 100,000 other batches with a key came to the source
    #[arg(long)]
    pub(crate) once: bool,
}

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// A JSON object in each line
    Ndjson,
    /// One JSON object, or a list of them
    Json,
    /// Arrow's stream format
    Arrow,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let started = Instant::now();
    let format = arguments.format.unwrap_or_else(|| by_ending(arguments.file.as_ref()));
    let input = input(arguments.file.as_ref())?;
    let receiver = Receiver::open(arguments, format, session).await?;
    let (sender, mut pieces) = tokio::sync::mpsc::channel::<Result<Piece, CliError>>(AHEAD);
    let name = arguments.file.clone().unwrap_or_else(|| PathBuf::from("-"));
    let reading = tokio::task::spawn_blocking(move || {
        for piece in Pieces::new(input, format, name) {
            let is_over = piece.is_err();
            if sender.blocking_send(piece).is_err() || is_over {
                return;
            }
        }
    });
    let counter = Counter::start("taken in by ", session);
    // Whoever wants each event once names a piece by what it holds and where it stands, and others by this run of the command.
    let run = match arguments.once {
        true => String::new(),
        false => format!("{:016x}", SystemRandom.next()),
    };
    let mut sum = IngestDocument { source: arguments.source.clone(), ..IngestDocument::default() };
    let taken = loop {
        let piece = tokio::select! {
            biased;
            () = session.cancel.cancelled() => break Err(millstream_engine::EngineError::Cancelled.into()),
            piece = pieces.recv() => piece,
        };
        let Some(piece) = piece else { break Ok(()) };
        match receiver.take(piece, &run, &sum).await {
            Ok(taken) => sum.add(taken.accepted, taken.repeated),
            Err(error) => break Err(error),
        }
        counter.show(&arguments.source, sum.accepted, None);
    };
    drop((counter, pieces));
    receiver.close().await;
    // A reader that waits for standard input ends with the process.
    drop(reading);
    taken?;
    if session.settings.json {
        output::print_json(&sum)?;
    } else {
        let repeated = match sum.repeated {
            0 => String::new(),
            repeated => format!(", {} of them were there already", human::thousands(repeated)),
        };
        output::print_line(&format!(
            "{} {} in the log of `{}`{repeated} ({})",
            styled(GOOD, '✓'),
            human::count(sum.accepted, "event"),
            arguments.source,
            human::duration(started.elapsed())
        ))?;
    }
    Ok(Exit::Success)
}

fn by_ending(file: Option<&PathBuf>) -> Format {
    match file.and_then(|file| file.extension()?.to_str()) {
        Some("json") => Format::Json,
        Some("arrow" | "arrows" | "ipc") => Format::Arrow,
        _ => Format::Ndjson,
    }
}

fn input(file: Option<&PathBuf>) -> Result<Box<dyn Read + Send>, CliError> {
    match file {
        Some(path) if path.as_os_str() != "-" => {
            Ok(Box::new(File::open(path).map_err(CliError::file("read", path))?))
        }
        _ => Ok(Box::new(std::io::stdin())),
    }
}
