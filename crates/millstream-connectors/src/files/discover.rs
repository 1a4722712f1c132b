//! Which files are new or changed since they were read.

use std::{collections::HashMap, time::Duration};

use millstream_connector::{ConnectorError, Discovery, KnownPart, Part, PartChange, WaitingPart};
use millstream_types::TimestampMicros;
use tokio::task::spawn_blocking;

use super::{
    connector::FilesConnector,
    format::{Compression, Format, compression},
    options::OnChange,
    place::{FoundFile, Place},
    store::{StoreKind, file_error},
    text::read_through,
    version::{Change, Digest, FileVersion, Prefix, Resume, compare},
};

/// Bounds of the wait between two looks at a young file.
const SECOND_LOOK_MIN: Duration = Duration::from_millis(25);
const SECOND_LOOK_MAX: Duration = Duration::from_millis(200);

/// A file that is not known as it is now.
struct Candidate<'a> {
    file: FoundFile,
    format: Format,
    known: Option<&'a KnownPart>,
}

pub(super) async fn discover(
    connector: &FilesConnector,
    known: &[KnownPart],
) -> Result<Discovery, ConnectorError> {
    let listing = connector.place.list(&connector.config.pattern).await?;
    let mut discovery = Discovery { waiting: listing.waiting, ..Discovery::default() };
    if listing.files.is_empty() && discovery.waiting.is_empty() {
        let id = connector.config.pattern.text().to_owned();
        discovery.waiting.push(WaitingPart { id, reason: "no file matches".into() });
    }
    let known: HashMap<&str, &KnownPart> = known.iter().map(|part| (part.id.as_str(), part)).collect();
    let mut candidates = Vec::new();
    for file in listing.files {
        let known = known.get(file.id.as_str()).copied();
        let version = known.and_then(|known| FileVersion::parse(&known.version));
        if version.is_some_and(|version| version.stat.same_as(&file.stat)) {
            continue;
        }
        match readable_format(connector, &file.id) {
            Ok(format) => candidates.push(Candidate { file, format, known }),
            Err(reason) => discovery.waiting.push(WaitingPart { id: file.id, reason }),
        }
    }
    let candidates = leave_unsettled(connector, candidates, &mut discovery.waiting).await?;
    for candidate in candidates {
        classify(connector, candidate, &mut discovery).await?;
    }
    Ok(discovery)
}

/// The format of a file, or why it cannot be told.
fn readable_format(connector: &FilesConnector, id: &str) -> Result<Format, String> {
    let Some(format) = connector.format(id) else {
        return Err("its name does not tell the format; add `format:` to the connector".into());
    };
    if !format.is_text() && compression(id).0 != Compression::None {
        return Err("files of this format are compressed inside; decompress the file".into());
    }
    Ok(format)
}

/// Looks a second time at files that are so young that they may still be written.
async fn leave_unsettled<'a>(
    connector: &FilesConnector,
    candidates: Vec<Candidate<'a>>,
    waiting: &mut Vec<WaitingPart>,
) -> Result<Vec<Candidate<'a>>, ConnectorError> {
    let settle = connector.config.settle;
    let atomic = match &connector.place {
        Place::Local { .. } => false,
        // An object appears whole or not at all.
        Place::Remote(remote) => !matches!(remote.kind, StoreKind::File | StoreKind::Http),
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "compared with times that the file system took from this clock"
    )]
    let now = TimestampMicros::from_system(std::time::SystemTime::now());
    let oldest = now.as_ms().saturating_sub(i64::try_from(settle.ms()).unwrap_or(i64::MAX));
    let young = |file: &FoundFile| {
        !atomic
            && settle.ms() > 0
            && file.stat.mtime_us.is_none_or(|mtime| mtime > oldest.saturating_mul(1_000))
    };
    if !candidates.iter().any(|candidate| young(&candidate.file)) {
        return Ok(candidates);
    }
    tokio::time::sleep((settle.as_std() / 20).clamp(SECOND_LOOK_MIN, SECOND_LOOK_MAX)).await;
    let mut settled = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        if !young(&candidate.file) {
            settled.push(candidate);
            continue;
        }
        match connector.place.stat(&candidate.file.id).await {
            Ok(stat) if stat.same_as(&candidate.file.stat) => settled.push(candidate),
            Ok(_) => waiting.push(being_written(candidate.file.id)),
            Err(ConnectorError::Refused { .. }) => {
                waiting.push(WaitingPart { id: candidate.file.id, reason: "it has just disappeared".into() });
            }
            Err(error) => return Err(error),
        }
    }
    Ok(settled)
}

fn being_written(id: String) -> WaitingPart {
    WaitingPart { id, reason: "it is still being written".into() }
}

async fn classify(
    connector: &FilesConnector,
    candidate: Candidate<'_>,
    discovery: &mut Discovery,
) -> Result<(), ConnectorError> {
    let Candidate { file, format, known } = candidate;
    let FoundFile { id, stat } = file;
    let mut version = FileVersion::new(stat);
    let mut part = |id: String, version: &FileVersion, change: PartChange| {
        let start = version.resume.map_or(0, |resume| resume.bytes);
        let bytes = Some(version.stat.size.saturating_sub(start));
        discovery.parts.push(Part { id, version: version.to_part_version(), change, bytes });
    };
    let Some(known) = known else {
        part(id, &version, PartChange::New);
        return Ok(());
    };
    let replaced = match connector.config.on_change {
        OnChange::Replace => PartChange::Replaced,
        OnChange::Append => PartChange::New,
    };
    // Text in another encoding need not end where one of its bytes looks like a line end.
    let is_utf8 = connector.config.encoding == encoding_rs::UTF_8;
    let can_grow = format.is_text() && is_utf8 && compression(&id).0 == Compression::None;
    let old = FileVersion::parse(&known.version)
        .filter(|old| old.hash.is_some() && worth_hashing(old, &version, can_grow));
    let Some(old) = old else {
        part(id, &version, replaced);
        return Ok(());
    };
    let digest = match digest(connector, &id, &version, old.stat.size).await {
        Ok(digest) if digest.bytes == version.stat.size => digest,
        Ok(_) | Err(ConnectorError::Changed { .. }) => {
            discovery.waiting.push(being_written(id));
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    let change = compare(&old, &digest, can_grow);
    version.hash = Some(digest.hash);
    match change {
        Change::Touched => {
            version.next_line = old.next_line;
            let version = version.to_part_version();
            discovery.refreshed.push(KnownPart { id, version, position: known.position });
        }
        Change::Grown => {
            let line = old.next_line.unwrap_or(1);
            version.resume = Some(Resume { bytes: old.stat.size, line, after: known.position });
            part(id, &version, PartChange::Grown);
        }
        Change::Replaced => part(id, &version, replaced),
    }
    Ok(())
}

/// Whether hashing the bytes could show anything but replaced content.
fn worth_hashing(old: &FileVersion, new: &FileVersion, can_grow: bool) -> bool {
    new.stat.size == old.stat.size || (new.stat.size > old.stat.size && can_grow && old.next_line.is_some())
}

async fn digest(
    connector: &FilesConnector,
    id: &str,
    version: &FileVersion,
    prefix_bytes: u64,
) -> Result<Digest, ConnectorError> {
    let input = connector.place.open(id, &version.stat, 0, false).await?;
    let part = id.to_owned();
    let digest = spawn_blocking(move || {
        let mut hasher = blake3::Hasher::new();
        let mut seen = 0_u64;
        let mut last = None;
        let mut prefix = None;
        let bytes = read_through(input, |bytes| {
            let before = usize::try_from(prefix_bytes.saturating_sub(seen)).unwrap_or(usize::MAX);
            let (old, new) = bytes.split_at(before.min(bytes.len()));
            hasher.update(old);
            last = old.last().copied().or(last);
            if prefix.is_none() && !new.is_empty() {
                let starts_line = new.starts_with(b"\n") || new.starts_with(b"\r\n");
                let at_line_end = last == Some(b'\n') || starts_line;
                prefix = Some(Prefix { hash: hasher.finalize().to_hex().to_string(), at_line_end });
            }
            hasher.update(new);
            seen += u64::try_from(bytes.len()).unwrap_or(0);
        });
        let bytes = bytes.map_err(|error| super::input::io_error(&part, error))?;
        Ok(Digest { bytes, hash: hasher.finalize().to_hex().to_string(), prefix })
    });
    digest.await.map_err(|error| file_error(id, error.into()))?
}
