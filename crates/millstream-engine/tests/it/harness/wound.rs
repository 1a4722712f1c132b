//! What can happen to a file in a store.

/// A way in which a data file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wound {
    /// So many bytes are left.
    Cut(usize),
    Half,
    /// The length of the footer is nonsense.
    Footer,
    Magic,
    /// All but the end of the file, which has the length of the footer, is nonsense.
    Pages,
    Gone,
}

impl Wound {
    pub(crate) const ALL: [Self; 8] = [
        Self::Cut(0),
        Self::Cut(3),
        Self::Cut(8),
        Self::Half,
        Self::Footer,
        Self::Magic,
        Self::Pages,
        Self::Gone,
    ];

    /// What is left of the file; `None` where it is gone.
    pub(crate) fn done_to(self, file: &[u8]) -> Option<Vec<u8>> {
        let (mut left, length) = (file.to_vec(), file.len());
        match self {
            Self::Cut(bytes) => left.truncate(bytes),
            Self::Half => left.truncate(length / 2),
            Self::Footer => left[length - 8..length - 4].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0x7F]),
            Self::Magic => left[length - 1] ^= 1,
            Self::Pages => left[..length - 8].fill(7),
            Self::Gone => return None,
        }
        Some(left)
    }
}
