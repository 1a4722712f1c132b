//! Finds where the JSON values of a body begin and end, without making anything of them: an event goes into the log with the bytes
//! with which it came.
//!
//! What is accepted is what RFC 8259 calls a value, with a bound of how deep it is nested, because whoever reads it later takes its
//! nesting apart by recursion. Whether the bytes are UTF-8 is not looked at here.

/// How deep values of an event may be nested, the event included: less than the 128 at which common readers of JSON stop.
pub(super) const NESTING_MAX: u32 = 120;

/// Why the bytes are no JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub at: usize,
    pub reason: &'static str,
}

/// A place in bytes that hold JSON.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scan<'a> {
    bytes: &'a [u8],
    pub at: usize,
}

/// Where the value of the wanted member stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Member {
    pub start: usize,
    pub end: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The bytes between two places.
    pub(super) fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(start..end).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    pub(super) fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    /// Goes on behind the byte, if it is the next one.
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    fn fault<T>(&self, reason: &'static str) -> Result<T, Fault> {
        let reason = if self.at >= self.bytes.len() { "it ends in the middle" } else { reason };
        Err(Fault { at: self.at, reason })
    }

    /// Goes behind the object that begins here, and finds its member `wanted` on the way.
    pub(super) fn object(&mut self, wanted: Option<&str>) -> Result<Option<Member>, Fault> {
        let Some(wanted) = wanted else {
            self.value()?;
            return Ok(None);
        };
        let mut found = None;
        if !self.take(b'{') {
            return self.fault("an object is needed");
        }
        self.space();
        if self.take(b'}') {
            return Ok(None);
        }
        loop {
            self.space();
            let (name_start, is_wanted) = (self.at, self.name(wanted)?);
            self.space();
            let start = self.at;
            self.value_within(1)?;
            if is_wanted && found.replace(Member { start, end: self.at }).is_some() {
                return Err(Fault { at: name_start, reason: "the key is there twice" });
            }
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(found);
                }
                _ => return self.fault("`,` or `}` is needed"),
            }
        }
    }

    /// Goes behind a member's name and its colon, and says whether it is the wanted one.
    fn name(&mut self, wanted: &str) -> Result<bool, Fault> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return self.fault("the name of a member is needed");
        }
        self.string()?;
        let text = self.slice(start, self.at);
        let is_wanted = match text.contains(&b'\\') {
            false => text.get(1..text.len() - 1) == Some(wanted.as_bytes()),
            true => serde_json::from_slice::<String>(text).is_ok_and(|name| name == wanted),
        };
        self.space();
        match self.take(b':') {
            true => Ok(is_wanted),
            false => self.fault("`:` is needed"),
        }
    }

    /// Goes behind the value that begins here.
    pub(super) fn value(&mut self) -> Result<(), Fault> {
        self.value_within(0)
    }

    /// Goes behind the value that begins here, so deep within others.
    fn value_within(&mut self, above: u32) -> Result<(), Fault> {
        // The lowest bit says of the innermost value whether it is an object, the next one of that around it.
        let (mut objects, mut depth) = (0_u128, 0_u32);
        loop {
            self.space();
            let is_open = match self.peek() {
                Some(open @ (b'{' | b'[')) => {
                    if above + depth >= NESTING_MAX {
                        return self.fault("it is nested deeper than 120 values");
                    }
                    self.at += 1;
                    let is_object = open == b'{';
                    (objects, depth) = (objects << 1 | u128::from(is_object), depth + 1);
                    self.space();
                    let is_empty = self.peek() == Some(if is_object { b'}' } else { b']' });
                    if !is_empty && is_object {
                        self.member()?;
                    }
                    !is_empty
                }
                _ => {
                    self.scalar()?;
                    false
                }
            };
            if !is_open && self.ended(&mut objects, &mut depth)? {
                return Ok(());
            }
        }
    }

    /// Goes on behind a value, or to the end of an empty one: to the next one beside it, or out of those that end here. True when
    /// the outermost has ended.
    fn ended(&mut self, objects: &mut u128, depth: &mut u32) -> Result<bool, Fault> {
        while *depth > 0 {
            self.space();
            let is_object = *objects & 1 == 1;
            match self.peek() {
                Some(b',') => {
                    self.at += 1;
                    if is_object {
                        self.space();
                        self.member()?;
                    }
                    return Ok(false);
                }
                Some(b'}') if is_object => {}
                Some(b']') if !is_object => {}
                _ if is_object => return self.fault("`,` or `}` is needed"),
                _ => return self.fault("`,` or `]` is needed"),
            }
            self.at += 1;
            (*objects, *depth) = (*objects >> 1, *depth - 1);
        }
        Ok(true)
    }

    /// Goes behind a member's name and its colon.
    fn member(&mut self) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return self.fault("the name of a member is needed");
        }
        self.string()?;
        self.space();
        if self.take(b':') { Ok(()) } else { self.fault("`:` is needed") }
    }

    fn scalar(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true"),
            Some(b'f') => self.word(b"false"),
            Some(b'n') => self.word(b"null"),
            _ => self.fault("a value is needed"),
        }
    }

    fn word(&mut self, word: &'static [u8]) -> Result<(), Fault> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(());
        }
        self.fault("a value is needed")
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            let rest = self.bytes.get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|byte| STOPS.get(usize::from(*byte)) == Some(&true));
            self.at += plain.unwrap_or(rest.len());
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => self.escape()?,
                _ => return self.fault("a text has a control character"),
            }
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                self.at += 1;
                Ok(())
            }
            Some(b'u') => {
                for _ in 0..4 {
                    self.at += 1;
                    if !self.peek().is_some_and(|byte| byte.is_ascii_hexdigit()) {
                        return self.fault("`\\u` is followed by four hexadecimal digits");
                    }
                }
                self.at += 1;
                Ok(())
            }
            _ => self.fault("a backslash stands before nothing that it can escape"),
        }
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { self.fault("a digit is needed") } else { Ok(()) }
    }
}

/// The bytes at which a text is not just gone over: its end, an escape, a control character.
const STOPS: [bool; 256] = {
    let mut stops = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        stops[byte] = true;
        byte += 1;
    }
    stops[b'"' as usize] = true;
    stops[b'\\' as usize] = true;
    stops
};
