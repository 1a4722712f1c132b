//! A file's bytes in order, decompressed, and hashed on the way.

use std::{
    fmt,
    io::{self, BufReader, Read},
};

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use millstream_connector::ConnectorError;
use tokio::sync::mpsc::Receiver;

use super::format::Compression;

/// Compressed bytes are read in pieces of this size.
const COMPRESSED_READ_BYTES: usize = 512 << 10;

/// The decompressed bytes of one file. Blocks its thread while it waits for them.
#[derive(Debug)]
pub(super) struct Input {
    stream: Stream,
}

enum Stream {
    Plain(Box<RawInput>),
    Gzip(Box<MultiGzDecoder<BufReader<RawInput>>>),
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
            Compression::Gzip => Stream::Gzip(Box::new(MultiGzDecoder::new(buffered(raw)))),
            Compression::Zstd => {
                Stream::Zstd(Box::new(zstd::stream::read::Decoder::with_buffer(buffered(raw))?))
            }
        };
        Ok(Self { stream })
    }

    /// Reads what the decompressor left over and gives the raw input, for its size and hash.
    pub(super) fn drain(&mut self) -> io::Result<&RawInput> {
        let raw = match &mut self.stream {
            Stream::Plain(raw) => raw,
            Stream::Gzip(decoder) => decoder.get_mut().get_mut(),
            Stream::Zstd(decoder) => decoder.get_mut().get_mut(),
        };
        io::copy(raw, &mut io::sink())?;
        Ok(raw)
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(raw) => raw.read(buffer),
            Stream::Gzip(decoder) => decoder.read(buffer),
            Stream::Zstd(decoder) => decoder.read(buffer),
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
            _ => format!("its compressed data cannot be read: {error}"),
        };
        ConnectorError::Broken { part: part.to_owned(), reason }
    })
}
