//! Where each partition of an asset stands. Partitions in a row that stand equally are one span.

use std::collections::BTreeMap;

use millstream_types::{AssetId, AssetVersion, Fingerprint};

use super::PartitionSet;

/// The partition of the rows that have no value in the partition's column.
pub const NULL_PARTITION: i64 = i64::MIN;

/// What is recorded of the partitions of one asset.
///
/// `fingerprint` and `seen` say which definition and which versions of the inputs the spans were judged by: whatever of the
/// inputs is newer has not been looked at, and is looked at by the next run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStates {
    pub fingerprint: Fingerprint,
    pub seen: BTreeMap<AssetId, AssetVersion>,
    /// The version of the table up to which its commits are known here.
    pub version: Option<AssetVersion>,
    /// The versions of the table, and of the tables that its checks look into, at which every rejected row was known to be rightly
    /// kept out; empty where nobody has looked. Tables into which no check of a rejected row looks are left out.
    pub settled: BTreeMap<AssetId, AssetVersion>,
    /// How many partitions were built so far, and how long that took, in microseconds. They estimate what is to come.
    pub built: u64,
    pub micros: u64,
    spans: Vec<PartitionSpan>,
}

/// Partitions in a row that stand equally.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionSpan {
    pub first: i64,
    /// The last partition, which is one of them.
    pub last: i64,
    pub standing: PartitionStanding,
}

/// Where a partition stands, and the values of parameters that its rows were computed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionStanding {
    pub status: PartitionStatus,
    /// JSON of the parameters that a backfill has set, by name; empty where all have their defaults.
    pub parameters: String,
}

/// How a partition stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionStatus {
    /// Its rows are those that the definition makes of the inputs.
    Built,
    /// It was built, and the definition or rows that it is made of have changed since.
    Stale,
    /// Its last attempt failed or was halted by a check; the rows of an earlier build stay.
    Failed { error: String },
    /// The inputs have rows for it, and it was never built.
    Missing,
}

impl PartitionStatus {
    /// The stable word for machines and for the state store.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Built => "built",
            Self::Stale => "stale",
            Self::Failed { .. } => "failed",
            Self::Missing => "missing",
        }
    }
}

impl PartitionStanding {
    /// A partition whose parameters have their defaults.
    #[must_use]
    pub fn of(status: PartitionStatus) -> Self {
        Self { status, parameters: String::new() }
    }
}

impl PartitionStates {
    /// Nothing is known of any partition.
    #[must_use]
    pub fn new(fingerprint: Fingerprint) -> Self {
        Self {
            fingerprint,
            seen: BTreeMap::new(),
            version: None,
            settled: BTreeMap::new(),
            built: 0,
            micros: 0,
            spans: Vec::new(),
        }
    }

    /// The states with these spans, which may come in any order and must not overlap.
    #[must_use]
    pub fn with_spans(self, mut spans: Vec<PartitionSpan>) -> Self {
        spans.sort_by_key(|span| span.first);
        Self { spans: joined(spans), ..self }
    }

    /// The spans in order.
    #[must_use]
    pub fn spans(&self) -> &[PartitionSpan] {
        &self.spans
    }

    /// The partitions that are known.
    #[must_use]
    pub fn known(&self) -> PartitionSet {
        self.which(|_| true)
    }

    /// The partitions that stand so.
    #[must_use]
    pub fn which(&self, is_meant: impl Fn(&PartitionStanding) -> bool) -> PartitionSet {
        let meant = self.spans.iter().filter(|span| is_meant(&span.standing));
        PartitionSet::of_ranges(meant.map(|span| (span.first, span.last)))
    }

    /// The partitions that a run has work with.
    #[must_use]
    pub fn open(&self) -> PartitionSet {
        self.which(|standing| standing.status != PartitionStatus::Built)
    }

    /// The standing of one partition; `None` for one that is not known.
    #[must_use]
    pub fn of(&self, number: i64) -> Option<&PartitionStanding> {
        let place = self.spans.partition_point(|span| span.last < number);
        self.spans.get(place).filter(|span| span.first <= number).map(|span| &span.standing)
    }

    /// Lets all of `partitions` stand so.
    pub fn set(&mut self, partitions: &PartitionSet, standing: &PartitionStanding) {
        if partitions.is_empty() {
            return;
        }
        let mut spans = self.without(partitions);
        spans.extend(partitions.ranges().iter().map(|(first, last)| PartitionSpan {
            first: *first,
            last: *last,
            standing: standing.clone(),
        }));
        spans.sort_by_key(|span| span.first);
        self.spans = joined(spans);
    }

    /// Marks partitions whose rows have changed: those that were never built are missing, the others stale. They keep their
    /// parameters.
    pub fn outdate(&mut self, partitions: &PartitionSet) {
        let unknown = partitions.difference(&self.known());
        let mut touched: Vec<(PartitionSet, String)> = Vec::new();
        for span in &self.spans {
            if matches!(span.standing.status, PartitionStatus::Built) {
                let part = PartitionSet::range(span.first, span.last).intersection(partitions);
                if !part.is_empty() {
                    touched.push((part, span.standing.parameters.clone()));
                }
            }
        }
        for (part, parameters) in touched {
            self.set(&part, &PartitionStanding { status: PartitionStatus::Stale, parameters });
        }
        self.set(&unknown, &PartitionStanding::of(PartitionStatus::Missing));
    }

    /// Marks all partitions as outdated by another definition, which forgets their parameters.
    pub fn outdate_all(&mut self) {
        let (known, missing) =
            (self.known(), self.which(|standing| standing.status == PartitionStatus::Missing));
        self.set(&known.difference(&missing), &PartitionStanding::of(PartitionStatus::Stale));
        self.set(&missing, &PartitionStanding::of(PartitionStatus::Missing));
    }

    /// Forgets partitions that are none any more.
    pub fn forget(&mut self, partitions: &PartitionSet) {
        if !partitions.is_empty() {
            self.spans = joined(self.without(partitions));
        }
    }

    /// The spans without these partitions.
    fn without(&self, partitions: &PartitionSet) -> Vec<PartitionSpan> {
        let mut left = Vec::with_capacity(self.spans.len() + 1);
        for span in &self.spans {
            let rest = PartitionSet::range(span.first, span.last).difference(partitions);
            left.extend(rest.ranges().iter().map(|(first, last)| PartitionSpan {
                first: *first,
                last: *last,
                standing: span.standing.clone(),
            }));
        }
        left
    }
}

/// Sorted spans, neighbours that stand equally put together.
fn joined(spans: Vec<PartitionSpan>) -> Vec<PartitionSpan> {
    let mut joined: Vec<PartitionSpan> = Vec::with_capacity(spans.len());
    for span in spans {
        match joined.last_mut() {
            Some(before)
                if before.last.checked_add(1) == Some(span.first) && before.standing == span.standing =>
            {
                before.last = span.last;
            }
            _ => joined.push(span),
        }
    }
    joined
}
