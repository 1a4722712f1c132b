//! Files go to an object store from whatever task writes them.

use std::{sync::Arc, thread, time::Duration};

use millstream_lake::{Lake, WriteOptions};
use object_store::memory::InMemory;

use crate::support::{rows, schema, table};

/// The number of turns that a task gets from the runtime before it has to let others run.
const TURNS: usize = 200;

#[test]
fn a_file_is_stored_by_a_task_that_has_used_up_its_turn() {
    let (told, heard) = std::sync::mpsc::channel();
    // On a thread of its own: a task that waits for ever would take the test with it.
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for used in 0..TURNS {
            runtime.block_on(async {
                let lake = Lake::with_store("memory:///lake", Arc::new(InMemory::new())).unwrap();
                let mut writer = lake.writer(&table(), schema(), WriteOptions::default());
                writer.write(&rows(&[1])).unwrap();
                let (sender, _received) = tokio::sync::mpsc::channel(TURNS);
                for turn in 0..used {
                    sender.send(turn).await.unwrap();
                }
                assert_eq!(writer.finish().await.unwrap().len(), 1);
            });
        }
        told.send(()).unwrap();
    });
    assert!(heard.recv_timeout(Duration::from_secs(60)).is_ok(), "a writer waits for ever");
}
