//! Stores of an environment: addresses checked by form, paths made absolute.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use millstream_types::ByteSize;

use super::Context;
use crate::{
    Diagnostic, EnvironmentSpec, Located, OnlineLocation, StateLocation, codes, file::EnvironmentFile, words,
};

/// The environment's name where neither file nor command names one.
pub(super) const DEFAULT: &str = "default";
const LAKE: &str = ".millstream/lake";
const STATE: &str = ".millstream/state.db";
const LOG: &str = ".millstream/log";
const ONLINE: &str = ".millstream/online";
/// Steps at once that no machine needs more of.
const CONCURRENCY_MAX: usize = 1024;
/// The least bound on memory: with less a sort cannot even merge what it wrote to disk.
const MEMORY_MIN: ByteSize = ByteSize::from_bytes(16 << 20);
const LAKE_SCHEMES: [&str; 11] =
    ["s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss", "http", "https", "file"];

/// How one kind of store is addressed.
struct Store {
    key: &'static str,
    /// What an embedded address starts with, or all of it where it takes no path.
    embedded: &'static str,
    takes_path: bool,
    schemes: &'static [&'static str],
    example: &'static str,
}

const STORES: [Store; 5] = [
    Store {
        key: "state",
        embedded: "sqlite:",
        takes_path: true,
        schemes: &["postgres", "postgresql"],
        example: "`sqlite:.millstream/state.db` or `postgres://host/database`",
    },
    Store {
        key: "log",
        embedded: "embedded:",
        takes_path: true,
        schemes: &["kafka"],
        example: "`embedded:.millstream/log` or `kafka://broker:9092`",
    },
    Store {
        key: "online",
        embedded: "embedded:",
        takes_path: true,
        schemes: &["redis", "rediss"],
        example: "`embedded:.millstream/online` or `redis://cache:6379`",
    },
    Store {
        key: "vectors",
        embedded: "embedded:",
        takes_path: true,
        schemes: &["qdrant"],
        example: "`embedded:.millstream/vectors` or `qdrant://vectors:6334`",
    },
    Store {
        key: "engine",
        embedded: "local",
        takes_path: false,
        schemes: &["ballista"],
        example: "`local` or `ballista://scheduler:50050`",
    },
];

enum Address<'a> {
    Embedded(&'a str),
    External,
}

/// The environment of a project that names none: it keeps everything under `.millstream/`.
pub(crate) fn implied(root: &Path) -> EnvironmentSpec {
    EnvironmentSpec {
        name: DEFAULT.into(),
        lake: root.join(LAKE).to_string_lossy().into_owned(),
        state: StateLocation::Sqlite(root.join(STATE)),
        log: root.join(LOG),
        online: OnlineLocation::Embedded(root.join(ONLINE)),
        storage: BTreeMap::new(),
        concurrency: None,
        memory: None,
    }
}

/// Checks an environment's addresses. `None` when a chosen one has a fault.
pub(super) fn environment(
    context: &Context<'_>,
    name: &Located<String>,
    file: &EnvironmentFile,
    is_chosen: bool,
    root: &Path,
) -> Option<EnvironmentSpec> {
    let lake = file.lake.as_ref().map(|written| lake(context, written, root));
    let mut is_usable = !matches!(lake, Some(None));
    let mut state = StateLocation::Sqlite(root.join(STATE));
    let mut log = root.join(LOG);
    let mut online = OnlineLocation::Embedded(root.join(ONLINE));
    for store in &STORES {
        let written = match store.key {
            "state" => &file.state,
            "log" => &file.log,
            "online" => &file.online,
            "vectors" => &file.vectors,
            _ => &file.engine,
        };
        let Some(written) = written else { continue };
        match address(context, store, written) {
            None => is_usable = false,
            Some(Address::Embedded(path)) if store.key == "state" => {
                state = StateLocation::Sqlite(root.join(path));
            }
            Some(Address::Embedded(path)) if store.key == "log" => log = root.join(path),
            Some(Address::Embedded(path)) if store.key == "online" => {
                online = OnlineLocation::Embedded(root.join(path));
            }
            Some(Address::External) if store.key == "state" => {
                state = StateLocation::Postgres(written.value.trim().to_owned());
            }
            Some(Address::External) if store.key == "online" => {
                online = OnlineLocation::Redis(written.value.trim().to_owned());
            }
            // Nothing keeps a vector index yet, wherever it would be.
            Some(Address::Embedded(_)) if is_chosen && store.key == "vectors" => {
                is_usable &= unavailable(context, store, written);
            }
            Some(Address::External) if is_chosen => {
                is_usable &= unavailable(context, store, written);
            }
            Some(Address::Embedded(_) | Address::External) => {}
        }
    }
    let concurrency = file.concurrency.as_ref().map(|concurrency| {
        steps_at_once(context, concurrency);
        concurrency.value
    });
    let memory = file.memory.as_ref().map(|memory| {
        if memory.value.0 < MEMORY_MIN {
            let message = format!("`{}` is too little memory to work in", memory.value.0);
            context.error(codes::WRONG_KIND, message, memory.at, format!("write at least {MEMORY_MIN}"));
        }
        memory.value.0
    });
    let storage = file.storage.0.iter().map(|(key, value)| (key.value.clone(), value.0.clone())).collect();
    let lake = lake.flatten().unwrap_or_else(|| root.join(LAKE).to_string_lossy().into_owned());
    is_usable.then(|| EnvironmentSpec {
        name: name.value.clone(),
        lake,
        state,
        log,
        online,
        storage,
        concurrency,
        memory,
    })
}

/// A number of steps that run at once; reports one that cannot be.
pub(super) fn steps_at_once(context: &Context<'_>, written: &Located<usize>) -> Option<NonZeroUsize> {
    if !(1..=CONCURRENCY_MAX).contains(&written.value) {
        let message = format!("`{written}` steps at once cannot run");
        let hint = format!("write a number from 1 to {CONCURRENCY_MAX}");
        context.error(codes::WRONG_KIND, message, written.at, hint);
        return None;
    }
    NonZeroUsize::new(written.value)
}

/// An absolute folder or a URL.
fn lake(context: &Context<'_>, written: &Located<String>, root: &Path) -> Option<String> {
    let hint = "write a folder, or a URL such as `s3://bucket/prefix`";
    let text = written.trim();
    if text.is_empty() {
        context.error(codes::WRONG_STORE, "the lake has no address", written.at, hint);
        return None;
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Some(root.join(text).to_string_lossy().into_owned());
    };
    if !LAKE_SCHEMES.contains(&scheme) {
        let hint = match words::nearest(scheme, LAKE_SCHEMES) {
            Some(meant) => format!("did you mean `{meant}://`?"),
            None => hint.to_owned(),
        };
        context.error(codes::WRONG_STORE, format!("no lake can be kept at `{scheme}://`"), written.at, hint);
        return None;
    }
    if rest.trim_start_matches('/').is_empty() {
        context.error(codes::WRONG_STORE, format!("`{text}` names no place"), written.at, hint);
        return None;
    }
    if scheme == "file" {
        let path = PathBuf::from(rest);
        if path.is_relative() {
            let hint = "write the folder without `file://`, or with three slashes";
            context.error(codes::WRONG_STORE, "a file URL needs an absolute path", written.at, hint);
            return None;
        }
        return Some(rest.to_owned());
    }
    Some(text.to_owned())
}

fn address<'a>(context: &Context<'_>, store: &Store, written: &'a Located<String>) -> Option<Address<'a>> {
    let text = written.value.trim();
    if let Some(path) = text.strip_prefix(store.embedded) {
        let is_memory = path.is_empty() || path == ":memory:";
        if (store.takes_path && !is_memory) || (!store.takes_path && path.is_empty()) {
            return Some(Address::Embedded(path));
        }
    } else if let Some((scheme, rest)) = text.split_once("://")
        && store.schemes.contains(&scheme)
        && !rest.is_empty()
    {
        return Some(Address::External);
    }
    // The address is not repeated: it may hold a password.
    let message = format!("this is no address for `{}`", store.key);
    context.error(codes::WRONG_STORE, message, written.at, format!("write {}", store.example));
    None
}

/// Reports a store of the chosen environment that has no engine, and returns whether the environment can be used in
/// spite of it.
fn unavailable(context: &Context<'_>, store: &Store, written: &Located<String>) -> bool {
    let text = written.value.trim();
    let address = match text.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://…"),
        None => text.to_owned(),
    };
    let is_needed = matches!(store.key, "engine" | "log");
    if is_needed {
        let message = format!("`{}: {address}` cannot be used by this version", store.key);
        let hint = format!("write `{}: {}`, or choose another environment", store.key, store.embedded);
        context.error(codes::UNAVAILABLE_STORE, message, written.at, hint);
    } else {
        let message = format!("`{}: {address}` is not used by this version", store.key);
        context.faults.push(
            Diagnostic::warning(codes::UNAVAILABLE_STORE, message, written.at)
                .with_hint("nothing in this project needs it yet; the line can stay"),
        );
    }
    !is_needed
}
