//! JSON lines: one object per line, decoded into columns of text; nested values are their JSON.

mod decode;

pub(super) use decode::{JsonBlock, JsonFormat};

/// Whether a file that starts with `head` ends its lines with carriage returns alone. JSON has line ends only between
/// its tokens, so a single line feed says that lines end with line feeds.
pub(super) fn ends_lines_with_cr(head: &[u8]) -> bool {
    memchr::memchr(b'\n', head).is_none() && memchr::memchr(b'\r', head.trim_ascii_end()).is_some()
}
