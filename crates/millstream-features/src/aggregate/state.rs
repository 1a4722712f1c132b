//! The state of any aggregation: what hops store, what merges, what is written down.

use super::{
    bytes::{Reader, Writer},
    count::Count,
    decay::Decay,
    distinct::{Approximate, Distinct},
    ends::Ends,
    extreme::Extreme,
    frequent::Frequent,
    histogram::Histogram,
    moments::Moments,
    quantile::Quantile,
    recency::Recency,
    sum::Sum,
    top::Top,
    trend::Trend,
    value::{Order, ValueRef},
    vector::Vectors,
};
use crate::FeatureError;

/// Version of the bytes of a state; the first byte of each.
pub const STATE_VERSION: u8 = 1;

/// A commutative monoid: identity, one more event, merge. Equal multisets of events give states that finalise to the
/// same bits, in whatever order they were added and merged.
pub(crate) trait Partial: Sized {
    /// `value` is not null.
    fn add(&mut self, order: Order, value: ValueRef<'_>);
    fn merge(&mut self, other: &Self);
    fn write(&self, out: &mut Writer);
    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError>;
}

macro_rules! states {
    ($($tag:literal $name:ident($inner:ty)),+ $(,)?) => {
        /// The state of one aggregation over one column. Which aggregation it is stays fixed; states of different ones do
        /// not merge.
        #[derive(Debug, Clone)]
        pub struct State(pub(crate) Kinds);

        #[derive(Debug, Clone)]
        pub(crate) enum Kinds {
            $($name($inner)),+
        }

        impl State {
            /// Takes in one event. A null value changes nothing; an aggregation without a column takes
            /// [`ValueRef::Bool`] `true` for each row.
            pub fn add(&mut self, order: Order, value: ValueRef<'_>) {
                if value.is_null() {
                    return;
                }
                match &mut self.0 {
                    $(Kinds::$name(state) => state.add(order, value)),+
                }
            }

            /// Takes in all events of `other`, which stays as it is.
            ///
            /// # Errors
            ///
            /// The other state belongs to another aggregation.
            pub fn merge(&mut self, other: &Self) -> Result<(), FeatureError> {
                match (&mut self.0, &other.0) {
                    $((Kinds::$name(state), Kinds::$name(other)) => state.merge(other),)+
                    _ => return Err(FeatureError::Mismatch),
                }
                Ok(())
            }

            pub(crate) fn write(&self, out: &mut Writer) {
                match &self.0 {
                    $(Kinds::$name(state) => {
                        out.byte($tag);
                        state.write(out);
                    }),+
                }
            }

            pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
                Ok(Self(match input.byte()? {
                    $($tag => Kinds::$name(<$inner>::read(input)?),)+
                    _ => return Err(FeatureError::bytes("the aggregation is unknown")),
                }))
            }
        }
    };
}

// The numbers are stored: never give one another meaning.
states! {
    1 Count(Count),
    2 Sum(Sum),
    3 Extreme(Extreme),
    4 Ends(Ends),
    5 Moments(Moments),
    6 Distinct(Distinct),
    7 Approximate(Approximate),
    8 Quantile(Quantile),
    9 Top(Top),
    10 Frequent(Frequent),
    11 Histogram(Histogram),
    12 Trend(Trend),
    13 Recency(Recency),
    14 Decay(Decay),
    15 Vectors(Vectors),
}

impl State {
    /// The state as bytes. Equal multisets of events give equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(STATE_VERSION);
        self.write(&mut out);
        out.bytes
    }

    /// Reads what [`State::to_bytes`] of this or an earlier version wrote.
    ///
    /// # Errors
    ///
    /// The bytes are of an unknown version, damaged, or longer than the state.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FeatureError> {
        let mut input = Reader::new(bytes);
        if input.byte()? != STATE_VERSION {
            return Err(FeatureError::bytes("the version is unknown"));
        }
        let state = Self::read(&mut input)?;
        if !input.is_empty() {
            return Err(FeatureError::bytes("something follows the state"));
        }
        Ok(state)
    }
}
