//! Cuts a CSV stream where records end.

use memchr::{memchr, memrchr};

use super::{
    CsvDialect,
    record::{RecordEnd, line, record_end},
};
use crate::files::pump::{Cut, Splitter};

/// Finds the last record end of a buffer without looking at fields where there are no quotes.
#[derive(Debug)]
pub(crate) struct CsvSplitter {
    pub(crate) dialect: CsvDialect,
}

impl Splitter for CsvSplitter {
    fn cut(&self, data: &[u8], at_end: bool) -> Cut {
        let mut at = 0;
        let mut unsure = false;
        while at < data.len() {
            let quote = self.dialect.quote.and_then(|quote| memchr(quote, &data[at..]));
            let plain_end = quote.map_or(data.len(), |index| at + index);
            at += memrchr(self.dialect.line_end, &data[at..plain_end]).map_or(0, |index| index + 1);
            if plain_end == data.len() {
                at = if at_end { data.len() } else { at };
                break;
            }
            if self.dialect.comment.is_some() && data.get(at).copied() == self.dialect.comment {
                let (_, next) = line(&self.dialect, data, at);
                if next == data.len() && !at_end && data.last() != Some(&self.dialect.line_end) {
                    break;
                }
                at = next;
                continue;
            }
            match record_end(&self.dialect, data, at, at_end) {
                RecordEnd::Complete(end) => at = end,
                RecordEnd::Malformed(end) => {
                    unsure |= at_end;
                    at = end;
                }
                RecordEnd::Open => break,
            }
        }
        Cut { end: at, unsure }
    }
}
