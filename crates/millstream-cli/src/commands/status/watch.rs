//! `status --watch`: where each asset stands, drawn again when something has changed.
//!
//! The state store is asked each second for a few figures, and for everything only when one of them differs or some time has gone
//! by; a server that runs the project is not asked at all. So watching costs hardly anything, works while no server runs, and
//! sees what any process does.

use std::{
    io::{self, BufRead, IsTerminal, Write},
    time::Duration,
};

use millstream_engine::{Engine, EngineError, Pulse, Status};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::overview;
use crate::{
    CliError, human,
    output::{self, BAD, FAINT, STRONG, styled},
    session::Session,
    wire::{Of, StatusDocument},
};

/// How often it is looked whether something has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Everything is read again after so long even where no figure differs: freshness changes by itself.
const READ_EVERY: Duration = Duration::from_secs(15);

/// Switches to a screen of its own without a cursor, and back.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";

/// Goes to the upper left corner; clears the rest of a line; clears what is below.
const HOME: &str = "\u{1b}[H";
const REST: &str = "\u{1b}[K";
const BELOW: &str = "\u{1b}[J";

/// What a terminal is taken to be that does not say its size.
const SIZE: (usize, usize) = (80, 24);

/// Shows the project until `q` and Enter, or Ctrl-C.
pub(super) async fn watch(engine: &Engine, session: &Session) -> Result<(), CliError> {
    let cancel = session.cancel.child_token();
    let mut view: Box<dyn View> = match session.settings.json {
        true => Box::new(Lines),
        false if io::stdout().is_terminal() => {
            until_q(cancel.clone());
            Box::new(Screen::enter(engine)?)
        }
        false => Box::new(Texts { is_first: true }),
    };
    let mut watched = Watched { pulse: None, read_at: Instant::now(), status: None };
    loop {
        let looked = tokio::select! {
            looked = watched.look(engine) => looked,
            () = cancel.cancelled() => return Ok(()),
        };
        match (looked, &mut watched.status) {
            (Ok(is_news), Some(status)) => {
                status.now = engine.now();
                view.show(status, is_news)?;
            }
            (Ok(_), None) => {}
            // A store that is away now may be back in a moment.
            (Err(error), _) => view.fault(&error)?,
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_EVERY) => {}
            () = cancel.cancelled() => return Ok(()),
        }
    }
}

/// What is known of the project.
struct Watched {
    pulse: Option<Pulse>,
    read_at: Instant,
    status: Option<Status>,
}

impl Watched {
    /// Reads everything if there may be something new; whether there is.
    async fn look(&mut self, engine: &Engine) -> Result<bool, EngineError> {
        let pulse = engine.pulse().await?;
        let is_same = self.pulse.as_ref() == Some(&pulse);
        if is_same && self.status.is_some() && self.read_at.elapsed() < READ_EVERY {
            return Ok(false);
        }
        let status = engine.status().await?;
        let is_news = !is_same || self.status.as_ref().is_none_or(|known| differ(known, &status));
        (self.pulse, self.read_at, self.status) = (Some(pulse), Instant::now(), Some(status));
        Ok(is_news)
    }
}

/// Whether machines would see another document.
fn differ(one: &Status, other: &Status) -> bool {
    let text = |status: &Status| serde_json::to_string(&StatusDocument::of(status)).unwrap_or_default();
    text(one) != text(other)
}

/// Where the status is shown.
trait View {
    /// Shows the status as it is at its time `now`; `is_news` says whether anything but that has changed.
    fn show(&mut self, status: &Status, is_news: bool) -> Result<(), CliError>;

    fn fault(&mut self, error: &EngineError) -> Result<(), CliError>;
}

/// A JSON document in a line for each change.
struct Lines;

impl View for Lines {
    fn show(&mut self, status: &Status, is_news: bool) -> Result<(), CliError> {
        if !is_news {
            return Ok(());
        }
        let line = serde_json::to_string(&StatusDocument::of(status))
            .map_err(|error| CliError::Format(error.into()))?;
        output::print_line(&line)
    }

    fn fault(&mut self, error: &EngineError) -> Result<(), CliError> {
        output::tell(&format!("the project cannot be looked at: {error}"));
        Ok(())
    }
}

/// A text for each change, for logs and pipes.
struct Texts {
    is_first: bool,
}

impl View for Texts {
    fn show(&mut self, status: &Status, is_news: bool) -> Result<(), CliError> {
        if !is_news {
            return Ok(());
        }
        let gap = if std::mem::take(&mut self.is_first) { "" } else { "\n" };
        output::print(&format!("{gap}{}", overview::text(status)))
    }

    fn fault(&mut self, error: &EngineError) -> Result<(), CliError> {
        output::tell(&format!("the project cannot be looked at: {error}"));
        Ok(())
    }
}

/// The terminal's other screen, which is left when this is dropped.
struct Screen {
    project: String,
}

impl Screen {
    fn enter(engine: &Engine) -> Result<Self, CliError> {
        let screen = Self { project: engine.project().spec.name.clone() };
        raw(ENTER)?;
        Ok(screen)
    }

    fn draw(&self, text: &str) -> Result<(), CliError> {
        let (width, height) = size();
        let foot = format!("{}  {}", self.project, "q and Enter, or Ctrl-C, ends this");
        raw(&frame(text, &styled(FAINT, foot), width, height))
    }
}

impl View for Screen {
    fn show(&mut self, status: &Status, _: bool) -> Result<(), CliError> {
        self.draw(&overview::text(status))
    }

    fn fault(&mut self, error: &EngineError) -> Result<(), CliError> {
        let hint = error.hint().unwrap_or_default();
        self.draw(&format!("{} {error}\n{hint}\n", styled(BAD, '✗')))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A vanished terminal needs no cursor.
        let _ = raw(LEAVE);
    }
}

/// The text that draws a screen anew without a flicker: each line in the place of the one before, cut to the width, and no more
/// lines than there are. The last line is the foot.
fn frame(text: &str, foot: &str, width: usize, height: usize) -> String {
    let room = height.saturating_sub(2).max(1);
    let lines: Vec<&str> = text.lines().collect();
    let shown = if lines.len() > room { room - 1 } else { lines.len() };
    let mut drawn = HOME.to_owned();
    for line in lines.iter().take(shown) {
        drawn.push_str(&format!("{}{REST}\r\n", cut(line, width)));
    }
    if let more @ 1.. = lines.len() - shown {
        let more = styled(STRONG, format_args!("… {} more", human::count(more as u64, "line")));
        drawn.push_str(&format!("{}{REST}\r\n", cut(&more, width)));
    }
    drawn.push_str(&format!("{REST}\r\n{}{REST}{BELOW}", cut(foot, width)));
    drawn
}

/// The line as it is where it fits, or else without its styles and shortened.
fn cut(line: &str, width: usize) -> String {
    use unicode_width::UnicodeWidthStr;

    let plain = anstream::adapter::strip_str(line).to_string();
    if plain.width() <= width { line.to_owned() } else { human::shorten(&plain, width) }
}

/// The terminal's columns and lines.
fn size() -> (usize, usize) {
    match terminal_size::terminal_size_of(io::stdout()) {
        Some((width, height)) => (usize::from(width.0), usize::from(height.0)),
        None => SIZE,
    }
}

/// Writes to the terminal; styles go where colours are not wanted, and movements of the cursor stay.
fn raw(text: &str) -> Result<(), CliError> {
    let is_plain = anstream::AutoStream::choice(&io::stdout()) == anstream::ColorChoice::Never;
    let text = if is_plain { without_styles(text) } else { text.to_owned() };
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(CliError::Output)
}

/// The text without its sequences for styles, which end with an `m`.
fn without_styles(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        match end {
            Some(end) if part[end..].starts_with('m') => plain.push_str(&part[end + 1..]),
            _ => {
                plain.push('\u{1b}');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// Cancels when a line that begins with `q` is typed.
fn until_q(cancel: CancellationToken) {
    let typed = move || {
        for line in io::stdin().lock().lines() {
            match line {
                Ok(line) if line.trim_start().to_ascii_lowercase().starts_with('q') => {
                    return cancel.cancel();
                }
                Ok(_) => {}
                Err(_) => return,
            }
        }
    };
    // Without it, Ctrl-C still ends the watch.
    let _ = std::thread::Builder::new().name("keys".to_owned()).spawn(typed);
}
