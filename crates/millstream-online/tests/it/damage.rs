//! Folders that hold something else than a store, or a store that something happened to.

use std::{fs, path::Path};

use millstream_online::{OnlineStore, StoreOptions, open};
use tempfile::TempDir;

use crate::place::{Store, add_one, disk_bytes, embedded, entity, files, open_folder, put, text, texts};

#[tokio::test]
async fn addresses_that_name_no_store_are_refused_without_their_secrets() {
    for (location, reason) in [
        ("embedded:relative/folder", "the folder has to be absolute"),
        ("memcached://user:secret@host", "this kind of store is not known"),
        ("rediss://:secret@host", "encrypted connections to Redis are not supported"),
        ("somewhere", "this kind of store is not known"),
    ] {
        let error = open(location, &StoreOptions::default()).await.unwrap_err();
        assert_eq!(error.code(), "MS-1001", "{location}");
        assert!(error.to_string().ends_with(reason), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
        assert!(error.hint().is_some());
    }
}

#[tokio::test]
async fn a_store_is_opened_by_one_process_at_a_time() {
    let folder = TempDir::new().unwrap();
    let store = open_folder(folder.path()).await.unwrap();
    let error = open_folder(folder.path()).await.unwrap_err();
    assert_eq!((error.code(), error.retryable()), ("MS-1002", true), "{error}");
    let named =
        format!("`{}` is in use by another process (pid {})", embedded(folder.path()), std::process::id());
    assert!(error.to_string().contains(&named), "{error}");
    drop(store);
    open_folder(folder.path()).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_says_so() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "text").unwrap();
    for place in [file.clone(), file.join("below")] {
        let error = open_folder(&place).await.unwrap_err();
        assert!(["MS-1005", "MS-1007"].contains(&error.code()), "{error:?}");
    }
}

/// As a full disk leaves it: the journal without its room, then without a word of what it is.
#[tokio::test]
async fn a_store_whose_making_was_cut_off_is_made_anew() {
    for left in [&["lock"][..], &["lock", "0.jnl"], &["lock", "0.jnl", "version"]] {
        for has_keyspaces in [false, true] {
            let folder = TempDir::new().unwrap();
            if has_keyspaces {
                fs::create_dir(folder.path().join("keyspaces")).unwrap();
            }
            left.iter().for_each(|name| fs::write(folder.path().join(name), "").unwrap());
            let store = open_folder(folder.path()).await.unwrap();
            put(&store, 1, &[("a", "one")]).await;
            drop(store);
            let store = open_folder(folder.path()).await.unwrap();
            assert_eq!(texts(&store, &[(1, "a")]).await, ["one"], "{left:?}");
        }
    }
    // A store that lost these files is none of them.
    let folder = TempDir::new().unwrap();
    let store = open_folder(folder.path()).await.unwrap();
    put(&store, 1, &[("a", "one")]).await;
    drop(store);
    fs::remove_file(folder.path().join("version")).unwrap();
    let error = open_folder(folder.path()).await.unwrap_err();
    assert!(!files(folder.path()).is_empty(), "{error:?}");
}

#[tokio::test]
async fn a_store_of_another_format_is_left_alone() {
    let folder = TempDir::new().unwrap();
    drop(open_folder(folder.path()).await.unwrap());
    fs::write(folder.path().join("version"), b"FJL\x09").unwrap();
    let error = open_folder(folder.path()).await.unwrap_err();
    assert_eq!(error.code(), "MS-1003", "{error:?}");
    assert!(error.hint().unwrap().contains("materialize"));
}

/// Cuts or overwrites each file in turn: opening and reading gives an error or what was stored, and never a panic that
/// reaches the caller or a wrong record.
#[tokio::test]
async fn damaged_files_are_reported_and_never_read_as_something_else() {
    let whole = TempDir::new().unwrap();
    let store = open_folder(whole.path()).await.unwrap();
    let records: Vec<(String, String)> =
        (0..200).map(|index| (format!("e{index}"), format!("record {index}"))).collect();
    let pairs: Vec<(&str, &str)> = records.iter().map(|(name, record)| (&**name, &**record)).collect();
    let large =
        pairs.iter().map(|(name, record)| (crate::place::entity(name), record.repeat(5_000).into_bytes()));
    store.load(millstream_online::Load { space: 2, records: large.collect(), marks: &[] }).await.unwrap();
    put(&store, 1, &pairs).await;
    drop(store);
    let paths: Vec<_> = files(whole.path())
        .into_iter()
        .map(|path| path.strip_prefix(whole.path()).unwrap().to_owned())
        .collect();
    let mut outcomes = std::collections::BTreeMap::<&str, usize>::new();
    for path in &paths {
        for how in ["cut", "overwritten"] {
            let folder = TempDir::new().unwrap();
            copy(whole.path(), folder.path());
            damage(&folder.path().join(path), how);
            let opened = tokio::spawn({
                let folder = folder.path().to_owned();
                async move { open_folder(&folder).await }
            });
            let outcome = match opened.await {
                Ok(Ok(store)) => check_records(&*store, &pairs).await,
                Ok(Err(error)) => {
                    assert!(["MS-1003", "MS-1005"].contains(&error.code()), "{}: {error:?}", path.display());
                    "not opened"
                }
                Err(error) => panic!("{} {how}: {error}", path.display()),
            };
            *outcomes.entry(outcome).or_default() += 1;
        }
    }
    assert!(outcomes.contains_key("not opened"), "{outcomes:?}");
}

/// The library takes a store without its journal, or without the list of a part's tables, for an emptier one.
#[tokio::test]
async fn files_that_are_missing_are_noticed() {
    let folder = TempDir::new().unwrap();
    for round in 0.. {
        let place = folder.path().join(format!("{round}"));
        let store = open_folder(&place).await.unwrap();
        put(&store, 1, &[("a", "record")]).await;
        drop(store);
        // What was written reaches tables and lists of tables when the store is opened and closed.
        drop(open_folder(&place).await.unwrap());
        let is_list = |path: &&std::path::PathBuf| {
            path.ends_with("current") || path.extension().is_some_and(|ending| ending == "jnl")
        };
        let all = files(&place);
        let lists: Vec<_> = all.iter().filter(is_list).collect();
        let Some(missing) = lists.get(round) else {
            assert!(round > 4, "{lists:?}");
            break;
        };
        fs::remove_file(missing).unwrap();
        let opened = open_folder(&place).await.map(drop);
        assert_eq!(opened.map_err(|error| error.code()), Err("MS-1003"), "{}", missing.display());
    }
}

#[tokio::test]
async fn what_was_pushed_outlives_the_folder_until_it_is_in_another_place() {
    let folder = TempDir::new().unwrap();
    let place = folder.path().join("store");
    let push = async |store: &Store, entry: &'static str| {
        let number = store.reserve("a", 1).await.unwrap();
        let entries = [bytes::Bytes::from_static(entry.as_bytes())];
        let append = millstream_online::Append { log: "a", entries: &entries };
        add_one(store, 1, &[entity("e")], &[], Some(append), true).await.unwrap();
        number
    };
    let log = async |store: &Store| {
        let entries = store.log("a", 0, 10).await.unwrap();
        entries.iter().map(|entry| format!("{} {}", entry.position, text(&entry.bytes))).collect::<Vec<_>>()
    };
    let store = open_folder(&place).await.unwrap();
    let mut last = 0;
    for entry in ["one", "two", "three"] {
        last = push(&store, entry).await;
    }
    store.trim_log("a", 1).await.unwrap();
    drop(store);
    fs::remove_dir_all(&place).unwrap();
    let store = open_folder(&place).await.unwrap();
    // The first comes again beside others that are needed: who trimmed it knows up to where it has them.
    assert_eq!(log(&store).await, ["1 one", "2 two", "3 three"]);
    let number = push(&store, "four").await;
    assert!(number > last, "{number} was given before");
    drop(store);
    // An entry that a crash cut off was never acknowledged.
    let copies = folder.path().join("store.pushed");
    let bytes = fs::read(&copies).unwrap();
    fs::write(&copies, &bytes[..bytes.len() - 1]).unwrap();
    fs::remove_dir_all(&place).unwrap();
    let store = open_folder(&place).await.unwrap();
    assert_eq!(log(&store).await, ["1 one", "2 two", "3 three"]);
    store.trim_log("a", 3).await.unwrap();
    drop(store);
    fs::remove_dir_all(&place).unwrap();
    let store = open_folder(&place).await.unwrap();
    assert!(log(&store).await.is_empty());
    // Somebody has what an earlier store gave.
    store.raise("a", 7, 9_000).await.unwrap();
    assert!(push(&store, "five").await > 9_000);
    assert_eq!(log(&store).await, ["8 five"]);
    store.raise("a", 2, 3).await.unwrap();
    assert!(push(&store, "six").await > 9_000);
    assert_eq!(log(&store).await, ["8 five", "9 six"]);
}

/// Records are as stored, missing (the journal's end was cut off), or an error; never something else.
async fn check_records(store: &dyn OnlineStore, pairs: &[(&str, &str)]) -> &'static str {
    let mut outcome = "read";
    for (name, record) in pairs {
        for (space, times) in [(1, 1), (2, 5_000)] {
            match store.read(&[crate::place::key(space, name)]).await.map(|mut records| records.remove(0)) {
                Ok(Some(found)) => assert!(*found == *record.repeat(times).as_bytes()),
                Ok(None) => outcome = "missing",
                Err(error) => {
                    assert_eq!(error.code(), "MS-1003", "{error:?}");
                    outcome = "read error";
                }
            }
        }
    }
    outcome
}

fn damage(path: &Path, how: &str) {
    let mut bytes = fs::read(path).unwrap();
    // A journal is longer than what is in it.
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    match how {
        "cut" => bytes.truncate(used / 2),
        _ => {
            for byte in bytes.iter_mut().take(used).skip(used / 3).take(16) {
                *byte ^= 0x5a;
            }
        }
    }
    fs::write(path, bytes).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for path in files(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(path, target).unwrap();
    }
}

#[tokio::test]
async fn a_dropped_space_frees_its_room() {
    let folder = TempDir::new().unwrap();
    let store = open_folder(folder.path()).await.unwrap();
    for space in [1, 2] {
        let records = (0..5_000_u32)
            .map(|index| {
                // Bytes that do not compress.
                let noise: Vec<u8> = (0..2_000_u32)
                    .map(|byte| (index ^ byte).wrapping_mul(2_654_435_761).to_be_bytes()[1])
                    .collect();
                (crate::place::entity(&format!("{index}")), noise)
            })
            .collect();
        store.load(millstream_online::Load { space, records, marks: &[] }).await.unwrap();
    }
    let before = disk_bytes(&folder.path().join("keyspaces"));
    assert!(store.spaces().await.unwrap().iter().all(|info| info.bytes.unwrap() > 1_000_000));
    store.drop_space(1).await.unwrap();
    let after = disk_bytes(&folder.path().join("keyspaces"));
    assert!(after < before * 6 / 10, "{before} bytes before, {after} after");
    assert_eq!(texts(&store, &[(1, "1")]).await, ["-"]);
    assert_eq!(store.spaces().await.unwrap().len(), 1);
}

/// A byte of the head, of an entry and of an entry's length, and a file that is cut: what is whole is taken, and a damaged
/// file is kept.
#[tokio::test]
async fn a_damaged_copy_gives_what_is_whole_in_it() {
    for (damaged, expected, is_kept) in [
        (None, "1 2 3", false),
        (Some(3), "1 2 3", true),
        (Some(8), "2 3", true),
        (Some(40), "1 3", true),
        (Some(8 + 28), "1 3", true),
        (Some(8 + 28 + 28 + 27), "1 2", true),
    ] {
        let folder = TempDir::new().unwrap();
        let place = folder.path().join("store");
        let store = open_folder(&place).await.unwrap();
        for entry in ["1", "2", "3"] {
            store.reserve("a", 1).await.unwrap();
            let entries = [bytes::Bytes::from_static(entry.as_bytes())];
            let append = millstream_online::Append { log: "a", entries: &entries };
            add_one(&store, 1, &[entity("e")], &[], Some(append), true).await.unwrap();
        }
        drop(store);
        fs::remove_dir_all(&place).unwrap();
        let copy = folder.path().join("store.pushed");
        let mut bytes = fs::read(&copy).unwrap();
        assert_eq!(bytes.len(), 8 + 3 * 28);
        match damaged {
            Some(at) => bytes[at] ^= 0xff,
            // As a crash leaves the fourth.
            None => bytes.extend_from_slice(&[0, 0, 0, 20, 1, 2]),
        }
        fs::write(&copy, &bytes).unwrap();
        for _ in 0..2 {
            let store = open_folder(&place).await.unwrap();
            let entries = store.log("a", 0, 10).await.unwrap();
            let entries: Vec<String> = entries.iter().map(|entry| text(&entry.bytes)).collect();
            assert_eq!(entries.join(" "), expected, "{damaged:?}");
        }
        assert_eq!(folder.path().join("store.pushed-damaged-1").exists(), is_kept, "{damaged:?}");
        assert!(!folder.path().join("store.pushed-damaged-2").exists());
    }
}
