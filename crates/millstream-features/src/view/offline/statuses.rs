//! How the values of one feature came about, one status for each label: a byte for the label, which all features of a
//! view share, and a bit for the value.

use std::sync::Arc;

use arrow::buffer::NullBuffer;

use super::super::Status;

/// One status for each label.
#[derive(Clone, Debug)]
pub struct Statuses {
    /// What the label found: present, missing or expired.
    labels: Arc<[Status]>,
    /// Where the value itself is null, before a default is put in.
    values: Option<NullBuffer>,
}

impl Statuses {
    pub(super) fn new(labels: Arc<[Status]>, values: Option<NullBuffer>) -> Self {
        Self { labels, values }
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The status of one label; none beyond the last.
    #[must_use]
    pub fn get(&self, label: usize) -> Option<Status> {
        let status = *self.labels.get(label)?;
        let is_null = || self.values.as_ref().is_some_and(|values| values.is_null(label));
        Some(if status == Status::Present && is_null() { Status::Null } else { status })
    }

    /// The statuses in the labels' order.
    pub fn iter(&self) -> impl Iterator<Item = Status> {
        (0..self.len()).filter_map(|label| self.get(label))
    }
}
