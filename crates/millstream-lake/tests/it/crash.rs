//! A process that is killed at any instant: what it committed is there, once and whole.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use millstream_lake::{At, LakeError};

use crate::support::{append_txn, create, ids, latest, local, table};

const FOLDER: &str = "MILLSTREAM_TEST_CRASH_FOLDER";

/// Not a test of its own: the process that the test below starts and kills.
#[tokio::test]
async fn child() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let lake = millstream_lake::Lake::open(&folder, &std::collections::BTreeMap::new()).unwrap();
    loop {
        let base = latest(&lake).await;
        let epoch = base.txn("landing").unwrap_or(0) + 1;
        match append_txn(&lake, &base, &[epoch], epoch).await {
            Ok(_) | Err(LakeError::AlreadyCommitted { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test]
async fn a_killed_writer_leaves_whole_commits() {
    let (folder, lake) = local();
    create(&lake, &[]).await;
    let mut random = 42u64;
    let mut before = 0;
    for _ in 0..15 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "crash::child", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis(40 + random % 60)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let fresh = crate::support::open(&folder);
        let snapshot = fresh.snapshot(&table(), At::Latest).await.unwrap().unwrap();
        let epoch = snapshot.txn("landing").unwrap_or(0);
        assert_eq!(snapshot.version(), epoch);
        assert_eq!(ids(&fresh, At::Latest).await, (1..=epoch).collect::<Vec<i64>>());
        assert!(epoch >= before);
        before = epoch;
    }
    assert!(before > 0, "no child lived long enough to commit");
}
