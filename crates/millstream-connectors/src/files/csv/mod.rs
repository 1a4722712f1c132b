//! CSV: finds records, reads the header, decodes blocks into text columns.
//!
//! A record is what RFC 4180 says, read leniently where that is harmless (a quote inside an unquoted field is
//! text) and strictly where leniency would lose rows: when a quoted field does not end properly, only the
//! record's first line is malformed and reading goes on with the next line, so that one stray quote cannot
//! swallow the rest of a file. Neither arrow-csv nor csv-core can do that, nor tell `""` from nothing.

mod decode;
mod header;
mod marks;
mod record;
mod split;

pub(super) use decode::{CsvBlock, CsvFormat};
pub(super) use header::{Header, read_header};
pub(super) use split::CsvSplitter;

/// How a CSV file is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CsvDialect {
    pub(crate) delimiter: u8,
    /// The byte that ends a record outside quotes: a carriage return where a file knows no other line end
    /// (`ends_lines_with_cr`).
    pub(crate) line_end: u8,
    /// The byte around quoted fields; `None` where quotes are text.
    pub(crate) quote: Option<u8>,
    /// The byte that takes the special meaning from the next byte of a quoted field; a doubled quote always stands for
    /// one.
    pub(crate) escape: Option<u8>,
    /// A line that starts with this byte is skipped.
    pub(crate) comment: Option<u8>,
    /// Whether the first record names the columns.
    pub(crate) header: bool,
    /// The columns' names; they take the place of a header's.
    pub(crate) columns: Vec<String>,
    /// Lines before the header, or before the first row where there is none, that belong to no table.
    pub(crate) skip_rows: usize,
    /// Unquoted texts that mean null, besides the empty one.
    pub(crate) null_values: Vec<String>,
}

/// Whether a file that starts with `head` ends its lines with carriage returns alone, as old Macs wrote them.
pub(super) fn ends_lines_with_cr(dialect: &CsvDialect, head: &[u8]) -> bool {
    let with_cr = CsvDialect { line_end: b'\r', ..dialect.clone() };
    // Inside quotes both line ends are part of a value.
    record::ends_with_cr(&with_cr, head)
}

impl Default for CsvDialect {
    fn default() -> Self {
        Self {
            delimiter: b',',
            line_end: b'\n',
            quote: Some(b'"'),
            escape: None,
            comment: None,
            header: true,
            columns: Vec::new(),
            skip_rows: 0,
            null_values: Vec::new(),
        }
    }
}
