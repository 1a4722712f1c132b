//! Where keys are kept: whole numbers side by side, or the bytes of encoded rows in one block.

use std::hash::BuildHasher;

use super::encode::KeyEncoder;

/// A block of less than this many bytes is not worth moving together.
const WASTE_MIN: usize = 1 << 16;

#[derive(Debug)]
pub(super) enum KeyStore {
    Ints {
        values: Vec<i64>,
        /// The number of the null key, while there is one.
        null: Option<u32>,
    },
    Bytes {
        block: Vec<u8>,
        /// Start and length of each key in the block.
        places: Vec<(usize, u32)>,
        /// The bytes in the block that no key uses.
        wasted: usize,
    },
}

impl KeyStore {
    pub(super) fn for_encoder(encoder: &KeyEncoder) -> Self {
        if encoder.is_int() {
            Self::Ints { values: Vec::new(), null: None }
        } else {
            Self::Bytes { block: Vec::new(), places: Vec::new(), wasted: 0 }
        }
    }

    #[inline]
    pub(super) fn int(&self, id: u32) -> Option<i64> {
        match self {
            Self::Ints { null, .. } if *null == Some(id) => None,
            Self::Ints { values, .. } => values.get(id as usize).copied(),
            Self::Bytes { .. } => None,
        }
    }

    #[inline]
    pub(super) fn bytes(&self, id: u32) -> &[u8] {
        match self {
            Self::Ints { .. } => &[],
            Self::Bytes { block, places, .. } => {
                let (start, length) = places.get(id as usize).copied().unwrap_or_default();
                block.get(start..start + length as usize).unwrap_or(&[])
            }
        }
    }

    pub(super) fn set_int(&mut self, id: u32, value: Option<i64>) {
        let Self::Ints { values, null } = self else { return };
        if values.len() <= id as usize {
            values.resize(id as usize + 1, 0);
        }
        match value {
            None => *null = Some(id),
            Some(value) => {
                if let Some(slot) = values.get_mut(id as usize) {
                    *slot = value;
                }
            }
        }
    }

    pub(super) fn set_bytes(&mut self, id: u32, bytes: &[u8]) {
        let Self::Bytes { block, places, .. } = self else { return };
        if places.len() <= id as usize {
            places.resize(id as usize + 1, (0, 0));
        }
        if let Some(place) = places.get_mut(id as usize) {
            *place = (block.len(), u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        }
        block.extend_from_slice(bytes);
    }

    pub(super) fn clear(&mut self, id: u32) {
        match self {
            Self::Ints { null, .. } => {
                if *null == Some(id) {
                    *null = None;
                }
            }
            Self::Bytes { block, places, wasted } => {
                if let Some(place) = places.get_mut(id as usize) {
                    *wasted += place.1 as usize;
                    *place = (0, 0);
                }
                if *wasted > WASTE_MIN && *wasted > block.len() / 2 {
                    let mut kept = Vec::with_capacity(block.len() - *wasted);
                    for (start, length) in places.iter_mut() {
                        let bytes = block.get(*start..*start + *length as usize).unwrap_or(&[]);
                        *start = kept.len();
                        kept.extend_from_slice(bytes);
                    }
                    *block = kept;
                    *wasted = 0;
                }
            }
        }
    }

    #[inline]
    pub(super) fn hash(&self, id: u32, hasher: &impl BuildHasher) -> u64 {
        match self {
            Self::Ints { .. } => hasher.hash_one(self.int(id)),
            Self::Bytes { .. } => hasher.hash_one(self.bytes(id)),
        }
    }

    pub(super) fn size(&self) -> usize {
        match self {
            Self::Ints { values, .. } => values.capacity() * 8,
            Self::Bytes { block, places, .. } => block.capacity() + places.capacity() * 16,
        }
    }
}
