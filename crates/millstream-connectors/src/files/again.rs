//! Decodes rows by themselves that were malformed: under another encoding or dialect they may be rows.

use std::sync::Arc;

use arrow::compute::concat_batches;
use encoding_rs::UTF_8;
use millstream_connector::{Block, ConnectorError, MalformedRow, Positions, SourceBatch};

use super::{
    input::Input,
    jsonl::{JsonBlock, JsonFormat},
    pump::RawBlock,
    text::{TextFormat, TextRequest, Wrap, open},
};

/// The character that stands in a text for bytes that were no text.
const REPLACED: char = char::REPLACEMENT_CHARACTER;

/// The rows that can be read now. `input` gives the file from its start, for a header.
pub(super) fn decode_rows(
    request: &TextRequest,
    input: &mut Input,
    rows: Vec<MalformedRow>,
) -> Result<Vec<SourceBatch>, ConnectorError> {
    let wrap: Wrap = match &request.format {
        TextFormat::Jsonl(columns) => {
            let format = Arc::new(JsonFormat::new(columns, b'\n'));
            Box::new(move |raw| -> Box<dyn Block> { Box::new(JsonBlock { raw, format: format.clone() }) })
        }
        TextFormat::Csv(_) => match open(request, input)? {
            Some((_, codec)) => codec.wrap,
            None => return Ok(Vec::new()),
        },
    };
    let mut batches = Vec::new();
    for row in rows {
        let Some(data) = text_of(request, &row) else { continue };
        let (part, encoding) = (request.part.clone(), request.encoding);
        let raw = RawBlock { part, encoding, data, first_line: row.position, after: None };
        let batch = wrap(raw).decode()?;
        // A row that decodes to several rows now was malformed for another reason than the one that is mended.
        if batch.rows.num_rows() == 1 && batch.malformed.is_empty() {
            batches.push(batch);
        }
    }
    match request.format {
        TextFormat::Csv(_) => together(request, batches),
        TextFormat::Jsonl(_) => Ok(batches),
    }
}

/// The row's text in UTF-8; `None` where its bytes are lost or are no text.
fn text_of(request: &TextRequest, row: &MalformedRow) -> Option<Vec<u8>> {
    match &row.bytes {
        Some(bytes) if request.encoding == UTF_8 => Some(bytes.clone()),
        Some(bytes) => {
            let text = request.encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
            Some(text.into_owned().into_bytes())
        }
        None => (!row.text.contains(REPLACED)).then(|| row.text.clone().into_bytes()),
    }
}

/// The rows of one file, which have the same columns, as one batch.
fn together(request: &TextRequest, batches: Vec<SourceBatch>) -> Result<Vec<SourceBatch>, ConnectorError> {
    let Some(first) = batches.first() else { return Ok(batches) };
    let rows = concat_batches(&first.rows.schema(), batches.iter().map(|batch| &batch.rows));
    let rows = rows
        .map_err(|error| ConnectorError::Broken { part: request.part.clone(), reason: error.to_string() })?;
    let positions: Vec<i64> = batches.iter().map(|batch| batch.positions.get(0)).collect();
    Ok(vec![SourceBatch {
        rows,
        last_position: positions.iter().copied().max(),
        positions: Positions::Each(positions.into()),
        operations: None,
        arrivals: None,
        malformed: Vec::new(),
    }])
}
