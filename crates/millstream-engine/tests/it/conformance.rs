//! The scripted connector passes the suite that every connector has to pass.

use std::{path::PathBuf, sync::Arc};

use async_trait::async_trait;
use millstream_connector::{
    BuildContext, Connector, ConnectorError, ConnectorFactory,
    conformance::{ChangeFixture, Fixture, RowChange, check, check_changes},
};
use serde_json::json;

use crate::harness::{Script, ScriptedFactory, block_on};

#[derive(Default)]
struct Shelves(Script);

impl Shelves {
    fn connect(&self, place: &str) -> Result<Arc<dyn Connector>, ConnectorError> {
        let config = ScriptedFactory(self.0.clone()).validate(&json!({"place": place}), None).unwrap();
        config.build(&BuildContext::new(PathBuf::new()))
    }
}

#[async_trait]
impl Fixture for Shelves {
    fn connector(&self) -> Result<Arc<dyn Connector>, ConnectorError> {
        self.connect("here")
    }

    fn nowhere(&self) -> Result<Arc<dyn Connector>, ConnectorError> {
        self.connect("nowhere")
    }

    async fn fill(&mut self) {
        for part in ["a", "b"] {
            self.0.put("here", part, "id,name\n1,x\n2,y\n3\n4,z\n5,\n6,w\n7,v");
        }
    }

    async fn replace(&mut self, part: &str) {
        self.0.put("here", part, "id,name\n7,v\n6,w\n5,u\n4,t\n3,s\n2,r\n");
    }

    async fn grow(&mut self, part: &str) -> bool {
        self.0.append("here", part, "8,n\n9\n10,m");
        true
    }

    async fn touch(&mut self, part: &str) -> bool {
        self.0.touch("here", part);
        true
    }

    fn rows_together_max(&self) -> Option<usize> {
        Some(1)
    }

    async fn acknowledged(&mut self, part: &str) -> Option<i64> {
        self.0.acknowledged("here").get(part).copied()
    }
}

/// A log of what happened to the rows of a table.
struct Log(Shelves);

impl Log {
    fn new() -> Self {
        let shelves = Shelves::default();
        shelves.0.put("here", "log", "?,id,note");
        shelves.0.forget("here");
        Self(shelves)
    }
}

#[async_trait]
impl ChangeFixture for Log {
    fn connector(&self) -> Result<Arc<dyn Connector>, ConnectorError> {
        self.0.connect("here")
    }

    async fn change(&mut self, transaction: &[RowChange]) {
        for (at, change) in transaction.iter().enumerate() {
            let on = if at + 1 < transaction.len() { "+" } else { "" };
            let row = match change {
                RowChange::Insert { id, note } => format!("i{on},{id},{note}"),
                RowChange::Update { id, note } => format!("u{on},{id},{note}"),
                RowChange::Move { from, to, note } => format!("u:{from}{on},{to},{note}"),
                RowChange::Delete { id } => format!("d{on},{id},"),
                RowChange::Truncate => format!("t{on},,"),
            };
            self.0.0.append("here", "log", &row);
        }
        self.0.0.append("here", "log", "-,,");
    }

    fn truncates(&self) -> bool {
        true
    }
}

#[test]
fn the_scripted_connector_conforms() {
    block_on(async { check(&mut Shelves::default()).await.unwrap() });
}

#[test]
fn the_scripted_log_conforms() {
    block_on(async {
        for seed in 0..40 {
            check_changes(&mut Log::new(), seed).await.unwrap();
        }
    });
}
