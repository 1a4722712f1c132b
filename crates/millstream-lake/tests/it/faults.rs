//! A store that fails before a write, after it, or loses the answer: the rows are there exactly once.

use std::{
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use millstream_lake::{At, Lake, LakeError, TableChange};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, memory::InMemory,
    path::Path,
};

use crate::support::{ids, schema, stage_batch, table};

#[derive(Debug)]
pub(crate) struct Faulty {
    pub inner: InMemory,
    /// How many of a thousand strikes fail; a request may be struck before it is done and after it.
    pub rate: AtomicU64,
    random: AtomicU64,
}

impl Faulty {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self { inner: InMemory::new(), rate: AtomicU64::new(0), random: AtomicU64::new(seed) })
    }

    /// The next random number, by splitmix64.
    fn next(&self) -> u64 {
        let mut z = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn strike(&self) -> Result<()> {
        if self.next() % 1000 < self.rate.load(Ordering::Relaxed) {
            return Err(object_store::Error::Generic { store: "faulty", source: "the line is dead".into() });
        }
        Ok(())
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.strike()?;
        let done = self.inner.put_opts(path, payload.clone(), options.clone()).await?;
        if self.next() % 1000 < self.rate.load(Ordering::Relaxed) / 4 {
            // A client that repeats the request on its own meets what it wrote.
            return self.inner.put_opts(path, payload, options).await;
        }
        self.strike()?;
        Ok(done)
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.strike()?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.strike()?;
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.strike()?;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.strike()?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

/// Lands one epoch as the engine does it: after any error, everything starts again.
async fn land(store: &Arc<Faulty>, epoch: i64) {
    let mut lake = Lake::with_store("memory:///lake", store.clone()).unwrap();
    for attempt in 0.. {
        assert!(attempt < 1000, "epoch {epoch} does not get through");
        match try_land(&lake, epoch).await {
            Ok(()) => return,
            Err(error) => assert!(error.retryable(), "{error:?}"),
        }
        if attempt % 3 == 0 {
            // The lake is opened as after a crash, with nothing remembered.
            lake = Lake::with_store("memory:///lake", store.clone()).unwrap();
        }
    }
}

async fn try_land(lake: &Lake, epoch: i64) -> Result<(), LakeError> {
    let base = lake.snapshot(&table(), At::Latest).await?;
    let mut writer = lake.writer(&table(), schema(), millstream_lake::WriteOptions::default());
    writer.write(&crate::support::rows(&[epoch]))?;
    let change = TableChange {
        add: writer.finish().await?,
        txns: vec![("landing".into(), epoch)],
        schema: base.is_none().then(schema),
        ..TableChange::default()
    };
    match lake.commit(&table(), base.as_deref(), change).await {
        Ok(_) | Err(LakeError::AlreadyCommitted { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[tokio::test]
async fn every_epoch_lands_exactly_once() {
    for seed in 0..20 {
        let store = Faulty::new(seed);
        store.rate.store(200, Ordering::Relaxed);
        for epoch in 1..=12 {
            land(&store, epoch).await;
        }
        store.rate.store(0, Ordering::Relaxed);
        let lake = Lake::with_store("memory:///lake", store.clone()).unwrap();
        assert_eq!(ids(&lake, At::Latest).await, (1..=12).collect::<Vec<i64>>(), "seed {seed}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn two_processes_that_race_for_the_same_epochs_land_them_once() {
    for seed in 0..5 {
        let store = Faulty::new(seed);
        store.rate.store(150, Ordering::Relaxed);
        let racers = (0..2).map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for epoch in 1..=15 {
                    land(&store, epoch).await;
                }
            })
        });
        for racer in racers.collect::<Vec<_>>() {
            racer.await.unwrap();
        }
        store.rate.store(0, Ordering::Relaxed);
        let lake = Lake::with_store("memory:///lake", store.clone()).unwrap();
        assert_eq!(ids(&lake, At::Latest).await, (1..=15).collect::<Vec<i64>>(), "seed {seed}");
    }
}

#[tokio::test]
async fn a_dead_store_says_so() {
    let store = Faulty::new(1);
    store.rate.store(1000, Ordering::Relaxed);
    let lake = Lake::with_store("memory:///lake", store).unwrap();
    let change = TableChange { schema: Some(schema()), ..TableChange::default() };
    let error = lake.commit(&table(), None, change).await.unwrap_err();
    // Nothing was put yet, so nobody has to ask whether it landed.
    assert!(matches!(error, LakeError::Storage { .. }), "{error:?}");
    assert!(error.retryable() && error.hint().is_some());
}

#[tokio::test]
async fn large_files_are_uploaded_in_parts() {
    let store = Arc::new(InMemory::new());
    let lake = Lake::with_store("memory:///lake", store).unwrap();
    let ids: Vec<i64> =
        (0..2_000_000i64).map(|id| id.wrapping_mul(0x9e37_79b9_7f4a_7c15u64 as i64)).collect();
    let staged = stage_batch(&lake, &crate::support::rows(&ids)).await;
    assert!(staged[0].file().size() > 16 << 20, "{}", staged[0].file().size());
    let change = TableChange { add: staged, schema: Some(schema()), ..TableChange::default() };
    lake.commit(&table(), None, change).await.unwrap();
    let mut expected = ids.clone();
    expected.sort_unstable();
    assert_eq!(crate::support::ids(&lake, At::Latest).await, expected);
    assert_eq!(lake.tables().await.unwrap(), [table()]);
}
