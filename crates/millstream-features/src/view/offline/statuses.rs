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
    /// The labels, ascending, of which there is more than the feature can hold.
    outgrown: Vec<u32>,
}

impl Statuses {
    pub(super) fn new(labels: Arc<[Status]>, values: Option<NullBuffer>, outgrown: Vec<u32>) -> Self {
        Self { labels, values, outgrown }
    }

    /// The first label of which there is more than the feature can hold: a sum beyond its type, more different values than its
    /// bound. Its status is degraded, its value null, and no default stands for it.
    #[must_use]
    pub fn first_outgrown(&self) -> Option<usize> {
        self.outgrown.first().map(|label| *label as usize)
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
        if status != Status::Present {
            return Some(status);
        }
        if self.has_outgrown(label) {
            return Some(Status::Degraded);
        }
        let is_null = self.values.as_ref().is_some_and(|values| values.is_null(label));
        Some(if is_null { Status::Null } else { Status::Present })
    }

    fn has_outgrown(&self, label: usize) -> bool {
        u32::try_from(label).is_ok_and(|label| self.outgrown.binary_search(&label).is_ok())
    }

    /// The statuses in the labels' order.
    pub fn iter(&self) -> impl Iterator<Item = Status> {
        (0..self.len()).filter_map(|label| self.get(label))
    }
}
