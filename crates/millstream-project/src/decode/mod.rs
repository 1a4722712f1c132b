//! Typed values from [`Node`]s through serde, reporting every fault instead of the first.
//!
//! A fault is reported with its place, its value is left out, and decoding starts again, until the rest decodes or
//! what is left cannot make a value. Unknown keys are reported and skipped on the way.

mod access;
mod decoder;
mod error;
mod values;

use std::{cell::RefCell, collections::HashSet};

use serde::de::DeserializeOwned;

use crate::{Diagnostic, HiddenValues, Location, Node, codes};

use decoder::NodeDecoder;
use error::{DecodeError, Fault};
pub(crate) use values::{BoundsFile, Entries, OneOrMany, TextLike, Written};

/// Problems of one file that are reported; looking for more would help nobody.
const FAULTS_MAX: usize = 200;

/// What is wrong with one file so far.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    diagnostics: Vec<Diagnostic>,
    /// The places of values that are faulty and reported: the values count as absent, but are not missed.
    left_out: HashSet<Location>,
    hidden: HiddenValues,
    secrets: HiddenValues,
}

impl Faults {
    /// Decodes `node`; `None` when a fault leaves no value. The faults are kept in `self`.
    pub(crate) fn decode<T: DeserializeOwned>(&self, node: &Node) -> Option<T> {
        self.decode_at(node, node.at)
    }

    /// As [`Faults::decode`]; `key` is the place that a missing key is reported at.
    pub(crate) fn decode_at<T: DeserializeOwned>(&self, node: &Node, key: Location) -> Option<T> {
        for _ in 0..FAULTS_MAX {
            if self.is_left_out(node) || self.is_full() {
                return None;
            }
            let decoder = NodeDecoder { node, key, faults: self };
            let error = match T::deserialize(decoder) {
                Ok(value) => return Some(value),
                Err(error) => decoder.locate(error),
            };
            let place = error.place?;
            if let Some(diagnostic) = error.diagnostic(place) {
                self.push(diagnostic);
            }
            self.leave_out(place.value);
        }
        None
    }

    /// Keeps a diagnostic, once, as long as there are not too many.
    pub(crate) fn push(&self, mut diagnostic: Diagnostic) {
        let mut state = self.state.borrow_mut();
        state.hidden.hide(&mut diagnostic);
        if state.diagnostics.len() > FAULTS_MAX || state.diagnostics.contains(&diagnostic) {
            return;
        }
        if state.diagnostics.len() < FAULTS_MAX {
            state.diagnostics.push(diagnostic);
        } else if let Some(at) = diagnostic.at {
            let message = format!("more than {FAULTS_MAX} problems in this file; the others are not shown");
            state.diagnostics.push(Diagnostic::error(codes::TOO_MANY, message, at));
        }
    }

    /// Whether so many faults were found that no more are kept.
    pub(crate) fn is_full(&self) -> bool {
        self.state.borrow().diagnostics.len() > FAULTS_MAX
    }

    /// Marks a value as faulty: decoding treats it as absent without a word.
    pub(crate) fn leave_out(&self, at: Location) {
        self.state.borrow_mut().left_out.insert(at);
    }

    pub(crate) fn is_left_out(&self, node: &Node) -> bool {
        self.state.borrow().left_out.contains(&node.at)
    }

    /// Whether a value inside `at` was left out, so that what is absent there may just be faulty.
    pub(crate) fn has_gap_in(&self, at: Location) -> bool {
        let is_inside = |gap: &Location| gap.file == at.file && at.start <= gap.start && gap.end <= at.end;
        self.state.borrow().left_out.iter().any(is_inside)
    }

    /// Hides a value that came from the environment: it may be a secret, and no message repeats it.
    pub(crate) fn hide(&self, value: String) {
        self.state.borrow_mut().hidden.add(value);
    }

    /// Adds a value that is a credential: not only this file's messages, but all of the process cover it.
    pub(crate) fn add_secret(&self, value: &str) {
        let mut state = self.state.borrow_mut();
        state.secrets.add_secret(value);
        state.hidden.add(value.to_owned());
    }

    /// The credentials of the file so far.
    pub(crate) fn secrets(&self) -> HiddenValues {
        self.state.borrow().secrets.clone()
    }

    /// What is wrong, and the values that further messages about the file may not repeat.
    pub(crate) fn into_parts(self) -> (Vec<Diagnostic>, HiddenValues) {
        let State { diagnostics, hidden, .. } = self.state.into_inner();
        (diagnostics, hidden)
    }
}
