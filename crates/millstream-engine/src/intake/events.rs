//! A body becomes events: where each begins and ends, and which partition it belongs to. The bytes of an event are those that were
//! sent; only what is no event is refused, since whether it keeps the contract is judged when it lands.

use bytes::Bytes;
use millstream_log::Message;

use super::{
    IntakeError,
    json::{Fault, Scan},
    rows::{self, EventRows},
};

/// So many events that cannot be taken are named.
pub const FAULTS_MAX: usize = 20;

/// How events stand in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFormat {
    /// One JSON object, or a list of them.
    Json,
    /// A JSON object in each line.
    Ndjson,
    /// Arrow's stream format.
    Arrow,
}

/// What an event has to be, besides an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRules {
    /// The member that each event has, whose value decides on its partition.
    pub key: Option<String>,
    /// The most bytes of one event.
    pub event_bytes_max: u64,
    /// The most events of one body.
    pub events_max: usize,
}

/// The events of a body.
#[derive(Clone, Debug)]
pub enum Events {
    /// JSON objects, with the values of their keys.
    Messages(Vec<Message>),
    Rows(EventRows),
}

/// An event that cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFault {
    /// The place of the event among those of the body, from 0.
    pub index: u64,
    /// The byte of the body at which the fault was seen; `None` for rows of Arrow.
    pub offset: Option<u64>,
    pub reason: String,
}

/// The events of a body, none of which is left out.
///
/// # Errors
///
/// Some are no events, have no key, or are too large; the first [`FAULTS_MAX`] of them are named.
pub fn read_events(format: EventFormat, body: &Bytes, rules: &EventRules) -> Result<Events, IntakeError> {
    match format {
        EventFormat::Arrow => rows::read(body, rules).map(Events::Rows),
        EventFormat::Json => Reading::new(body, rules).json(),
        EventFormat::Ndjson => Reading::new(body, rules).lines(),
    }
}

impl Events {
    /// JSON objects that were written by this program.
    #[must_use]
    pub fn written(objects: Vec<Bytes>) -> Self {
        let message = |value| Message { value: Some(value), ..Message::default() };
        Self::Messages(objects.into_iter().map(message).collect())
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        match self {
            Self::Messages(messages) => messages.len() as u64,
            Self::Rows(rows) => rows.count(),
        }
    }

    /// About the bytes that the events hold in memory.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Messages(messages) => {
                let value = |message: &Message| message.value.as_ref().map_or(0, Bytes::len);
                messages.iter().map(|message| size_of::<Message>() + value(message)).sum()
            }
            Self::Rows(rows) => rows.bytes(),
        }
    }
}

/// A body that is being read.
struct Reading<'a> {
    body: &'a Bytes,
    rules: &'a EventRules,
    scan: Scan<'a>,
    /// Whether all of the body is UTF-8, so that no event has to be looked at for that.
    is_text: bool,
    messages: Vec<Message>,
    faults: Vec<EventFault>,
    fault_count: u64,
    /// How many of the faults are events that are larger than they may be.
    over_count: u64,
    index: u64,
}

impl<'a> Reading<'a> {
    fn new(body: &'a Bytes, rules: &'a EventRules) -> Self {
        Self {
            body,
            rules,
            scan: Scan::new(body),
            is_text: std::str::from_utf8(body).is_ok(),
            messages: Vec::new(),
            faults: Vec::new(),
            fault_count: 0,
            over_count: 0,
            index: 0,
        }
    }

    /// One object, or a list of objects.
    fn json(mut self) -> Result<Events, IntakeError> {
        self.scan.space();
        if self.scan.peek().is_none() {
            self.refuse(self.scan.at, "the body is empty");
        } else if self.scan.take(b'[') {
            self.list()?;
        } else {
            match self.object() {
                Ok(()) => self.only_space_follows(AFTER_OBJECT),
                Err(fault) => self.refuse(fault.at, fault.reason),
            }
        }
        self.end()
    }

    fn list(&mut self) -> Result<(), IntakeError> {
        self.scan.space();
        if self.scan.take(b']') {
            self.only_space_follows(AFTER_LIST);
            return Ok(());
        }
        loop {
            self.scan.space();
            // Behind what is no JSON nobody knows where the next event begins.
            if let Err(fault) = self.object() {
                self.refuse(fault.at, fault.reason);
                return Ok(());
            }
            self.in_bounds()?;
            self.scan.space();
            if self.scan.take(b']') {
                self.only_space_follows(AFTER_LIST);
                return Ok(());
            }
            if !self.scan.take(b',') {
                self.refuse(self.scan.at, "`,` or `]` is needed after an event");
                return Ok(());
            }
        }
    }

    /// An object in each line that is not blank.
    fn lines(mut self) -> Result<Events, IntakeError> {
        let body = self.body;
        self.messages.reserve(body.len() / 128);
        let mut start = 0;
        while start < body.len() {
            let rest = body.get(start..).unwrap_or_default();
            let end = memchr::memchr(b'\n', rest).map_or(body.len(), |length| start + length);
            self.line(start, end);
            self.in_bounds()?;
            start = end + 1;
        }
        self.end()
    }

    fn line(&mut self, start: usize, end: usize) {
        let line = self.body.get(..end).unwrap_or_default();
        self.scan = Scan::new(line);
        self.scan.at = start;
        self.scan.space();
        if self.scan.at == end {
            return;
        }
        match self.object() {
            Ok(()) => self.only_space_follows(AFTER_LINE),
            Err(fault) => self.refuse(fault.at, fault.reason),
        }
    }

    /// Takes the object that begins here. The error is of bytes that are no JSON; what is JSON and no event is noted, and reading
    /// goes on behind it.
    fn object(&mut self) -> Result<(), Fault> {
        let start = self.scan.at;
        if self.scan.peek() != Some(b'{') {
            self.scan.value()?;
            self.refuse(start, "it is no JSON object");
            return Ok(());
        }
        let wanted = self.rules.key.as_deref();
        let found = self.scan.object(wanted)?;
        let end = self.scan.at;
        let text = self.scan.slice(start, end);
        if !self.is_text
            && let Err(error) = std::str::from_utf8(text)
        {
            self.refuse(start + error.valid_up_to(), "it is no UTF-8 text");
            return Ok(());
        }
        if text.len() as u64 > self.rules.event_bytes_max {
            self.over_count += 1;
            let most = self.rules.event_bytes_max;
            self.refuse(start, format!("it has {} bytes, at most {most} are taken", text.len()));
            return Ok(());
        }
        let mut key = None;
        if let Some(wanted) = wanted {
            let value = found.and_then(|member| self.key(member.start, member.end));
            let Some(value) = value else {
                self.refuse(start, format!("it has no value for its key `{wanted}`"));
                return Ok(());
            };
            key = Some(value);
        }
        self.messages.push(Message { key, value: Some(self.body.slice(start..end)), ..Message::default() });
        self.index += 1;
        Ok(())
    }

    /// The text of a key's value; `None` for null, and for what names nothing.
    fn key(&self, start: usize, end: usize) -> Option<Bytes> {
        let text = self.scan.slice(start, end);
        match text.first()? {
            b'"' if text.contains(&b'\\') => serde_json::from_slice::<String>(text).ok().map(Bytes::from),
            b'"' => Some(self.body.slice(start + 1..end - 1)),
            b'{' | b'[' | b'n' => None,
            b't' | b'f' => Some(self.body.slice(start..end)),
            _ if text.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') => {
                Some(self.body.slice(start..end))
            }
            // One number is one key, however it is written: `1`, `1.0` and `1e0`.
            _ => Some(serde_json::from_slice::<f64>(text).ok()?.to_string().into()),
        }
    }

    /// Refuses the event before, if something stands behind it.
    fn only_space_follows(&mut self, otherwise: &str) {
        self.scan.space();
        if self.scan.peek().is_some() {
            self.note(self.index.saturating_sub(1), self.scan.at, otherwise);
        }
    }

    /// Refuses the event that is being read.
    fn refuse(&mut self, at: usize, reason: impl Into<String>) {
        self.note(self.index, at, reason);
        self.index += 1;
    }

    fn note(&mut self, index: u64, at: usize, reason: impl Into<String>) {
        self.fault_count += 1;
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(EventFault { index, offset: Some(at as u64), reason: reason.into() });
        }
    }

    fn in_bounds(&self) -> Result<(), IntakeError> {
        let most = self.rules.events_max;
        if self.index > most as u64 { Err(IntakeError::TooMany { most }) } else { Ok(()) }
    }

    fn end(self) -> Result<Events, IntakeError> {
        let (count, faults) = (self.fault_count, self.faults);
        match count {
            0 => Ok(Events::Messages(self.messages)),
            _ if count == self.over_count => Err(IntakeError::TooLarge { count, faults }),
            _ => Err(IntakeError::NoEvents { count, faults }),
        }
    }
}

const AFTER_OBJECT: &str =
    "something follows the object; send several events as a list, or as `application/x-ndjson`";
const AFTER_LIST: &str = "something follows the list";
const AFTER_LINE: &str = "something follows the object in its line";
