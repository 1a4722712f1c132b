//! Finds delimiters and line ends eight bytes at a time.
//!
//! Fields are short: a search that is fast on long stretches spends its time on starting. Here one step looks
//! at eight bytes and keeps every hit in them.

const LOW_BITS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const EACH_BYTE: u64 = 0x0101_0101_0101_0101;

/// The positions of two bytes in some data, ascending.
#[derive(Debug)]
pub(super) struct Marks<'a> {
    data: &'a [u8],
    first: u64,
    second: u64,
    /// Position of the word that `hits` is about.
    base: usize,
    /// The top bit of each byte of that word that is a hit still to come.
    hits: u64,
}

impl<'a> Marks<'a> {
    pub(super) fn new(data: &'a [u8], first: u8, second: u8) -> Self {
        let (first, second) = (u64::from(first) * EACH_BYTE, u64::from(second) * EACH_BYTE);
        let mut marks = Self { data, first, second, base: 0, hits: 0 };
        marks.hits = marks.look(0);
        marks
    }

    #[inline]
    fn look(&self, base: usize) -> u64 {
        match self.data.get(base..base + 8).and_then(|word| <[u8; 8]>::try_from(word).ok()) {
            Some(word) => self.hits_in(u64::from_le_bytes(word)),
            None => self.look_at_end(base),
        }
    }

    /// The last bytes, filled up with a byte that is no hit.
    #[cold]
    fn look_at_end(&self, base: usize) -> u64 {
        let rest = self.data.get(base..).unwrap_or_default();
        let (first, second) = (self.first.to_le_bytes()[0], self.second.to_le_bytes()[0]);
        let filler = (0..3).find(|byte| *byte != first && *byte != second).unwrap_or(0);
        let mut word = [filler; 8];
        word[..rest.len()].copy_from_slice(rest);
        self.hits_in(u64::from_le_bytes(word))
    }

    #[inline]
    fn hits_in(&self, word: u64) -> u64 {
        zero_bytes(word ^ self.first) | zero_bytes(word ^ self.second)
    }
}

impl Iterator for Marks<'_> {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        while self.hits == 0 {
            self.base += 8;
            if self.base >= self.data.len() {
                return None;
            }
            self.hits = self.look(self.base);
        }
        let byte = self.hits.trailing_zeros() / 8;
        self.hits &= self.hits - 1;
        Some(self.base + usize::try_from(byte).unwrap_or(0))
    }
}

/// The top bit of each byte that is zero, and no other bit.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    // No byte's sum carries into the next one: 0x7f + 0x7f fits a byte.
    !(((word & LOW_BITS) + LOW_BITS) | word | LOW_BITS)
}
