//! Reads a text file: its beginning (byte order mark, header), then its blocks.

use std::{io::Read, sync::Arc};

use encoding_rs::{Encoding, UTF_8};
use millstream_connector::{Block, ConnectorError, SourceBatch};
use millstream_types::Field;
use tokio::sync::mpsc::Sender;

use super::{
    csv::{CsvBlock, CsvDialect, CsvFormat, CsvSplitter, Header, ends_lines_with_cr, read_header},
    input::Input,
    jsonl::{self, JsonBlock, JsonFormat},
    pump::{LineSplitter, RECORD_BYTES_MAX, RawBlock, Splitter, TextEnd, TextReading, fill},
    version::Resume,
};

/// The number of bytes that the first look at a file reads.
const HEAD_BYTES: usize = 64 << 10;
/// The number of bytes that are read to learn the columns of a file.
const SAMPLE_BYTES: usize = 1 << 20;

/// A text format, ready to read one file.
#[derive(Clone, Debug)]
pub(super) enum TextFormat {
    Csv(CsvDialect),
    Jsonl(Vec<Field>),
}

/// What one reading needs to know.
#[derive(Debug)]
pub(super) struct TextRequest {
    pub(super) part: String,
    pub(super) format: TextFormat,
    pub(super) encoding: &'static Encoding,
    pub(super) block_bytes: usize,
    pub(super) after: Option<i64>,
}

/// Sends the blocks of a whole file; `Ok(None)` when nobody listens any more.
pub(super) fn read_whole(
    request: &TextRequest,
    input: &mut Input,
    sender: &Sender<Box<dyn Block>>,
) -> Result<Option<TextEnd>, ConnectorError> {
    let Some((head, codec)) = open(request, input)? else {
        return Ok(Some(TextEnd { next_line: None }));
    };
    let reading = TextReading {
        part: &request.part,
        encoding: request.encoding,
        block_bytes: request.block_bytes,
        first_line: head.first_line,
        after: request.after,
        line_end: codec.line_end,
        ahead: head.ahead,
    };
    reading.pump(input, &*codec.splitter, &*codec.wrap, sender)
}

/// Sends the blocks of a grown file's new text. `start` gives the file from its beginning, for the header.
pub(super) fn read_growth(
    request: &TextRequest,
    start: &mut Input,
    rest: &mut Input,
    resume: Resume,
    sender: &Sender<Box<dyn Block>>,
) -> Result<Option<TextEnd>, ConnectorError> {
    let Some((_, codec)) = open(request, start)? else {
        return Ok(Some(TextEnd { next_line: None }));
    };
    let reading = TextReading {
        part: &request.part,
        encoding: request.encoding,
        block_bytes: request.block_bytes,
        first_line: resume.line,
        after: request.after,
        line_end: codec.line_end,
        ahead: Vec::new(),
    };
    reading.pump(rest, &*codec.splitter, &*codec.wrap, sender)
}

/// Decodes the first rows; `None` when the file has none and no header.
pub(super) fn read_sample(
    request: &TextRequest,
    input: &mut Input,
) -> Result<Option<SourceBatch>, ConnectorError> {
    let Some((head, codec)) = open(request, input)? else { return Ok(None) };
    let mut data = head.ahead;
    let mut wanted = SAMPLE_BYTES.max(data.len());
    loop {
        let at_end = fill(&request.part, input, &mut data, wanted)?;
        let cut = codec.splitter.cut(&data, at_end);
        if cut.end > 0 || at_end || data.len() > RECORD_BYTES_MAX {
            data.truncate(cut.end);
            let (part, encoding, first_line) = (request.part.clone(), request.encoding, head.first_line);
            return (codec.wrap)(RawBlock { part, encoding, data, first_line, after: None })
                .decode()
                .map(Some);
        }
        wanted = data.len().saturating_mul(2);
    }
}

/// A file's beginning.
pub(super) struct Head {
    /// Bytes after the header that have been read already.
    ahead: Vec<u8>,
    first_line: i64,
}

/// How a file's records are found and decoded.
pub(super) struct Codec {
    line_end: u8,
    splitter: Box<dyn Splitter>,
    pub(super) wrap: Wrap,
}

/// Makes a block of raw records.
pub(super) type Wrap = Box<dyn Fn(RawBlock) -> Box<dyn Block>>;

/// Reads a file's beginning; `None` for a file that has none.
pub(super) fn open(
    request: &TextRequest,
    input: &mut Input,
) -> Result<Option<(Head, Codec)>, ConnectorError> {
    let broken = |reason: String| ConnectorError::Broken { part: request.part.clone(), reason };
    let mut data = Vec::new();
    let mut at_end = fill(&request.part, input, &mut data, HEAD_BYTES)?;
    if request.encoding == UTF_8 {
        check_encoding(&data).map_err(broken)?;
    }
    if data.starts_with(b"\xEF\xBB\xBF") {
        data.drain(..3);
    }
    let dialect = match &request.format {
        TextFormat::Csv(dialect) => {
            let line_end = if ends_lines_with_cr(dialect, &data) { b'\r' } else { b'\n' };
            CsvDialect { line_end, ..dialect.clone() }
        }
        TextFormat::Jsonl(columns) => {
            check_lines(&data).map_err(broken)?;
            let line_end = if jsonl::ends_lines_with_cr(&data) { b'\r' } else { b'\n' };
            let format = Arc::new(JsonFormat::new(columns, line_end));
            let wrap = move |raw| -> Box<dyn Block> { Box::new(JsonBlock { raw, format: format.clone() }) };
            let codec =
                Codec { line_end, splitter: Box::new(LineSplitter { line_end }), wrap: Box::new(wrap) };
            return Ok(Some((Head { ahead: data, first_line: 1 }, codec)));
        }
    };
    let header: Header = loop {
        match read_header(&dialect, &data, at_end).map_err(broken)? {
            Some(header) => break header,
            None if at_end => return Ok(None),
            None if data.len() > RECORD_BYTES_MAX => {
                return Err(broken(format!("its header is longer than {} MiB", RECORD_BYTES_MAX >> 20)));
            }
            None => {
                let wanted = data.len().saturating_mul(2);
                at_end = fill(&request.part, input, &mut data, wanted)?;
            }
        }
    };
    data.drain(..header.bytes);
    let format = Arc::new(CsvFormat::new(dialect.clone(), &header));
    let wrap = move |raw| -> Box<dyn Block> { Box::new(CsvBlock { raw, format: format.clone() }) };
    let line_end = dialect.line_end;
    let codec = Codec { line_end, splitter: Box::new(CsvSplitter { dialect }), wrap: Box::new(wrap) };
    Ok(Some((Head { ahead: data, first_line: 1 + header.lines }, codec)))
}

/// Errors with a sentence when the bytes are plainly not UTF-8 text.
fn check_encoding(data: &[u8]) -> Result<(), String> {
    let utf32 = data.starts_with(b"\xFF\xFE\0\0") || data.starts_with(b"\0\0\xFE\xFF");
    let utf16 = data.starts_with(b"\xFF\xFE") || data.starts_with(b"\xFE\xFF");
    // Latin text without a mark has a zero in every other byte in UTF-16, and three of four in UTF-32.
    let head = &data[..data.len().min(64)];
    let zeros = head.iter().filter(|byte| **byte == 0).count();
    let share = |quarters: usize| head.len() >= 4 && zeros * 4 >= head.len() * quarters;
    if utf32 || !utf16 && share(3) {
        return Err("it is UTF-32, not UTF-8; convert it with `iconv -f UTF-32 -t UTF-8`".into());
    }
    if utf16 || share(1) {
        let name =
            if head.first() == Some(&0) || head.starts_with(b"\xFE\xFF") { "utf-16be" } else { "utf-16le" };
        return Err(format!("it is UTF-16, not UTF-8; add `encoding: {name}` to the connector"));
    }
    Ok(())
}

/// Errors with a sentence when the file is one JSON array rather than lines of objects.
fn check_lines(data: &[u8]) -> Result<(), String> {
    let first = data.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'[') {
        return Err("it is one JSON array, not JSON lines; convert it with `jq -c '.[]'`".into());
    }
    Ok(())
}

/// Reads `input` from end to end, for what is learned on the way.
pub(super) fn read_through(mut reader: impl Read, mut each: impl FnMut(&[u8])) -> std::io::Result<u64> {
    let mut buffer = vec![0; 1 << 20];
    let mut total = 0_u64;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(read) => {
                each(&buffer[..read]);
                total += u64::try_from(read).unwrap_or(0);
            }
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
