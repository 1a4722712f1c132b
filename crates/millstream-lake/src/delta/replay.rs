//! What a log comes to: the actions of a version after later ones have replaced earlier ones. See `PROTOCOL.md`,
//! section "Action Reconciliation".

use std::collections::BTreeMap;

use super::{Action, Add, Metadata, Protocol, Remove, Transaction, action::Line, checkpoint::encode};
use crate::{error::Cause, retention};

/// How long a removed file is remembered where the table does not say, which is Delta's default: a week.
const TOMBSTONE_MS: i64 = 7 * 24 * 60 * 60 * 1000;

/// The actions of one version, each file, application and setting once. Files are found by their plain paths and keep the
/// spelling of their log.
#[derive(Debug, Default)]
pub(crate) struct Replay {
    protocol: Option<Protocol>,
    metadata: Option<Metadata>,
    txns: BTreeMap<String, Transaction>,
    adds: BTreeMap<String, Add>,
    removes: BTreeMap<String, Remove>,
}

/// A checkpoint as it will be stored.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    /// The number of actions in the checkpoint.
    pub(crate) actions: usize,
    /// The number of the table's data files.
    pub(crate) files: usize,
}

impl Replay {
    /// Takes the next action. Actions come from the oldest to the newest.
    pub(crate) fn apply(&mut self, action: Action) {
        match action {
            Action::CommitInfo(_) => {}
            Action::Protocol(protocol) => self.protocol = Some(protocol),
            Action::Metadata(metadata) => self.metadata = Some(metadata),
            Action::Txn(txn) => {
                self.txns.insert(txn.app_id.clone(), txn);
            }
            Action::Add(add) => {
                self.removes.remove(add.path.plain());
                self.adds.insert(add.path.plain().to_owned(), add);
            }
            Action::Remove(remove) => {
                self.adds.remove(remove.path.plain());
                self.removes.insert(remove.path.plain().to_owned(), remove);
            }
        }
    }

    /// The checkpoint of all actions that were taken. Removed files are left out once they are a week old at `now_ms`,
    /// unless the table has a rule of its own.
    pub(crate) fn checkpoint(self, now_ms: i64) -> Result<Written, Cause> {
        let own_rule = |metadata: &Metadata| metadata.configuration.contains_key(retention::FILES_KEY);
        let keeps_all = self.metadata.as_ref().is_some_and(own_rule);
        let young =
            |remove: &Remove| remove.deletion_timestamp.unwrap_or(0) > now_ms.saturating_sub(TOMBSTONE_MS);
        let files = self.adds.len();
        let mut lines = Vec::with_capacity(files + self.removes.len() + self.txns.len() + 2);
        lines.push(Line { protocol: self.protocol, ..Line::default() });
        lines.push(Line { metadata: self.metadata, ..Line::default() });
        let txns = self.txns.into_values();
        lines.extend(txns.map(|txn| Line { txn: Some(txn), ..Line::default() }));
        // A checkpoint changes nothing; readers of changes must not take its files for new ones.
        lines.extend(
            self.adds
                .into_values()
                .map(|add| Line { add: Some(Add { data_change: false, ..add }), ..Line::default() }),
        );
        let removes = self.removes.into_values().filter(|remove| keeps_all || young(remove));
        lines.extend(
            removes.map(|remove| Line {
                remove: Some(Remove { data_change: false, ..remove }),
                ..Line::default()
            }),
        );
        Ok(Written { bytes: encode(&lines)?, actions: lines.len(), files })
    }
}
