//! Data files that are damaged: every reader tells which file that is, and a store that is away is no damage.

use std::{
    error::Error,
    fs,
    sync::{Arc, atomic::Ordering},
};

use datafusion::prelude::SessionContext;
use millstream_lake::{
    DamagedFile, FileDamage, Lake, LakeError, LakeTable, MaintainOptions, StorageFault, TableChange,
};
use millstream_types::TimestampMicros;
use object_store::{ObjectStoreExt, path::Path};
use tempfile::TempDir;

use crate::{
    faults::Faulty,
    support::{append, create, latest, local, runtime, session, stage, table},
};

/// What happens to a file.
#[derive(Clone, Copy, Debug)]
enum Harm {
    /// So many bytes are left.
    Cut(usize),
    Half,
    FooterLength([u8; 4]),
    Magic,
    Pages,
    Gone,
}

const HARMS: [Harm; 10] = [
    Harm::Cut(0),
    Harm::Cut(3),
    Harm::Cut(8),
    Harm::Half,
    Harm::FooterLength([0xFF, 0xFF, 0xFF, 0x7F]),
    Harm::FooterLength([0xFF, 0xFF, 0, 0]),
    Harm::FooterLength([3, 0, 0, 0]),
    Harm::Magic,
    Harm::Pages,
    Harm::Gone,
];

impl Harm {
    /// What is left of the file.
    fn done_to(self, file: &[u8]) -> Option<Vec<u8>> {
        let mut left = file.to_vec();
        let length = left.len();
        match self {
            Self::Cut(bytes) => left.truncate(bytes),
            Self::Half => left.truncate(length / 2),
            Self::FooterLength(bytes) => left[length - 8..length - 4].copy_from_slice(&bytes),
            Self::Magic => left[length - 1] ^= 1,
            Self::Pages => left[4..length / 3].iter_mut().for_each(|byte| *byte = !*byte),
            Self::Gone => return None,
        }
        Some(left)
    }

    fn is_told_as(self, damage: &FileDamage) -> bool {
        match self {
            Self::Cut(_) | Self::Half => matches!(damage, FileDamage::Resized { .. }),
            Self::Gone => *damage == FileDamage::Gone,
            _ => matches!(damage, FileDamage::Unreadable { .. }),
        }
    }
}

enum Place {
    Folder(TempDir),
    /// A store that gives what there is where more is asked for.
    Memory(Arc<Faulty>),
}

impl Place {
    fn all() -> [(Self, Lake); 2] {
        let (folder, lake) = local();
        let store = Faulty::new(1);
        let memory = Lake::with_store("memory:///lake", store.clone()).unwrap();
        [(Self::Folder(folder), lake), (Self::Memory(store), memory)]
    }

    async fn read(&self, file: &str) -> Vec<u8> {
        match self {
            Self::Folder(folder) => fs::read(folder.path().join("silver/orders").join(file)).unwrap(),
            Self::Memory(store) => {
                store.inner.get(&location(file)).await.unwrap().bytes().await.unwrap().into()
            }
        }
    }

    async fn write(&self, file: &str, bytes: Option<Vec<u8>>) {
        match (self, bytes) {
            (Self::Folder(folder), Some(bytes)) => {
                fs::write(folder.path().join("silver/orders").join(file), bytes).unwrap();
            }
            (Self::Folder(folder), None) => {
                fs::remove_file(folder.path().join("silver/orders").join(file)).unwrap();
            }
            (Self::Memory(store), Some(bytes)) => {
                store.inner.put(&location(file), bytes.into()).await.unwrap();
            }
            (Self::Memory(store), None) => store.inner.delete(&location(file)).await.unwrap(),
        }
    }
}

fn location(file: &str) -> Path {
    Path::from(format!("lake/silver/orders/{file}"))
}

/// The statements are asked in sessions that have read nothing before.
async fn ask(lake: &Lake, sql: &str) -> Result<usize, Box<dyn Error>> {
    let context: SessionContext = session(lake);
    let snapshot = latest(lake).await;
    context.register_table("t", LakeTable::new(lake, snapshot.schema(), snapshot.files().to_vec())?)?;
    let batches = context.sql(sql).await?.collect().await?;
    Ok(batches.iter().map(|batch| batch.num_rows()).sum())
}

async fn compact(lake: &Lake) -> Result<usize, Box<dyn Error>> {
    let options = MaintainOptions::at(TimestampMicros(0));
    let done = lake.compact(&runtime(lake), &table(), &options).await?;
    Ok(done.unwrap().files_compacted)
}

#[tokio::test]
async fn every_reader_tells_which_file_is_damaged() {
    for (place, lake) in Place::all() {
        create(&lake, &[1, 2, 3]).await;
        append(&lake, &[7, 8]).await;
        let file = latest(&lake).await.files()[1].path().to_owned();
        let sound = place.read(&file).await;
        for harm in HARMS {
            place.write(&file, harm.done_to(&sound)).await;
            let mut endings = Vec::new();
            for sql in [
                "SELECT * FROM t",
                "SELECT name FROM t WHERE id > 1",
                "SELECT count(DISTINCT name) AS n FROM t",
                "SELECT a.id FROM t a JOIN t b ON a.name = b.name",
                "SELECT id FROM t ORDER BY id DESC LIMIT 5",
            ] {
                endings.push((sql, ask(&lake, sql).await));
            }
            endings.push(("compaction", compact(&lake).await));
            for (reader, ended) in endings {
                let error = ended.expect_err(&format!("{harm:?} {reader}"));
                let damaged = DamagedFile::behind(error.as_ref());
                let damaged = damaged.unwrap_or_else(|| panic!("{harm:?} {reader}: {error:?}"));
                assert_eq!((&damaged.table, damaged.path.as_str()), (&table(), file.as_str()), "{reader}");
                assert!(
                    damaged.place.ends_with(&file) && harm.is_told_as(&damaged.damage),
                    "{harm:?}: {damaged}"
                );
            }
        }
        place.write(&file, Some(sound)).await;
        assert_eq!(ask(&lake, "SELECT * FROM t").await.unwrap(), 5);
        assert_eq!(compact(&lake).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_reader_that_knows_the_footer_tells_of_pages_that_are_gone_later() {
    for (place, lake) in Place::all() {
        create(&lake, &[1, 2, 3]).await;
        let snapshot = latest(&lake).await;
        let file = snapshot.files()[0].path().to_owned();
        let sound = place.read(&file).await;
        for harm in [Harm::Cut(8), Harm::Gone, Harm::Pages] {
            place.write(&file, Some(sound.clone())).await;
            let context = session(&lake);
            let provider = LakeTable::new(&lake, snapshot.schema(), snapshot.files().to_vec()).unwrap();
            context.register_table("t", provider).unwrap();
            let ask = async || context.sql("SELECT * FROM t").await.unwrap().collect().await;
            ask().await.unwrap();
            place.write(&file, harm.done_to(&sound)).await;
            let error = ask().await.unwrap_err();
            let damaged = DamagedFile::behind(&error).unwrap_or_else(|| panic!("{harm:?} {error:?}"));
            assert!(harm.is_told_as(&damaged.damage), "{harm:?}: {damaged}");
        }
    }
}

#[tokio::test]
async fn a_store_that_is_away_and_a_value_that_cannot_be_computed_are_no_damage() {
    let store = Faulty::new(1);
    let lake = Lake::with_store("memory:///lake", store.clone()).unwrap();
    create(&lake, &[1, 2, 3]).await;
    let snapshot = latest(&lake).await;
    let provider = || LakeTable::new(&lake, snapshot.schema(), snapshot.files().to_vec()).unwrap();
    store.rate.store(1000, Ordering::Relaxed);
    let error = session(&lake).read_table(provider()).unwrap().collect().await.unwrap_err();
    assert!(DamagedFile::behind(&error).is_none(), "{error:?}");
    let fault = LakeError::behind(&error).unwrap();
    assert!(matches!(fault, LakeError::Storage { fault: StorageFault::Unavailable, .. }), "{fault:?}");
    assert!(fault.retryable());
    store.rate.store(0, Ordering::Relaxed);
    for sql in ["SELECT id FROM t WHERE 10 / (id - 2) > 1", "SELECT CAST(name AS INT) AS n FROM t"] {
        let error = ask(&lake, sql).await.unwrap_err();
        assert!(DamagedFile::behind(error.as_ref()).is_none(), "{sql}: {error:?}");
    }
}

/// The reader answers whatever the bytes are: with rows, or with an error.
#[tokio::test]
async fn no_byte_that_is_turned_round_makes_the_reader_panic() {
    let (place, lake) = Place::all().into_iter().nth(1).unwrap();
    create(&lake, &[]).await;
    let base = latest(&lake).await;
    let add = stage(&lake, &(0..50).collect::<Vec<_>>()).await;
    lake.commit(&table(), Some(&base), TableChange { add, ..TableChange::default() }).await.unwrap();
    let file = latest(&lake).await.files()[0].path().to_owned();
    let sound = place.read(&file).await;
    let mut damaged = 0;
    for at in 0..sound.len() {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x80 >> (at % 8);
        place.write(&file, Some(bytes)).await;
        if let Err(error) = ask(&lake, "SELECT * FROM t WHERE id >= 0").await {
            damaged += usize::from(DamagedFile::behind(error.as_ref()).is_some());
        }
    }
    assert!(damaged > sound.len() / 10, "{damaged} of {}", sound.len());
}
