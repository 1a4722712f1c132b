//! The sample of served values: it is put together and forgotten as the policy says, like other tables and their history.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use indexmap::IndexMap;
use millstream_engine::{Engine, FeatureServer, ReadableName, RunRequest};
use tokio_util::sync::CancellationToken;

use crate::{
    harness::{Act, Definition, Line, World, block_on},
    housekeeping::{DAY, with},
};

const HOUR: i64 = 3_600;

/// Reads a feature of two customers, and lets the sample be written.
async fn serve(engine: &Engine) {
    let server = FeatureServer::open(engine, 1.0).await.unwrap();
    let named = ReadableName::Service { name: "s", version: None };
    let readable = server.readable(named).unwrap();
    let customers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let columns = IndexMap::from([("customer_id".to_owned(), customers)]);
    server.read(&readable, &columns, 2, None, None).await.unwrap();
    server.close().await.unwrap();
}

#[test]
fn served_values_are_put_together_and_kept_as_long_as_the_policy_says() {
    block_on(async {
        let world = World::new(Definition::of(&with("{schedule: every 1d, served: 2d, files: 1h}")));
        world.definition.script.put("orders", "a", "id,customer_id,at\n0,1,2026-05-01T00:00:00Z");
        world.act(&Act::RunAll(RunRequest::default())).await;
        world.act(&Act::KeepHouse).await;
        let line = Line::quiet();
        drop(world.online(&line).await);
        let engine = world.engine(&line).await;
        let count = async || world.rows("features.served").await.len();
        for _ in 0..3 {
            serve(&engine).await;
        }
        assert_eq!(count().await, 6);
        world.clock.pass(DAY + HOUR);
        serve(&engine).await;
        let keep_house = async || engine.keep_house(CancellationToken::new()).await.unwrap().unwrap();
        let report = keep_house().await;
        let tidied = report.tables.iter().find(|table| table.table.to_string() == "features.served").unwrap();
        assert_eq!(tidied.files_compacted, 4);
        assert_eq!(count().await, 8);
        // What was put together with younger rows goes as well, once it is old enough.
        world.clock.pass(DAY);
        serve(&engine).await;
        keep_house().await;
        assert_eq!(count().await, 4);
        world.clock.pass(DAY + HOUR);
        keep_house().await;
        assert_eq!(count().await, 2);
        world.clock.pass(10 * DAY);
        keep_house().await;
        assert_eq!(count().await, 0);
    });
}
