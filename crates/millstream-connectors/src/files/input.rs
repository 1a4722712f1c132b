//! A file's bytes in order, decompressed, and hashed on the way.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Read},
};

use bytes::Bytes;
use encoding_rs::Encoding;
use flate2::bufread::GzDecoder;
use millstream_connector::ConnectorError;
use tokio::sync::mpsc::Receiver;

use super::{encoding::Transcoder, format::Compression};

/// Compressed bytes are read in pieces of this size.
const COMPRESSED_READ_BYTES: usize = 512 << 10;

/// The decompressed bytes of one file, text as UTF-8. Blocks its thread while it waits for them.
#[derive(Debug)]
pub(super) struct Input {
    stream: Stream,
    transcoder: Option<Transcoder>,
}

enum Stream {
    Plain(Box<RawInput>),
    /// One member after the other; `None` only while the next one is begun.
    Gzip(Option<Box<GzDecoder<BufReader<RawInput>>>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<RawInput>>>),
}

/// The file's own bytes.
pub(super) struct RawInput {
    reader: Box<dyn Read + Send>,
    hasher: Option<blake3::Hasher>,
    bytes: u64,
}

impl RawInput {
    pub(super) fn new(reader: Box<dyn Read + Send>, hash: bool) -> Self {
        Self { reader, hasher: hash.then(blake3::Hasher::new), bytes: 0 }
    }

    /// Bytes that have been read.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Hash of the bytes that have been read.
    pub(super) fn hash(&self) -> Option<String> {
        self.hasher.as_ref().map(|hasher| hasher.finalize().to_hex().to_string())
    }
}

impl Input {
    pub(super) fn new(raw: RawInput, compression: Compression) -> io::Result<Self> {
        let buffered = |raw| BufReader::with_capacity(COMPRESSED_READ_BYTES, raw);
        let stream = match compression {
            Compression::None => Stream::Plain(Box::new(raw)),
            Compression::Gzip => {
                let mut raw = buffered(raw);
                check_start(&mut raw, "gzip", |head| head.starts_with(b"\x1f\x8b"))?;
                Stream::Gzip(Some(Box::new(GzDecoder::new(raw))))
            }
            Compression::Zstd => {
                let mut raw = buffered(raw);
                check_start(&mut raw, "zstd", is_zstd)?;
                Stream::Zstd(Box::new(zstd::stream::read::Decoder::with_buffer(raw)?))
            }
        };
        Ok(Self { stream, transcoder: None })
    }

    /// This input as text: what is written in another encoding becomes UTF-8.
    pub(super) fn decoded(self, encoding: &'static Encoding) -> Self {
        Self { transcoder: Transcoder::new(encoding), ..self }
    }

    /// Reads what the decompressor left over and gives the raw input, for its size and hash.
    pub(super) fn drain(&mut self) -> io::Result<&RawInput> {
        let raw = match &mut self.stream {
            Stream::Plain(raw) => raw,
            Stream::Gzip(Some(decoder)) => decoder.get_mut().get_mut(),
            Stream::Gzip(None) => return Err(io::ErrorKind::Other.into()),
            Stream::Zstd(decoder) => decoder.get_mut().get_mut(),
        };
        io::copy(raw, &mut io::sink())?;
        Ok(raw)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.transcoder {
            Some(transcoder) => transcoder.read(&mut self.stream, buffer),
            None => self.stream.read(buffer),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(raw) => raw.read(buffer),
            Self::Gzip(decoder) => read_gzip(decoder, buffer),
            Self::Zstd(decoder) => decoder.read(buffer),
        }
    }
}

/// Whether the bytes begin a zstd frame, or a skippable frame, which may stand before it.
fn is_zstd(head: &[u8]) -> bool {
    matches!(head, [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Errors when the content is not what the file's name says. The decoder judges what is too short to tell.
fn check_start(raw: &mut BufReader<RawInput>, name: &str, is_so: fn(&[u8]) -> bool) -> io::Result<()> {
    let head = raw.fill_buf()?;
    if head.len() < 4 || is_so(head) {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("it is not the compressed data ({name}) that its name says"),
    ))
}

/// Reads on in the next member where one ends.
fn read_gzip(
    stream: &mut Option<Box<GzDecoder<BufReader<RawInput>>>>,
    buffer: &mut [u8],
) -> io::Result<usize> {
    loop {
        let Some(decoder) = stream else { return Ok(0) };
        let read = decoder.read(buffer)?;
        if read > 0 || buffer.is_empty() {
            return Ok(read);
        }
        match decoder.get_mut().fill_buf()?.first().copied() {
            None => return Ok(0),
            Some(0x1f) => {
                *stream = stream.take().map(|decoder| Box::new(GzDecoder::new(decoder.into_inner())));
            }
            Some(_) => {
                let trailing = "other bytes follow its compressed data";
                return Err(io::Error::new(io::ErrorKind::InvalidData, trailing));
            }
        }
    }
}

impl Read for RawInput {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&buffer[..read]);
        }
        self.bytes += u64::try_from(read).unwrap_or(0);
        Ok(read)
    }
}

impl fmt::Debug for Transcoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transcoder")
    }
}

impl fmt::Debug for RawInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawInput").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain",
            Self::Gzip(_) => "Gzip",
            Self::Zstd(_) => "Zstd",
        })
    }
}

/// Pieces that a task fetches, as a reader for a blocking thread.
#[derive(Debug)]
pub(super) struct FetchedReader {
    pub(super) pieces: Receiver<Result<Bytes, ConnectorError>>,
    pub(super) current: Bytes,
}

impl Read for FetchedReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(piece) => self.current = piece.map_err(io::Error::other)?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.current.len());
        buffer[..length].copy_from_slice(&self.current.split_to(length));
        Ok(length)
    }
}

/// A local file whose read errors keep their meaning on the way through a decompressor.
#[derive(Debug)]
pub(super) struct LocalReader {
    pub(super) part: String,
    pub(super) file: std::fs::File,
}

impl Read for LocalReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io::Error::other(super::store::file_error(&self.part, error))),
                Ok(read) => return Ok(read),
            }
        }
    }
}

/// The typed error inside an IO error, or else what the decompressor found wrong with the content.
pub(super) fn io_error(part: &str, error: io::Error) -> ConnectorError {
    error.downcast::<ConnectorError>().unwrap_or_else(|error| {
        let reason = match error.kind() {
            io::ErrorKind::UnexpectedEof => "its compressed data ends too early".to_owned(),
            io::ErrorKind::InvalidData => error.to_string(),
            _ => format!("its compressed data cannot be read: {error}"),
        };
        ConnectorError::Broken { part: part.to_owned(), reason }
    })
}
