//! Projects that the benches run.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::Result;

/// A source of eight columns with ten checks; `orders.py` writes the data.
pub(super) const ORDERS: &str = r#"connector: {type: files, path: "PATH"}
contract:
  columns:
    order_id:    {type: int64, required: true, unique: true}
    customer_id: {type: int64, required: true}
    amount:      {type: "decimal(12,2)", range: [0, 100000]}
    quantity:    {type: int32, range: [1, 10]}
    status:      {type: string, one_of: [paid, open, sent, returned, cancelled]}
    email:       {type: string, pattern: email}
    country:     {type: string, length: [2, 2]}
    ordered_at:  {type: timestamp, required: true}
  checks:
    - row_count: {min: 1}
  on_violation: quarantine
"#;

/// A project in a folder, written anew.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) folder: PathBuf,
}

impl Project {
    pub(super) fn new(folder: PathBuf) -> Result<Self> {
        remove(&folder)?;
        let project = Self { folder };
        project.file("millstream.yaml", "name: bench\n")?;
        Ok(project)
    }

    pub(super) fn file(&self, path: &str, text: &str) -> Result<()> {
        let path = self.folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(fs::write(path, text)?)
    }

    /// The `orders` source over the files that `pattern`, below the project, matches.
    pub(super) fn orders(&self, pattern: &str) -> Result<()> {
        self.file("sources/orders.yaml", &ORDERS.replace("PATH", pattern))
    }

    /// Puts a data file into the project without copying it.
    pub(super) fn link(&self, data: &Path, path: &str) -> Result<()> {
        let path = self.folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        Ok(fs::hard_link(data, path)?)
    }

    /// Forgets lake and state.
    pub(super) fn reset(&self) -> Result<()> {
        remove(&self.folder.join(".millstream"))
    }
}

pub(super) fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    Ok(())
}
