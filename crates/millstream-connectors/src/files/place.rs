//! Where files are: a local folder or an object store, behind the four questions that reading needs.

use std::{
    fmt, fs,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use millstream_connector::{ConnectorError, WaitingPart};
use millstream_usage::following;
use object_store::{GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt, path::Path as ObjectPath};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{
    input::{FetchedReader, LocalReader, RawInput},
    listing::list_local,
    pattern::Pattern,
    store::{StoreKind, file_error, store_error},
    version::Stat,
};

/// Remote files are fetched in ranges of this size, so that no request runs long.
const RANGE_BYTES: u64 = 8 << 20;
/// How many ranges of one file are fetched at the same time.
const RANGES_IN_FLIGHT_MAX: usize = 3;

#[derive(Clone, Debug)]
pub(super) enum Place {
    Local { root: PathBuf },
    Remote(Remote),
}

#[derive(Clone)]
pub(super) struct Remote {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) kind: StoreKind,
    /// The URL up to the store's root, without a `/` at its end.
    pub(super) base: String,
}

/// A file that the pattern means.
#[derive(Clone, Debug)]
pub(super) struct FoundFile {
    pub(super) id: String,
    pub(super) stat: Stat,
}

/// The files that a pattern means, by name, and those that cannot be addressed.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) files: Vec<FoundFile>,
    pub(super) waiting: Vec<WaitingPart>,
}

impl Place {
    pub(super) async fn list(&self, pattern: &Pattern) -> Result<Listing, ConnectorError> {
        let mut listing = match self {
            Self::Local { root } => {
                let (root, pattern) = (root.clone(), pattern.clone());
                let place = pattern.text().to_owned();
                spawn_blocking(move || list_local(&root, &pattern))
                    .await
                    .map_err(|error| file_error(&place, error.into()))??
            }
            Self::Remote(remote) => remote.list(pattern).await?,
        };
        listing.files.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(listing)
    }

    /// The path behind an id, as patterns are compared with; `None` for a file of another place.
    pub(super) fn path_of<'a>(&self, id: &'a str) -> Option<&'a str> {
        match self {
            Self::Local { .. } => Some(id),
            Self::Remote(remote) => id.strip_prefix(remote.base.as_str())?.strip_prefix('/'),
        }
    }

    pub(super) async fn stat(&self, id: &str) -> Result<Stat, ConnectorError> {
        match self {
            Self::Local { root } => {
                let metadata =
                    tokio::fs::metadata(root.join(id)).await.map_err(|error| file_error(id, error))?;
                Ok(local_stat(&metadata))
            }
            Self::Remote(remote) => {
                millstream_usage::called();
                let meta = remote.store.head(&remote.key(id)?).await.map_err(|e| store_error(id, e))?;
                Ok(remote_stat(&meta))
            }
        }
    }

    /// The file's bytes from `from` on, for a blocking thread. A file that is no longer the one that `stat`
    /// describes gives `Changed`, here or while it is read.
    pub(super) async fn open(
        &self,
        id: &str,
        stat: &Stat,
        from: u64,
        hash: bool,
    ) -> Result<RawInput, ConnectorError> {
        match self {
            Self::Local { root } => {
                let (path, part, stat) = (root.join(id), id.to_owned(), stat.clone());
                let file = spawn_blocking(move || open_local(&path, &part, &stat, from)).await;
                let file = file.map_err(|error| file_error(id, error.into()))??;
                Ok(RawInput::new(Box::new(LocalReader { part: id.to_owned(), file }), hash))
            }
            Self::Remote(remote) => Ok(RawInput::new(Box::new(remote.open(id, stat, from)?), hash)),
        }
    }

    /// A piece of the file; `Changed` as for `open`.
    pub(super) async fn range(
        &self,
        id: &str,
        stat: &Stat,
        range: Range<u64>,
    ) -> Result<Bytes, ConnectorError> {
        match self {
            Self::Local { root } => {
                let (path, part, stat) = (root.join(id), id.to_owned(), stat.clone());
                let bytes = spawn_blocking(move || read_local(&path, &part, &stat, range)).await;
                bytes.map_err(|error| file_error(id, error.into()))?
            }
            Self::Remote(remote) => remote.fetch(id, stat, range).await,
        }
    }

    pub(super) fn is_local(&self) -> bool {
        matches!(self, Self::Local { .. })
    }
}

impl Remote {
    async fn list(&self, pattern: &Pattern) -> Result<Listing, ConnectorError> {
        let place = format!("{}/{}", self.base, pattern.text());
        let key = self.parse_key(pattern.prefix()).map_err(|error| store_error(&place, error))?;
        let failed = |error| store_error(&place, error);
        millstream_usage::called();
        let found: Vec<ObjectMeta> = if pattern.is_literal() {
            vec![self.store.head(&key).await.map_err(failed)?]
        } else {
            let below = self.store.list(Some(&key)).map_err(failed);
            below
                .try_filter(|meta| std::future::ready(pattern.matches(meta.location.as_ref())))
                .try_collect()
                .await?
        };
        let file = |meta: ObjectMeta| FoundFile {
            id: format!("{}/{}", self.base, meta.location),
            stat: remote_stat(&meta),
        };
        Ok(Listing { files: found.into_iter().map(file).collect(), waiting: Vec::new() })
    }

    fn open(&self, id: &str, stat: &Stat, from: u64) -> Result<FetchedReader, ConnectorError> {
        let (sender, pieces) = mpsc::channel(RANGES_IN_FLIGHT_MAX);
        let (remote, id, stat) = (self.clone(), id.to_owned(), stat.clone());
        let key = self.key(&id)?;
        let fetching = async move {
            let mut fetched = if remote.kind == StoreKind::Http {
                // Many web servers answer with the whole file only.
                millstream_usage::called();
                let whole = remote.store.get_opts(&key, options(&stat, None)).await;
                match whole {
                    Ok(found) => found.into_stream().map_err(|error| store_error(&id, error)).boxed(),
                    Err(error) => stream::iter([Err(store_error(&id, error))]).boxed(),
                }
            } else {
                let starts = (from..stat.size).step_by(usize::try_from(RANGE_BYTES).unwrap_or(usize::MAX));
                stream::iter(starts)
                    .map(|start| remote.fetch(&id, &stat, start..(start + RANGE_BYTES).min(stat.size)))
                    .buffered(RANGES_IN_FLIGHT_MAX)
                    .boxed()
            };
            let mut skip = if remote.kind == StoreKind::Http { from } else { 0 };
            while let Some(piece) = fetched.next().await {
                let piece = piece.map(|mut bytes| {
                    let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(bytes.len());
                    skip -= u64::try_from(skipped).unwrap_or(skip);
                    bytes.split_off(skipped)
                });
                let failed = piece.is_err();
                if sender.send(piece).await.is_err() || failed {
                    break;
                }
            }
        };
        tokio::spawn(following(Box::pin(fetching)));
        Ok(FetchedReader { pieces, current: Bytes::new() })
    }

    async fn fetch(&self, id: &str, stat: &Stat, range: Range<u64>) -> Result<Bytes, ConnectorError> {
        let key = self.key(id)?;
        let failed = |error| store_error(id, error);
        millstream_usage::called();
        let found = self.store.get_opts(&key, options(stat, Some(range))).await.map_err(failed)?;
        found.bytes().await.map_err(failed)
    }

    fn key(&self, id: &str) -> Result<ObjectPath, ConnectorError> {
        let key = id.strip_prefix(&self.base).unwrap_or(id).trim_start_matches('/');
        // An id holds the key as the store names it, so it is not decoded again.
        ObjectPath::parse(key).map_err(|error| store_error(id, error.into()))
    }

    fn parse_key(&self, text: &str) -> Result<ObjectPath, object_store::Error> {
        match self.kind {
            StoreKind::Http => Ok(ObjectPath::from_url_path(text)?),
            _ => Ok(ObjectPath::parse(text)?),
        }
    }
}

impl fmt::Debug for Remote {
    /// Without the store, which holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Remote").field(&self.base).finish()
    }
}

fn options(stat: &Stat, range: Option<Range<u64>>) -> GetOptions {
    // A weak tag (`W/…`) does not promise equal bytes, and servers refuse to compare it.
    let if_match = stat.etag.clone().filter(|etag| !etag.starts_with("W/"));
    GetOptions { if_match, range: range.map(Into::into), ..GetOptions::default() }
}

fn remote_stat(meta: &ObjectMeta) -> Stat {
    Stat { size: meta.size, mtime_us: Some(meta.last_modified.timestamp_micros()), etag: meta.e_tag.clone() }
}

pub(super) fn local_stat(metadata: &fs::Metadata) -> Stat {
    let since = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let mtime_us = since.and_then(|since| i64::try_from(since.as_micros()).ok());
    Stat { size: metadata.len(), mtime_us, etag: None }
}

fn open_local(path: &Path, part: &str, stat: &Stat, from: u64) -> Result<fs::File, ConnectorError> {
    use std::io::{Seek, SeekFrom};
    let failed = |error| file_error(part, error);
    let mut file = fs::File::open(path).map_err(failed)?;
    if !local_stat(&file.metadata().map_err(failed)?).same_as(stat) {
        return Err(ConnectorError::Changed { part: part.to_owned() });
    }
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    Ok(file)
}

fn read_local(path: &Path, part: &str, stat: &Stat, range: Range<u64>) -> Result<Bytes, ConnectorError> {
    use std::io::{ErrorKind, Read};
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => ConnectorError::Changed { part: part.to_owned() },
        _ => file_error(part, error),
    };
    let length = range.end.saturating_sub(range.start);
    let length = usize::try_from(length).map_err(|_| failed(ErrorKind::FileTooLarge.into()))?;
    let mut file = open_local(path, part, stat, range.start)?;
    let mut bytes = vec![0; length];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes.into())
}
