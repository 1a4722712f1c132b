//! Log lines on standard error: coloured on a terminal, plain in a file, and with the journal's own priorities instead
//! of a time under systemd. Credentials are covered, whoever wrote the line. Lines from within a step go to the log of the step too.

mod step_lines;

use std::{
    io::{self, IsTerminal, Write},
    sync::OnceLock,
};

use millstream_project::cover;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, Targets},
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::settings::variable;

/// How lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// The variable by which systemd says that it keeps what a service writes.
const JOURNAL_VARIABLE: &str = "JOURNAL_STREAM";

/// What the lines on standard error are about. The logs of steps take more, so that [`tracing::enabled`] says too much of them.
static SHOWN: OnceLock<Targets> = OnceLock::new();

/// Sends what `filter` lets through to standard error, and the lines of steps to their logs. A second call in one process (a test)
/// keeps the first.
pub(crate) fn start(filter: &str, format: Format) {
    let text = filter;
    let filter = EnvFilter::new(text);
    let most = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let _ = SHOWN.set(text.parse().unwrap_or_else(|_| Targets::new().with_default(most)));
    let steps = step_lines::StepLines.with_filter(EnvFilter::new(step_lines::KEPT));
    let all = tracing_subscriber::registry().with(steps);
    if format == Format::Json {
        let lines = fmt::layer()
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_writer(Lines { is_journal: false });
        let _ = all.with(lines.with_filter(filter)).try_init();
        return;
    }
    let stderr = io::stderr();
    let is_journal = !stderr.is_terminal() && variable(JOURNAL_VARIABLE).is_some();
    let colour = anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never;
    let lines = fmt::layer().with_writer(Lines { is_journal }).with_ansi(colour);
    // The journal itself has a time and a level for each line.
    let _ = match is_journal {
        true => all.with(lines.without_time().with_level(false).with_filter(filter)).try_init(),
        false => all.with(lines.with_filter(filter)).try_init(),
    };
}

/// Whether a line of that level from the module `target` comes to standard error.
pub(crate) fn shows(target: &str, level: Level) -> bool {
    SHOWN.get().is_some_and(|shown| shown.would_enable(target, &level))
}

/// Checks the value of `--log`; the error says what it may be.
pub(crate) fn filter(text: &str) -> Result<String, String> {
    let wrong = || "write `off`, `error`, `warn`, `info`, `debug` or `trace`, or a filter such as `warn,millstream=debug`";
    let is_word = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_:=-[]{}.".contains(c))
    };
    if !text.split(',').all(|part| is_word(part.trim())) {
        return Err(wrong().to_owned());
    }
    // A word alone would be taken for the name of a module, of which nothing is ever heard.
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    if !text.contains('=')
        && !text.split(',').all(|part| levels.contains(&part.trim().to_lowercase().as_str()))
    {
        return Err(wrong().to_owned());
    }
    EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|_| wrong().to_owned())
}

/// Makes the writer of each line.
#[derive(Clone, Copy, Debug)]
struct Lines {
    is_journal: bool,
}

/// The writer of one line, which arrives in one piece.
#[derive(Debug)]
struct Line {
    /// `<3>` and the like, by which the journal knows how grave a line is.
    priority: &'static str,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { priority: "" }
    }

    fn make_writer_for(&'a self, line: &Metadata<'_>) -> Line {
        let priority = match *line.level() {
            _ if !self.is_journal => "",
            Level::ERROR => "<3>",
            Level::WARN => "<4>",
            Level::INFO => "<6>",
            Level::DEBUG | Level::TRACE => "<7>",
        };
        Line { priority }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        let mut stderr = io::stderr().lock();
        // The terminal may be closed: there is no place left to say that a line is lost, and the work goes on.
        let written = stderr.write_all(self.priority.as_bytes());
        let _ = written.and_then(|()| stderr.write_all(cover(&text).text.as_bytes()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let _ = io::stderr().flush();
        Ok(())
    }
}
