//! Opening a partition after whatever happened to its files.
//!
//! The rules: what is behind the last batch that can be read goes, unless it is known to have been durable. What cannot be read before
//! it stays, and is reported. What is kept is durable before anybody reads it: after a failed sync, the system's cache may show bytes
//! that the disk does not have, so the end of the last segment is written once more.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    Shared,
    batch::{BatchHeader, Salt},
    files::{self, BESIDE, Files, LogFile, OpenMode},
    index,
    manifest::{self, Manifest},
    producers::Producers,
    recovery::{Rebuilt, Recovery, Truncated},
    scan::{BatchReader, CHUNK_BYTES, Hole, Scanned, scan},
    segment::{self, Extent, SEGMENT_HEADER_BYTES, Segment, SegmentHeader},
};
use crate::{Damage, LogError, Place, error::Result};

/// More offsets than a segment can have: where the last segment is lost, the next one begins so far behind it, so that no offset is
/// given to two records.
pub(super) const SEGMENT_RECORDS_MAX: u64 = u32::MAX as u64;

/// A partition that was opened.
#[derive(Debug)]
pub(super) struct Recovered {
    pub start: u64,
    /// The segments, oldest first, at least one.
    pub segments: Vec<Arc<Segment>>,
    /// The file of the last segment.
    pub file: Arc<dyn LogFile>,
    /// When the last record was appended.
    pub appended_max: i64,
    pub producers: Producers,
    pub damage: Vec<Damage>,
}

pub(super) fn recover(
    shared: &Shared,
    place: &Place,
    folder: &Path,
    report: &mut Recovery,
) -> Result<Recovered> {
    let files = &*shared.options.files;
    let names = match files.list(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(nothing_there(folder)),
        names => names.map_err(LogError::storage("list", folder))?,
    };
    // A process that was killed may have left names that are not durable yet, and what is read must not come undone.
    files.sync_folder(folder).map_err(LogError::storage("sync", folder))?;
    for name in names.iter().filter(|name| name.ends_with(BESIDE)) {
        let _ = files.remove(&folder.join(name));
    }
    let mut logs: BTreeSet<u64> = names
        .iter()
        .filter_map(|name| segment::base_of(name))
        .filter(|(_, kind)| *kind == "log")
        .map(|(base, _)| base)
        .collect();
    let mut opening =
        Opening { shared, place, folder, report, damage: Vec::new(), unproven: Vec::new(), producers: None };
    let mut manifest = opening.manifest(&mut logs)?;
    opening.unproven.clone_from(&manifest.unproven);
    opening.remove_rest(&names, &manifest);
    let last = opening.last(&mut manifest, &logs)?;
    opening.load_producers(&last);
    let mut segments = opening.closed(&manifest, &logs, &last)?;
    let (segment, file) = opening.active(&manifest, last)?;
    segments.push(segment);
    let Opening { mut damage, producers, report, .. } = opening;
    damage.sort_by_key(|damage| damage.offsets.start);
    let unproven: Vec<_> =
        damage.iter().filter(|damage| !damage.proven).map(|damage| damage.offsets.clone()).collect();
    if unproven != manifest.unproven {
        manifest.unproven = unproven;
        write_manifest(files, folder, &manifest)?;
    }
    report.damage.extend(damage.iter().cloned());
    let appended_max = segments.iter().map(|segment| segment.with(|extent| extent.index.appended_max)).max();
    let mut producers = producers.unwrap_or_else(|| Producers::new(shared.options.producers_max));
    producers.forget_oldest();
    let appended_max = appended_max.unwrap_or(i64::MIN);
    Ok(Recovered { start: manifest.start, segments, file, appended_max, producers, damage })
}

/// The last segment, before it is gone through.
struct LastSegment {
    base: u64,
    salt: Salt,
    file: Arc<dyn LogFile>,
}

/// What a segment holds that the manifest does not name.
enum Content {
    Nothing,
    Batches(Salt),
    Unreadable,
}

struct Opening<'a> {
    shared: &'a Shared,
    place: &'a Place,
    folder: &'a Path,
    report: &'a mut Recovery,
    damage: Vec<Damage>,
    /// The offsets of which the manifest says that they may never have been acknowledged.
    unproven: Vec<Range<u64>>,
    /// The producers before the segment that is gone through next; `None` while they have to be found in all segments.
    producers: Option<Producers>,
}

impl Opening<'_> {
    /// The manifest, worked out from the segments where it is missing, with segments that it does not name.
    fn manifest(&mut self, logs: &mut BTreeSet<u64>) -> Result<Manifest> {
        let files = &*self.shared.options.files;
        let found = Manifest::read(files, self.folder)?;
        let is_found = found.is_some();
        let mut manifest = found.unwrap_or_default();
        if !is_found {
            if logs.is_empty() {
                return Err(nothing_there(self.folder));
            }
            manifest.start = logs.first().copied().unwrap_or(0);
            self.rebuilt(self.folder.join(manifest::NAME));
        }
        let first = manifest.segments.first().map_or(0, |(base, _)| *base);
        let named: BTreeSet<u64> = manifest.segments.iter().map(|(base, _)| *base).collect();
        let mut is_changed = !is_found;
        for base in logs.clone() {
            let path = segment::log_path(self.folder, base);
            if named.contains(&base) {
                continue;
            }
            // Retention takes a segment out of the manifest before it removes the file, and a new one is named there before
            // anything is written to it.
            let content =
                if base < first && is_found { Content::Nothing } else { self.content(&path, base)? };
            match content {
                Content::Batches(salt) => {
                    manifest.segments.push((base, salt));
                    is_changed = true;
                }
                Content::Nothing => {
                    files.remove(&path).map_err(LogError::storage("remove", &path))?;
                    logs.remove(&base);
                }
                // Without its salt nothing can be read; the segment counts as missing, and its bytes are kept.
                Content::Unreadable => {
                    files
                        .rename(&path, &path.with_extension("damaged"))
                        .map_err(LogError::storage("rename", &path))?;
                    manifest.segments.push((base, Salt::default()));
                    logs.remove(&base);
                    is_changed = true;
                }
            }
        }
        manifest.segments.sort_unstable_by_key(|(base, _)| *base);
        if is_changed {
            write_manifest(files, self.folder, &manifest)?;
        }
        Ok(manifest)
    }

    /// What a segment holds that the manifest does not name.
    fn content(&self, path: &Path, base: u64) -> Result<Content> {
        let opened = || {
            let file = self.shared.options.files.open(path, OpenMode::Read)?;
            Ok((file.length()?, segment::read_header(&*file, base)?))
        };
        let (length, header) = opened().map_err(LogError::storage("read", path))?;
        match header {
            SegmentHeader::Format(found) => Err(format_error(path, found)),
            _ if length <= SEGMENT_HEADER_BYTES => Ok(Content::Nothing),
            SegmentHeader::Valid(salt) => Ok(Content::Batches(salt)),
            SegmentHeader::Invalid => Ok(Content::Unreadable),
        }
    }

    /// Removes what belongs to segments that are gone.
    fn remove_rest(&self, names: &[String], manifest: &Manifest) {
        let kept: BTreeSet<u64> = manifest.segments.iter().map(|(base, _)| *base).collect();
        for name in names {
            let gone = segment::base_of(name)
                .is_some_and(|(base, kind)| matches!(kind, "index" | "producers") && !kept.contains(&base));
            if gone {
                let _ = self.shared.options.files.remove(&self.folder.join(name));
            }
        }
    }

    /// Opens the last segment for writing; makes one where there is none, or none that can be written to.
    fn last(&mut self, manifest: &mut Manifest, logs: &BTreeSet<u64>) -> Result<LastSegment> {
        let files = &*self.shared.options.files;
        let mut base = manifest.start;
        if let Some((last, salt)) = manifest.segments.last().copied() {
            let path = segment::log_path(self.folder, last);
            if logs.contains(&last) {
                let file = files.open(&path, OpenMode::Write).map_err(LogError::storage("open", &path))?;
                if let SegmentHeader::Format(found) =
                    segment::read_header(&*file, last).map_err(LogError::storage("read", &path))?
                {
                    return Err(format_error(&path, found));
                }
                return Ok(LastSegment { base: last, salt, file });
            }
            let proven =
                manifest.durable.is_some_and(|durable| durable.segment == last && durable.end > last);
            base = last + SEGMENT_RECORDS_MAX;
            self.harm(last, last..base, proven);
        }
        let salt = self.shared.salt();
        let path = segment::log_path(self.folder, base);
        let file = segment::create(files, &path, base, &salt).map_err(LogError::storage("make", &path))?;
        files.sync_folder(self.folder).map_err(LogError::storage("sync", self.folder))?;
        manifest.segments.push((base, salt));
        write_manifest(files, self.folder, manifest)?;
        Ok(LastSegment { base, salt, file })
    }

    /// The producers before the last segment. Without a file that says so they are found in the segments before it.
    fn load_producers(&mut self, last: &LastSegment) {
        let path = segment::producers_path(self.folder, last.base);
        let max = self.shared.options.producers_max;
        let bytes = files::read(&*self.shared.options.files, &path).ok().flatten();
        self.producers = bytes.and_then(|bytes| Producers::parse(&bytes, &last.salt, max));
    }

    /// The segments before the last one.
    fn closed(
        &mut self,
        manifest: &Manifest,
        logs: &BTreeSet<u64>,
        last: &LastSegment,
    ) -> Result<Vec<Arc<Segment>>> {
        let all = &manifest.segments;
        let ends: BTreeMap<u64, u64> =
            all.iter().zip(all.iter().skip(1)).map(|((base, _), (end, _))| (*base, *end)).collect();
        let is_found_before = self.producers.is_some();
        let mut found = Producers::new(self.shared.options.producers_max);
        let mut segments = Vec::new();
        if let Some((first, _)) = all.first().filter(|(first, _)| *first > manifest.start) {
            self.harm(*first, manifest.start..*first, true);
        }
        for (base, salt) in all.iter().copied().filter(|(base, _)| *base < last.base) {
            let end = ends.get(&base).copied().unwrap_or(last.base);
            let path = segment::log_path(self.folder, base);
            let extent = if logs.contains(&base) {
                let producers = (!is_found_before).then_some(&mut found);
                self.closed_extent(&path, (base, salt), end, producers)?
            } else {
                // Where the last segment was lost too, that has been said.
                if !self.damage.iter().any(|damage| damage.segment == base) {
                    self.harm(base, base..end, true);
                }
                Extent { length: SEGMENT_HEADER_BYTES, ..Extent::empty(end) }
            };
            segments.push(Arc::new(Segment::new(self.folder, base, salt, extent)));
        }
        if !is_found_before {
            if segments.iter().any(|segment| segment.with(|extent| extent.length > SEGMENT_HEADER_BYTES)) {
                let path = segment::producers_path(self.folder, last.base);
                let _ = files::write_derived(&*self.shared.options.files, &path, &found.encode(&last.salt));
                self.rebuilt(path);
            }
            self.producers = Some(found);
        }
        Ok(segments)
    }

    fn closed_extent(
        &mut self,
        path: &Path,
        (base, salt): (u64, Salt),
        end: u64,
        mut producers: Option<&mut Producers>,
    ) -> Result<Extent> {
        let files = &*self.shared.options.files;
        let read = || LogError::storage("read", path);
        let file = files.open(path, OpenMode::Read).map_err(read())?;
        if let SegmentHeader::Format(found) = segment::read_header(&*file, base).map_err(read())? {
            return Err(format_error(path, found));
        }
        let length = file.length().map_err(read())?;
        let index_path = segment::index_path(self.folder, base);
        if producers.is_none() {
            let bytes = files::read(files, &index_path).ok().flatten();
            let parsed = bytes.and_then(|bytes| index::parse(&bytes, &salt, length));
            if let Some((index, _)) = parsed.filter(|(_, found)| *found == end) {
                return Ok(Extent { length, end, index });
            }
        }
        let mut reader = BatchReader::new(&*file, salt, SEGMENT_HEADER_BYTES, length, CHUNK_BYTES);
        let mut each = |header: &BatchHeader, after_hole: bool| {
            if let Some(producers) = producers.as_mut() {
                note(producers, header, after_hole);
            }
        };
        let scanned = scan(&mut reader, base, &mut each).map_err(read())?;
        let index = scanned.index.clone();
        let is_whole = self.judge_holes(base, &scanned, Some(end));
        if is_whole {
            let bytes = index::encode(&index, &salt, length, end);
            let former = files::read(files, &index_path).ok().flatten();
            if former.as_ref() != Some(&bytes) && files::write_derived(files, &index_path, &bytes).is_ok() {
                self.rebuilt(index_path);
            }
        }
        Ok(Extent { length, end, index })
    }

    /// Notes what of a segment cannot be read, and says whether it is whole.
    fn judge_holes(&mut self, base: u64, scanned: &Scanned, end: Option<u64>) -> bool {
        for Hole { offsets, proven, .. } in &scanned.holes {
            // What stands before another segment was synced before that one was begun.
            let is_unproven =
                self.unproven.iter().any(|known| known.start <= offsets.start && known.end >= offsets.end);
            self.harm(base, offsets.clone(), (*proven || end.is_some()) && !is_unproven);
        }
        if let Some(end) = end.filter(|end| *end > scanned.end) {
            self.harm(base, scanned.end..end, true);
            return false;
        }
        scanned.holes.is_empty()
    }

    /// Goes through the last segment, cuts off what is unfinished, and makes what stays durable.
    fn active(&mut self, manifest: &Manifest, last: LastSegment) -> Result<(Arc<Segment>, Arc<dyn LogFile>)> {
        let LastSegment { base, salt, file } = last;
        let path = segment::log_path(self.folder, base);
        let fault = |action| LogError::storage(action, &path);
        let length = file.length().map_err(fault("read"))?;
        let mut producers =
            self.producers.take().unwrap_or_else(|| Producers::new(self.shared.options.producers_max));
        let mut reader = BatchReader::new(&*file, salt, SEGMENT_HEADER_BYTES, length, CHUNK_BYTES);
        let mut each = |header: &BatchHeader, after_hole: bool| note(&mut producers, header, after_hole);
        let scanned = scan(&mut reader, base, &mut each).map_err(fault("read"))?;
        self.producers = Some(producers);
        let durable = manifest.durable.filter(|durable| durable.segment == base);
        self.judge_holes(base, &scanned, None);
        let mut extent = Extent { length: scanned.length, end: scanned.end, index: scanned.index };
        match durable.filter(|durable| durable.end > extent.end) {
            // More may have followed than was noted, and no offset may be given to two records.
            Some(_) => {
                let end = base + SEGMENT_RECORDS_MAX;
                self.harm(base, extent.end..end, true);
                extent = Extent { length: length.max(SEGMENT_HEADER_BYTES), end, ..extent };
            }
            None if length > extent.length => {
                let (place, offset, bytes) = (self.place.clone(), extent.end, length - extent.length);
                self.report.truncated.push(Truncated { place, offset, bytes });
                file.set_length(extent.length).map_err(fault("shorten"))?;
            }
            None => {}
        }
        let synced = scanned.synced.max(durable.map_or(0, |durable| durable.length));
        rewrite(&*file, synced.min(scanned.length), scanned.length).map_err(fault("write"))?;
        if segment::read_header(&*file, base).map_err(fault("read"))? == SegmentHeader::Invalid {
            // The salt is in the manifest too, so nothing is lost with the header.
            segment::write_header(&*file, base, &salt).map_err(fault("write"))?;
        }
        file.sync().map_err(fault("sync"))?;
        Ok((Arc::new(Segment::new(self.folder, base, salt, extent)), file))
    }

    fn harm(&mut self, segment: u64, offsets: Range<u64>, proven: bool) {
        self.damage.push(Damage { place: self.place.clone(), segment, offsets, proven });
    }

    fn rebuilt(&mut self, path: PathBuf) {
        self.report.rebuilt.push(Rebuilt { place: self.place.clone(), path });
    }
}

fn write_manifest(files: &dyn Files, folder: &Path, manifest: &Manifest) -> Result<()> {
    let path = folder.join(manifest::NAME);
    manifest.write(files, folder).map_err(|fault| LogError::storage("write", &path)(fault.into_error()))
}

fn note(producers: &mut Producers, header: &BatchHeader, after_hole: bool) {
    if let Some(sequenced) = &header.sequenced {
        producers.note(sequenced, header.records, header.base, after_hole);
        producers.forget_oldest();
    }
}

/// Writes these bytes of the file once more.
fn rewrite(file: &dyn LogFile, from: u64, to: u64) -> std::io::Result<()> {
    let mut at = from;
    let mut chunk = vec![0; CHUNK_BYTES];
    while at < to {
        let wanted = usize::try_from(to - at).unwrap_or(usize::MAX).min(CHUNK_BYTES);
        let buffer = chunk.get_mut(..wanted).unwrap_or_default();
        let read = file.read_at(buffer, at)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        file.write_all_at(buffer.get(..read).unwrap_or_default(), at)?;
        at += read as u64;
    }
    Ok(())
}

/// The error for a partition of which nothing is left, not even how far its offsets went.
fn nothing_there(folder: &Path) -> LogError {
    LogError::File { path: folder.to_path_buf(), reason: "neither a manifest nor a segment is there".into() }
}

fn format_error(path: &Path, found: u32) -> LogError {
    LogError::Format { path: path.to_path_buf(), found, readable: segment::FORMAT }
}
