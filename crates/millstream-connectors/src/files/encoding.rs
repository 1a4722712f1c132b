//! Text in other encodings than UTF-8, made UTF-8 while it is read.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8};

/// Bytes that are decoded at once.
const READ_BYTES: usize = 64 << 10;

/// A byte that no UTF-8 text holds. It stands where the bytes are no text in their own encoding, so that the row is set
/// apart like every row that is not UTF-8.
const NO_TEXT: u8 = 0xff;

/// The encoding with this name, as browsers know it: `latin1`, `windows-1252`, `utf-16le`, `shift_jis`.
pub(super) fn encoding_by_name(name: &str) -> Option<&'static Encoding> {
    // One of the labels stands for content that nobody is meant to read.
    Encoding::for_label(name.as_bytes()).filter(|encoding| *encoding != encoding_rs::REPLACEMENT)
}

/// Bytes of one encoding as UTF-8.
pub(super) struct Transcoder {
    decoder: Decoder,
    read: Box<[u8]>,
    text: Vec<u8>,
    /// How much of `text` has been handed out.
    given: usize,
    at_end: bool,
}

impl Transcoder {
    /// A transcoder from `encoding`; `None` for UTF-8, which is read as it stands.
    pub(super) fn new(encoding: &'static Encoding) -> Option<Self> {
        (encoding != UTF_8).then(|| Self {
            decoder: encoding.new_decoder(),
            read: vec![0; READ_BYTES].into(),
            text: Vec::new(),
            given: 0,
            at_end: false,
        })
    }

    /// Reads as `Read::read` does, from the undecoded bytes of `raw`.
    pub(super) fn read(&mut self, raw: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() && !self.at_end {
            self.text.clear();
            self.given = 0;
            let read = raw.read(&mut self.read)?;
            self.at_end = read == 0;
            self.decode(read);
        }
        let rest = self.text.get(self.given..).unwrap_or_default();
        let length = buffer.len().min(rest.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        self.given += length;
        Ok(length)
    }

    fn decode(&mut self, read: usize) {
        let mut raw = self.read.get(..read).unwrap_or_default();
        loop {
            let start = self.text.len();
            let room = self.decoder.max_utf8_buffer_length_without_replacement(raw.len());
            self.text.resize(start + room.unwrap_or(4 * READ_BYTES), 0);
            let (result, used, written) =
                self.decoder.decode_to_utf8_without_replacement(raw, &mut self.text[start..], self.at_end);
            self.text.truncate(start + written);
            raw = raw.get(used..).unwrap_or_default();
            match result {
                DecoderResult::InputEmpty => return,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => self.text.push(NO_TEXT),
            }
        }
    }
}
