//! The files of a lake in memory, each with the time that the world's clock showed when it was written.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use millstream_engine::Clock;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, memory::InMemory, path::Path};

use super::{hands::Hands, tamper::Tamper, wound::Wound};

/// The files of a lake, which survive the death of an engine.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub files: InMemory,
    written: Mutex<HashMap<Path, DateTime<Utc>>>,
    /// What happens to the next data file that is put into a folder, and the folder.
    tampers: Mutex<Option<(String, Tamper)>>,
    clock: Hands,
}

impl Shelf {
    pub(crate) fn new(clock: Hands) -> Self {
        Self { files: InMemory::new(), written: Mutex::default(), tampers: Mutex::default(), clock }
    }

    /// A copy of the files, which changes on its own from here on.
    pub(crate) fn fork(&self, clock: Hands) -> Self {
        Self {
            files: self.files.fork(),
            written: Mutex::new(self.written().clone()),
            tampers: Mutex::default(),
            clock,
        }
    }

    fn note(&self, path: &Path) {
        let now = DateTime::from_timestamp_micros(self.clock.now().0).unwrap();
        self.written().insert(path.clone(), now);
    }

    /// The file's description with the time of this world.
    pub(crate) fn dated(&self, meta: ObjectMeta) -> ObjectMeta {
        let written = self.written().get(&meta.location).copied();
        ObjectMeta { last_modified: written.unwrap_or(meta.last_modified), ..meta }
    }

    pub(crate) async fn read(&self, path: &str) -> Bytes {
        self.files.get(&Path::from(path)).await.unwrap().bytes().await.unwrap()
    }

    /// Puts nonsense in the place of a file.
    pub(crate) async fn spoil(&self, path: &str) {
        self.files.put(&Path::from(path), "{nonsense".into()).await.unwrap();
    }

    /// Puts nonsense in the place of all data files of a table.
    pub(crate) async fn spoil_rows(&self, table: &str) {
        self.wound_rows(table, Wound::Pages).await;
    }

    /// Damages all data files of a table.
    pub(crate) async fn wound_rows(&self, table: &str, wound: Wound) {
        let folder = Path::from(format!("lake/{}", table.replace('.', "/")));
        let files: Vec<_> = self.files.list(Some(&folder)).try_collect().await.unwrap();
        let data = files.into_iter().map(|meta| meta.location);
        let data: Vec<Path> = data.filter(|path| path.extension() == Some("parquet")).collect();
        assert!(!data.is_empty(), "{table} has no files");
        for path in data.iter().filter(|path| !path.as_ref().contains("_delta_log")) {
            let written = self.files.get(path).await.unwrap().bytes().await.unwrap();
            match wound.done_to(&written) {
                Some(left) => drop(self.files.put(path, left.into()).await.unwrap()),
                None => self.files.delete(path).await.unwrap(),
            }
        }
    }

    /// Puts another text in the place of a file.
    pub(crate) async fn replace(&self, path: &str, text: String) {
        self.files.put(&Path::from(path), text.into()).await.unwrap();
    }

    /// Changes the rows of the only data file in the folder of a table.
    pub(crate) async fn tamper(&self, folder: &str, tamper: Tamper) {
        let found: Vec<_> = self.files.list(Some(&Path::from(folder))).try_collect().await.unwrap();
        let is_data = |meta: &&ObjectMeta| meta.location.as_ref().ends_with(".parquet");
        let data: Vec<_> = found.iter().filter(is_data).map(|meta| meta.location.clone()).collect();
        let [path] = data.as_slice() else { panic!("{data:?}") };
        self.apply(path, tamper).await;
    }

    /// Changes the rows of the next data file that is put into the folder of a table, once it is there.
    pub(crate) fn tamper_next(&self, folder: &str, tamper: Tamper) {
        *self.tampers.lock().unwrap() = Some((folder.to_owned(), tamper));
    }

    /// Called for each file that was put.
    pub(super) async fn has_put(&self, path: &Path) {
        self.note(path);
        let is_meant = |(folder, _): &mut (String, Tamper)| {
            path.as_ref().starts_with(folder.as_str()) && path.as_ref().ends_with(".parquet")
        };
        let meant = self.tampers.lock().unwrap().take_if(is_meant);
        if let Some((_, tamper)) = meant {
            self.apply(path, tamper).await;
        }
    }

    async fn apply(&self, path: &Path, tamper: Tamper) {
        let file = self.files.get(path).await.unwrap().bytes().await.unwrap();
        self.files.put(path, tamper.apply(&file).into()).await.unwrap();
    }

    /// Takes a file or a folder away, as someone who works on the bucket by hand does.
    pub(crate) async fn lose(&self, path: &str) {
        let path = Path::from(path);
        let within: Vec<_> = self.files.list(Some(&path)).try_collect().await.unwrap();
        let mut lost: Vec<Path> = within.into_iter().map(|meta| meta.location).collect();
        if lost.is_empty() {
            lost.push(path);
        }
        for path in lost {
            self.files.delete(&path).await.unwrap();
        }
    }

    fn written(&self) -> std::sync::MutexGuard<'_, HashMap<Path, DateTime<Utc>>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
