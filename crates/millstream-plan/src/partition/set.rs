//! Sets of partitions, as ranges of their numbers: a million partitions in a row are one range.

use std::{cmp::Ordering, fmt};

/// A set of partitions.
///
/// The ranges are closed, sorted, and neither overlap nor touch, so that equal sets have equal ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionSet {
    ranges: Vec<(i64, i64)>,
}

impl PartitionSet {
    #[must_use]
    pub const fn new() -> Self {
        Self { ranges: Vec::new() }
    }

    /// All partitions from `first` to `last`, both included; none where `last` comes before `first`.
    #[must_use]
    pub fn range(first: i64, last: i64) -> Self {
        Self { ranges: if first <= last { vec![(first, last)] } else { Vec::new() } }
    }

    /// The ranges in order, both ends included.
    #[must_use]
    pub fn ranges(&self) -> &[(i64, i64)] {
        &self.ranges
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The number of partitions.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ranges.iter().fold(0, |sum, range| sum.saturating_add(length(*range)))
    }

    #[must_use]
    pub fn contains(&self, number: i64) -> bool {
        self.ranges.binary_search_by(|range| place(range, number)).is_ok()
    }

    /// The first and the last partition.
    #[must_use]
    pub fn bounds(&self) -> Option<(i64, i64)> {
        Some((self.ranges.first()?.0, self.ranges.last()?.1))
    }

    /// The partitions in order.
    pub fn iter(&self) -> impl Iterator<Item = i64> {
        self.ranges.iter().flat_map(|(first, last)| *first..=*last)
    }

    pub fn insert(&mut self, number: i64) {
        // Numbers mostly come in order, and are then added to the last range.
        match self.ranges.last_mut() {
            Some((first, last)) if *first <= number && number <= *last => {}
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            Some((_, last)) if *last > number => *self = self.union(&Self::range(number, number)),
            _ => self.ranges.push((number, number)),
        }
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::of_ranges(self.ranges.iter().chain(&other.ranges).copied())
    }

    /// All partitions of these ranges, which may come in any order and overlap.
    #[must_use]
    pub fn of_ranges(ranges: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut all: Vec<(i64, i64)> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        all.sort_unstable();
        let mut ranges: Vec<(i64, i64)> = Vec::with_capacity(all.len());
        for (first, last) in all {
            match ranges.last_mut() {
                Some(before) if before.1 == i64::MAX || first <= before.1.saturating_add(1) => {
                    before.1 = before.1.max(last);
                }
                _ => ranges.push((first, last)),
            }
        }
        Self { ranges }
    }

    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut ranges, mut here, mut there) = (Vec::new(), self.ranges.iter(), other.ranges.iter());
        let (mut one, mut two) = (here.next(), there.next());
        while let (Some(a), Some(b)) = (one, two) {
            let (first, last) = (a.0.max(b.0), a.1.min(b.1));
            if first <= last {
                ranges.push((first, last));
            }
            if a.1 <= b.1 { one = here.next() } else { two = there.next() }
        }
        Self { ranges }
    }

    /// The partitions that are not in `other`.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut ranges = Vec::new();
        let mut taken = other.ranges.iter().peekable();
        for &(mut first, last) in &self.ranges {
            let mut is_left = true;
            while let Some(&&(start, end)) = taken.peek() {
                if end < first {
                    taken.next();
                    continue;
                }
                if start > last {
                    break;
                }
                if start > first {
                    ranges.push((first, start - 1));
                }
                if end >= last {
                    is_left = false;
                    break;
                }
                first = end + 1;
            }
            if is_left {
                ranges.push((first, last));
            }
        }
        Self { ranges }
    }

    /// The `count` last partitions.
    #[must_use]
    pub fn last(&self, count: u64) -> Self {
        let (mut ranges, mut left) = (Vec::new(), count);
        for &(first, last) in self.ranges.iter().rev() {
            if left == 0 {
                break;
            }
            let taken = left.min(length((first, last)));
            let back = i64::try_from(taken - 1).unwrap_or(i64::MAX);
            ranges.push((last.saturating_sub(back).max(first), last));
            left -= taken;
        }
        ranges.reverse();
        Self { ranges }
    }
}

impl FromIterator<i64> for PartitionSet {
    fn from_iter<I: IntoIterator<Item = i64>>(numbers: I) -> Self {
        let mut numbers: Vec<i64> = numbers.into_iter().collect();
        numbers.sort_unstable();
        let mut set = Self::new();
        numbers.into_iter().for_each(|number| set.insert(number));
        set
    }
}

impl fmt::Display for PartitionSet {
    /// Writes the ranges as `-3..4 7..7`, which [`std::str::FromStr`] reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (first, last)) in self.ranges.iter().enumerate() {
            let gap = if place == 0 { "" } else { " " };
            write!(f, "{gap}{first}..{last}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for PartitionSet {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |range: &str| {
            let (first, last) = range.split_once("..")?;
            Some((first.parse().ok()?, last.parse().ok()?))
        };
        let ranges = text.split_whitespace().map(|range| read(range).ok_or_else(|| range.to_owned()));
        Ok(Self::of_ranges(ranges.collect::<Result<Vec<_>, _>>()?))
    }
}

fn length((first, last): (i64, i64)) -> u64 {
    u64::try_from(i128::from(last) - i128::from(first) + 1).unwrap_or(u64::MAX)
}

fn place((first, last): &(i64, i64), number: i64) -> Ordering {
    if *last < number {
        Ordering::Less
    } else if *first > number {
        Ordering::Greater
    } else {
        Ordering::Equal
    }
}
