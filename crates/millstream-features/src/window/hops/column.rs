//! One slot's states of all hops of one size, as bytes: columns of numbers where every state is one, else the states one
//! after the other. A range of hops is added up without reading the others.

use std::ops::Range;

use super::{
    compact::{CompactState, Shape, Slot, extreme_float},
    packed::{Packed, SIGNED_MAX, write_signed, write_unsigned},
    whole::Whole,
};
use crate::{
    FeatureError,
    aggregate::{Reader, State, Writer},
};

// The numbers are stored: never give one another meaning.
const NUMBERS: u8 = 0;
const STATES: u8 = 1;

/// A column that is read in place, from its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column<'a> {
    Count(Packed<'a>),
    /// Sums are whole multiples of `2^exponent`.
    Sum {
        exponent: i32,
        counts: Packed<'a>,
        sums: Packed<'a>,
    },
    /// Whole numbers are stored as differences to `base`.
    Int {
        missing: Missing<'a>,
        base: i64,
        values: Packed<'a>,
    },
    Float {
        missing: Missing<'a>,
        values: &'a [u8],
    },
    States(&'a [u8]),
}

/// A bit for each hop without a value; empty when all have one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Missing<'a>(&'a [u8]);

impl<'a> Missing<'a> {
    fn read(input: &mut Reader<'a>, count: usize) -> Result<Self, FeatureError> {
        let any = input.flag()?;
        Ok(Self(if any { input.raw(count.div_ceil(8))? } else { &[] }))
    }

    fn write(out: &mut Writer, missing: impl Iterator<Item = bool> + Clone) {
        let any = missing.clone().any(|missing| missing);
        out.flag(any);
        if any {
            let mut bytes = Vec::new();
            for (at, missing) in missing.enumerate() {
                if at % 8 == 0 {
                    bytes.push(0);
                }
                if let Some(last) = bytes.last_mut() {
                    *last |= u8::from(missing) << (at % 8);
                }
            }
            out.raw(&bytes);
        }
    }

    fn is(&self, at: usize) -> bool {
        self.0.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    }
}

impl<'a> Column<'a> {
    pub(super) fn read(input: &mut Reader<'a>, slot: &Slot, count: usize) -> Result<Self, FeatureError> {
        match (input.byte()?, slot.shape) {
            (STATES, _) => Ok(Self::States(input.block()?)),
            (NUMBERS, Shape::Count { .. }) => Ok(Self::Count(Packed::read(input, count, 8)?)),
            (NUMBERS, Shape::Sum) => Ok(Self::Sum {
                exponent: i32::from(i16::from_le_bytes(input.array()?)),
                counts: Packed::read(input, count, 8)?,
                sums: Packed::read(input, count, SIGNED_MAX)?,
            }),
            (NUMBERS, Shape::Int { .. } | Shape::Time) => Ok(Self::Int {
                missing: Missing::read(input, count)?,
                base: i64::from_le_bytes(input.array()?),
                values: Packed::read(input, count, 8)?,
            }),
            (NUMBERS, Shape::Float { .. }) => Ok(Self::Float {
                missing: Missing::read(input, count)?,
                values: input.raw(count.saturating_mul(8))?,
            }),
            _ => Err(FeatureError::bytes("a column has an unknown form")),
        }
    }

    /// Adds the hops of a range up into `state`.
    pub(super) fn fold(
        &self,
        slot: &Slot,
        range: Range<usize>,
        state: &mut CompactState,
    ) -> Result<(), FeatureError> {
        let Range { start, end } = range;
        match self {
            Self::Count(counts) => {
                let mut rows = 0_u64;
                counts.range(start, end).each_unsigned(|count| rows = rows.saturating_add(count));
                slot.merge(state, &CompactState::Count(rows))
            }
            Self::Sum { exponent, counts, sums } => {
                let (mut count, mut total) = (0_u64, 0_i128);
                counts.range(start, end).each_unsigned(|terms| count = count.saturating_add(terms));
                sums.range(start, end).each_signed(|sum| total = total.wrapping_add(sum));
                slot.merge(state, &CompactState::Sum { count, sum: Whole { total, exponent: *exponent } })
            }
            Self::Int { missing, base, values } => {
                let greatest = !matches!(slot.shape, Shape::Int { greatest: false });
                let (mut at, mut best) = (start, None);
                values.range(start, end).each_unsigned(|value| {
                    if !missing.is(at) {
                        let known: u64 = best.unwrap_or(value);
                        best = Some(if greatest { known.max(value) } else { known.min(value) });
                    }
                    at += 1;
                });
                slot.merge(state, &CompactState::Int(best.map(|best| base.wrapping_add_unsigned(best))))
            }
            Self::Float { missing, values } => {
                let greatest = matches!(slot.shape, Shape::Float { greatest: true });
                let chunks = values.get(start * 8..end * 8).unwrap_or(&[]).as_chunks::<8>().0;
                let floats = chunks.iter().map(|chunk| f64::from_le_bytes(*chunk));
                let present = floats.zip(start..).filter(|(_, at)| !missing.is(*at));
                let best = present
                    .map(|(value, _)| value)
                    .reduce(|best, value| extreme_float(greatest, best, value));
                slot.merge(state, &CompactState::Float(best))
            }
            Self::States(bytes) => {
                let mut input = Reader::new(bytes);
                for at in 0..end {
                    let block = input.block()?;
                    if at >= start {
                        slot.merge(state, &CompactState::State(Box::new(state_of(block)?)))?;
                    }
                }
                Ok(())
            }
        }
    }

    /// The states of all hops, one for each.
    pub(super) fn states(&self, slot: &Slot, count: usize) -> Result<Vec<CompactState>, FeatureError> {
        let mut states = vec![slot.empty(); count];
        if let Self::States(bytes) = self {
            let mut input = Reader::new(bytes);
            for state in &mut states {
                slot.merge(state, &CompactState::State(Box::new(state_of(input.block()?)?)))?;
            }
            return Ok(states);
        }
        for (at, state) in states.iter_mut().enumerate() {
            self.fold(slot, at..at + 1, state)?;
        }
        Ok(states)
    }
}

fn state_of(bytes: &[u8]) -> Result<State, FeatureError> {
    let mut input = Reader::new(bytes);
    let state = State::read(&mut input)?;
    if input.is_empty() { Ok(state) } else { Err(FeatureError::bytes("something follows a state")) }
}

/// Writes the states of one slot.
pub(super) fn write<'p>(
    out: &mut Writer,
    slot: &Slot,
    states: impl Iterator<Item = &'p CompactState> + Clone,
) {
    if write_numbers(out, slot, states.clone()).is_some() {
        return;
    }
    out.byte(STATES);
    let mut blocks = Writer::default();
    for state in states {
        let mut block = Writer::default();
        slot.state(state).write(&mut block);
        blocks.block(&block.bytes);
    }
    out.block(&blocks.bytes);
}

/// Writes the states of one slot as numbers, or nothing when one of them is not of numbers.
fn write_numbers<'p>(
    out: &mut Writer,
    slot: &Slot,
    states: impl Iterator<Item = &'p CompactState> + Clone,
) -> Option<()> {
    match slot.shape {
        Shape::Count { .. } => {
            let counts = states.map(|state| if let CompactState::Count(rows) = state { *rows } else { 0 });
            out.byte(NUMBERS);
            write_unsigned(out, counts);
        }
        Shape::Sum => write_sums(out, slot, states)?,
        Shape::Int { .. } | Shape::Time => {
            let values = states.map(|state| if let CompactState::Int(value) = state { *value } else { None });
            let base = values.clone().flatten().min().unwrap_or(0);
            out.byte(NUMBERS);
            Missing::write(out, values.clone().map(|value| value.is_none()));
            out.raw(&base.to_le_bytes());
            write_unsigned(out, values.map(|value| value.unwrap_or(base).wrapping_sub(base).cast_unsigned()));
        }
        Shape::Float { .. } => {
            let values =
                states.map(|state| if let CompactState::Float(value) = state { *value } else { None });
            out.byte(NUMBERS);
            Missing::write(out, values.clone().map(|value| value.is_none()));
            values.for_each(|value| out.float(value.unwrap_or(0.0)));
        }
        Shape::State => return None,
    }
    Some(())
}

fn write_sums<'p>(
    out: &mut Writer,
    slot: &Slot,
    states: impl Iterator<Item = &'p CompactState> + Clone,
) -> Option<()> {
    let sums: Vec<(u64, Whole)> = states.map(|state| slot.sum(state)).collect::<Option<_>>()?;
    let not_zero = sums.iter().map(|(_, sum)| sum).filter(|sum| sum.total != 0);
    let exponent = not_zero.map(|sum| sum.exponent).min().unwrap_or(0);
    let at = |sum: &Whole| if sum.total == 0 { Some(0) } else { sum.at(exponent) };
    let totals: Vec<i128> = sums.iter().map(|(_, sum)| at(sum)).collect::<Option<_>>()?;
    let stored = i16::try_from(exponent).ok()?;
    out.byte(NUMBERS);
    out.raw(&stored.to_le_bytes());
    write_unsigned(out, sums.iter().map(|(count, _)| *count));
    write_signed(out, totals.iter().copied());
    Some(())
}
