//! `histogram`: counts between given edges. With n edges there are n + 1 counts: below the first edge, from each edge
//! (included) to the next (excluded), from the last edge on. Nulls and NaN are skipped, infinities fall outside.
//! An empty window gives null.

use super::{
    bytes::{Reader, Writer},
    state::Partial,
    value::{Order, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    edges: Vec<f64>,
    pub(crate) counts: Vec<u64>,
}

impl Histogram {
    /// The edges ascend.
    pub(crate) fn new(edges: &[f64]) -> Self {
        Self { edges: edges.to_vec(), counts: vec![0; edges.len() + 1] }
    }
}

impl Partial for Histogram {
    fn add(&mut self, _: Order, value: ValueRef<'_>) {
        let Some(value) = value.as_float().filter(|value| !value.is_nan()) else { return };
        let at = self.edges.partition_point(|edge| *edge <= value);
        if let Some(count) = self.counts.get_mut(at) {
            *count += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        for (count, other) in self.counts.iter_mut().zip(&other.counts) {
            *count += other;
        }
    }

    fn write(&self, out: &mut Writer) {
        out.unsigned(self.edges.len() as u64);
        self.edges.iter().for_each(|edge| out.float(*edge));
        self.counts.iter().for_each(|count| out.unsigned(*count));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        let edges = input.count(8)?;
        let edges = (0..edges).map(|_| input.float()).collect::<Result<Vec<_>, _>>()?;
        let counts = (0..=edges.len()).map(|_| input.unsigned()).collect::<Result<_, _>>()?;
        Ok(Self { edges, counts })
    }
}
