//! A file system in memory that fails and forgets as real ones do.
//!
//! What was not synced may be gone after a loss of power: bytes of files, in any order and torn at any sector, and names in folders,
//! in their order. A sync that fails leaves bytes that can be read and will never reach the disk, as Linux does.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::{Component, Path},
    sync::{Arc, Mutex, MutexGuard},
};

use millstream_log::{Files, FolderLock, LogFile, OpenMode};
use rand::{Rng, rngs::SmallRng};

const SECTOR: usize = 64;

#[derive(Clone, Debug)]
enum FileChange {
    Write(usize, Vec<u8>),
    Length(usize),
}

#[derive(Clone, Debug)]
enum NameChange {
    Put(String, usize),
    Move(String, String),
    Remove(String),
}

#[derive(Clone, Debug)]
enum Node {
    Folder { now: BTreeMap<String, usize>, durable: BTreeMap<String, usize>, changes: Vec<NameChange> },
    File { now: Vec<u8>, durable: Vec<u8>, changes: Vec<FileChange> },
}

#[derive(Debug, Default)]
struct State {
    nodes: Vec<Node>,
    /// The bytes that fit on the disk.
    capacity: Option<usize>,
    /// How many syncs of files succeed before one fails.
    syncs_left: Option<u32>,
    /// How many changes succeed before the process dies.
    changes_left: Option<u64>,
    is_dead: bool,
    syncs: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct SimDisk(Arc<Mutex<State>>, Arc<Mutex<()>>);

#[derive(Debug)]
struct SimFile {
    disk: SimDisk,
    node: usize,
}

fn apply_file(content: &mut Vec<u8>, change: &FileChange) {
    match change {
        FileChange::Write(at, bytes) => {
            content.resize(content.len().max(at + bytes.len()), 0);
            content[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        FileChange::Length(length) => content.resize(*length, 0),
    }
}

fn apply_name(names: &mut BTreeMap<String, usize>, change: &NameChange) {
    match change {
        NameChange::Put(name, node) => {
            names.insert(name.clone(), *node);
        }
        NameChange::Move(from, to) => {
            if let Some(node) = names.remove(from) {
                names.insert(to.clone(), node);
            }
        }
        NameChange::Remove(name) => {
            names.remove(name);
        }
    }
}

fn folder() -> Node {
    Node::Folder { now: BTreeMap::new(), durable: BTreeMap::new(), changes: Vec::new() }
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::of(vec![folder()])
    }
}

impl SimDisk {
    fn of(nodes: Vec<Node>) -> Self {
        Self(Arc::new(Mutex::new(State { nodes, ..State::default() })), Arc::default())
    }

    /// Lets no sync of a file end while the answer is held.
    pub(crate) fn hold_syncs(&self) -> MutexGuard<'_, ()> {
        self.1.lock().unwrap()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn set_capacity(&self, capacity: Option<usize>) {
        self.state().capacity = capacity;
    }

    pub(crate) fn fail_sync_after(&self, syncs: u32) {
        self.state().syncs_left = Some(syncs);
    }

    pub(crate) fn die_after(&self, changes: u64) {
        self.state().changes_left = Some(changes);
    }

    pub(crate) fn syncs(&self) -> u64 {
        self.state().syncs
    }

    pub(crate) fn used(&self) -> usize {
        self.state().used()
    }

    /// The disk as another process finds it after this one was killed; this one's touches fail from now on.
    pub(crate) fn killed(&self) -> Self {
        let mut state = self.state();
        state.is_dead = true;
        Self::of(state.nodes.clone())
    }

    /// The disk after a loss of power.
    pub(crate) fn without_power(&self, random: &mut SmallRng) -> Self {
        let mut state = self.state();
        state.is_dead = true;
        let mut nodes = state.nodes.clone();
        for node in &mut nodes {
            match node {
                Node::Folder { now, durable, changes } => {
                    let kept = random.random_range(0..=changes.len());
                    changes.drain(..kept).for_each(|change| apply_name(durable, &change));
                    changes.clear();
                    *now = durable.clone();
                }
                Node::File { now, durable, changes } => {
                    changes.drain(..).for_each(|change| forget(durable, &change, random));
                    *now = durable.clone();
                }
            }
        }
        Self::of(nodes)
    }

    /// The content of a file.
    pub(crate) fn content(&self, path: &Path) -> Vec<u8> {
        let state = self.state();
        let node = state.find(path).unwrap();
        match &state.nodes[node] {
            Node::File { now, .. } => now.clone(),
            Node::Folder { .. } => panic!("{} is a folder", path.display()),
        }
    }

    /// Changes a file behind the log's back, durably.
    pub(crate) fn tamper(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let node = state.find(path).unwrap();
        if let Node::File { now, durable, changes } = &mut state.nodes[node] {
            change(now);
            *durable = now.clone();
            changes.clear();
        }
    }

    /// A copy that lives on by itself.
    pub(crate) fn copy(&self) -> Self {
        Self::of(self.state().nodes.clone())
    }
}

/// What a loss of power leaves of a change that was not synced.
fn forget(content: &mut Vec<u8>, change: &FileChange, random: &mut SmallRng) {
    match (random.random_range(0..4), change) {
        (0, _) => {}
        (1, FileChange::Write(at, bytes)) => {
            // Some sectors came through; the file may have its new length all the same.
            let length = content.len().max(at + random.random_range(0..=bytes.len()));
            content.resize(length, 0);
            for begin in (0..bytes.len()).step_by(SECTOR) {
                let end = bytes.len().min(begin + SECTOR);
                if random.random_bool(0.5) {
                    apply_file(content, &FileChange::Write(at + begin, bytes[begin..end].to_vec()));
                }
            }
        }
        (2, FileChange::Write(at, bytes)) => {
            let kept = random.random_range(0..=bytes.len());
            apply_file(content, &FileChange::Write(*at, bytes[..kept].to_vec()));
        }
        _ => apply_file(content, change),
    }
}

impl State {
    fn find(&self, path: &Path) -> io::Result<usize> {
        let mut found = 0;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let Node::Folder { now, .. } = &self.nodes[found] else {
                return Err(ErrorKind::NotADirectory.into());
            };
            found = *now.get(name.to_str().unwrap()).ok_or(ErrorKind::NotFound)?;
        }
        Ok(found)
    }

    fn parent(&self, path: &Path) -> io::Result<(usize, String)> {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        Ok((self.find(path.parent().unwrap())?, name))
    }

    fn used(&self) -> usize {
        let size = |node: &Node| if let Node::File { now, .. } = node { now.len() } else { 0 };
        self.reachable(0).into_iter().map(|node| size(&self.nodes[node])).sum()
    }

    fn reachable(&self, from: usize) -> Vec<usize> {
        match &self.nodes[from] {
            Node::File { .. } => vec![from],
            Node::Folder { now, .. } => now.values().flat_map(|node| self.reachable(*node)).collect(),
        }
    }

    /// Counts a change, which may be the one at which the process dies.
    fn touch(&mut self) -> io::Result<()> {
        if self.is_dead {
            return Err(io::Error::other("the process is dead"));
        }
        if let Some(left) = &mut self.changes_left {
            if *left == 0 {
                self.is_dead = true;
                return Err(io::Error::other("the process dies"));
            }
            *left -= 1;
        }
        Ok(())
    }

    fn look(&self) -> io::Result<()> {
        if self.is_dead { Err(io::Error::other("the process is dead")) } else { Ok(()) }
    }

    fn change_names(&mut self, folder: usize, change: NameChange) {
        if let Node::Folder { now, changes, .. } = &mut self.nodes[folder] {
            apply_name(now, &change);
            changes.push(change);
        }
    }
}

impl Files for SimDisk {
    fn lock(&self, _folder: &Path) -> io::Result<FolderLock> {
        Ok(FolderLock::Held(Box::new(())))
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.touch()?;
        let mut at = 0;
        for component in path.components() {
            let Component::Normal(name) = component else { continue };
            let name = name.to_str().unwrap();
            let Node::Folder { now, .. } = &state.nodes[at] else {
                return Err(ErrorKind::NotADirectory.into());
            };
            at = match now.get(name) {
                Some(found) => *found,
                None => {
                    state.nodes.push(folder());
                    let made = state.nodes.len() - 1;
                    state.change_names(at, NameChange::Put(name.to_owned(), made));
                    made
                }
            };
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        state.look()?;
        let found = state.find(path)?;
        match &state.nodes[found] {
            Node::Folder { now, .. } => Ok(now.keys().cloned().collect()),
            Node::File { .. } => Err(ErrorKind::NotADirectory.into()),
        }
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn LogFile>> {
        let mut state = self.state();
        state.look()?;
        let node = match (state.find(path), mode) {
            (Ok(node), OpenMode::Create) => {
                state.touch()?;
                if let Node::File { now, changes, .. } = &mut state.nodes[node] {
                    now.clear();
                    changes.push(FileChange::Length(0));
                }
                node
            }
            (Err(_), OpenMode::Create) => {
                state.touch()?;
                let (folder, name) = state.parent(path)?;
                state.nodes.push(Node::File { now: Vec::new(), durable: Vec::new(), changes: Vec::new() });
                let node = state.nodes.len() - 1;
                state.change_names(folder, NameChange::Put(name, node));
                node
            }
            (found, _) => found?,
        };
        drop(state);
        Ok(Arc::new(SimFile { disk: self.clone(), node }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.touch()?;
        let (folder, name) = state.parent(from)?;
        let (other, to) = state.parent(to)?;
        assert_eq!(folder, other, "the log renames within a folder");
        state.find(from)?;
        state.change_names(folder, NameChange::Move(name, to));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.touch()?;
        state.find(path)?;
        let (folder, name) = state.parent(path)?;
        state.change_names(folder, NameChange::Remove(name));
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.remove(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.touch()?;
        let found = state.find(path)?;
        if let Node::Folder { durable, changes, .. } = &mut state.nodes[found] {
            changes.drain(..).for_each(|change| apply_name(durable, &change));
        }
        Ok(())
    }
}

impl LogFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        let state = self.disk.state();
        state.look()?;
        match &state.nodes[self.node] {
            Node::File { now, .. } => Ok(now.len() as u64),
            Node::Folder { .. } => Err(ErrorKind::IsADirectory.into()),
        }
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let state = self.disk.state();
        state.look()?;
        let Node::File { now, .. } = &state.nodes[self.node] else {
            return Err(ErrorKind::IsADirectory.into());
        };
        let rest = now.get(position as usize..).unwrap_or_default();
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let is_dying = state.touch().is_err();
        let room = state.capacity.map_or(usize::MAX, |capacity| capacity.saturating_sub(state.used()));
        let Node::File { now, changes, .. } = &mut state.nodes[self.node] else { panic!("a folder") };
        let at = position as usize;
        // Half of what does not fit, or is being written when the process dies, is there all the same.
        let grown = (at + bytes.len()).saturating_sub(now.len());
        let kept = if is_dying {
            bytes.len() / 2
        } else {
            bytes.len() - grown.saturating_sub(room).min(bytes.len())
        };
        let change = FileChange::Write(at, bytes[..kept].to_vec());
        apply_file(now, &change);
        changes.push(change);
        match (is_dying, kept < bytes.len()) {
            (true, _) => Err(io::Error::other("the process dies")),
            (false, true) => Err(ErrorKind::StorageFull.into()),
            (false, false) => Ok(()),
        }
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.touch()?;
        if let Node::File { now, changes, .. } = &mut state.nodes[self.node] {
            let change = FileChange::Length(length as usize);
            apply_file(now, &change);
            changes.push(change);
        }
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        drop(self.disk.1.lock().unwrap());
        let mut state = self.disk.state();
        state.touch()?;
        state.syncs += 1;
        let fails = match &mut state.syncs_left {
            Some(0) => true,
            Some(left) => {
                *left -= 1;
                false
            }
            None => false,
        };
        if fails {
            state.syncs_left = None;
        }
        if let Node::File { durable, changes, .. } = &mut state.nodes[self.node] {
            if fails {
                changes.clear();
                return Err(io::Error::other("input/output error"));
            }
            changes.drain(..).for_each(|change| apply_file(durable, &change));
        }
        Ok(())
    }
}
