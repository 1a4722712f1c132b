//! Where the lake lives: an absolute folder, or a bucket behind `object_store`.
//!
//! Nothing global is registered and no vendor SDK is linked. All four stores put a file only if it is absent, which is
//! what a commit needs.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use datafusion::{datasource::object_store::ObjectStoreUrl, execution::runtime_env::RuntimeEnv};
use millstream_types::TableName;
use object_store::{
    ObjectStore, aws::AmazonS3ConfigKey, azure::AzureConfigKey, gcp::GoogleConfigKey, local::LocalFileSystem,
    path::Path as ObjectPath,
};
use url::Url;

use crate::{
    error::{LakeError, Result},
    metered::Metered,
};

/// The folder of a table that holds its commits.
pub(crate) const LOG_FOLDER: &str = "_delta_log";

pub(crate) struct Storage {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The lake's root, with a trailing slash.
    url: Url,
    /// The lake's root inside `store`.
    prefix: ObjectPath,
    /// The lake's folder when it is on this machine's file system.
    pub(crate) local: Option<PathBuf>,
    /// Whether the root is itself the folder of the only table.
    is_table: bool,
    /// The runtime on which uploads run, so that a blocked caller can never starve them; a lake in a local folder has
    /// none.
    pub(crate) uploads: Option<Uploads>,
}

/// A small runtime of its own for uploads; shut down without waiting, because a lake may be dropped
/// inside another runtime.
pub(crate) struct Uploads(Option<tokio::runtime::Runtime>);

impl Uploads {
    fn new(location: &str) -> Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("lake-upload")
            .enable_all()
            .build()
            .map(|runtime| Self(Some(runtime)))
            .map_err(|error| LakeError::io("start uploads for", location, error))
    }

    pub(crate) fn handle(&self) -> Option<&tokio::runtime::Handle> {
        self.0.as_ref().map(tokio::runtime::Runtime::handle)
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Storage {
    /// Shows only the address, because options hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Storage").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl Storage {
    pub(crate) fn open(location: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        if location.contains("://") {
            Self::remote(location, options)
        } else {
            Self::local(location, options)
        }
    }

    /// A storage on any store, for tests that inject faults: `url` names the store, and its path is the lake's root.
    pub(crate) fn with_store(url: &str, store: Arc<dyn ObjectStore>) -> Result<Self> {
        let url = parse_url(url)?;
        let prefix =
            ObjectPath::from_url_path(url.path()).map_err(|error| bad_location(url.as_str(), &error))?;
        let uploads = Some(Uploads::new(url.as_str())?);
        Ok(Self { store: Metered::over(store), prefix, local: None, is_table: false, uploads, url })
    }

    fn local(location: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        let folder = Path::new(location);
        if !folder.is_absolute() {
            return Err(bad_location(location, &"a folder has to be absolute"));
        }
        if let Some(key) = options.keys().next() {
            return Err(bad_location(location, &format!("a folder has no storage option `{key}`")));
        }
        let url = Url::from_directory_path(folder).map_err(|()| bad_location(location, &"not a path"))?;
        let prefix =
            ObjectPath::from_absolute_path(folder).map_err(|error| bad_location(location, &error))?;
        let store = Metered::over(Arc::new(LocalFileSystem::new()));
        Ok(Self { store, url, prefix, local: Some(folder.to_owned()), is_table: false, uploads: None })
    }

    /// A storage of one table, whose folder is the root.
    pub(crate) fn of_table(folder: &Path) -> Result<Self> {
        let storage = Self::local(&folder.to_string_lossy(), &BTreeMap::new())?;
        Ok(Self { is_table: true, ..storage })
    }

    fn remote(location: &str, options: &BTreeMap<String, String>) -> Result<Self> {
        let url = parse_url(location)?;
        let vendor = Vendor::of(&url).ok_or_else(|| {
            bad_location(
                location,
                &format!("`{}` is not a kind of store Millstream can commit to", url.scheme()),
            )
        })?;
        if let Some(key) = options.keys().find(|key| !vendor.knows(key)) {
            return Err(bad_location(location, &format!("unknown storage option `{key}`")));
        }
        let mut merged = vendor.environment();
        merged.extend(options.iter().map(|(key, value)| (key.to_ascii_lowercase(), value.clone())));
        let (store, prefix) =
            object_store::parse_url_opts(&url, merged).map_err(|error| bad_location(location, &error))?;
        let uploads = Some(Uploads::new(location)?);
        let store = Metered::over(Arc::from(store));
        Ok(Self { store, prefix, local: None, is_table: false, uploads, url })
    }

    /// The part of the address that names the store, as DataFusion registers it.
    pub(crate) fn store_url(&self) -> Result<ObjectStoreUrl> {
        let root = &self.url[..url::Position::BeforePath];
        ObjectStoreUrl::parse(root).map_err(|error| bad_location(self.url.as_str(), &error))
    }

    pub(crate) fn register(&self, environment: &RuntimeEnv) -> Result<()> {
        let url = self.store_url()?;
        environment.register_object_store(url.as_ref(), self.store.clone());
        Ok(())
    }

    pub(crate) fn root(&self) -> &ObjectPath {
        &self.prefix
    }

    pub(crate) fn table_path(&self, table: &TableName) -> ObjectPath {
        let below = self.below(table).into_iter();
        below.fold(self.prefix.clone(), |path, folder| path.join(folder))
    }

    pub(crate) fn log_path(&self, table: &TableName) -> ObjectPath {
        self.table_path(table).join(LOG_FOLDER)
    }

    /// Where a data file is. Names that other writers chose stay as they are: joining would encode `#` and `%`.
    pub(crate) fn file_path(&self, table: &TableName, file: &str) -> ObjectPath {
        let folder = self.table_path(table);
        ObjectPath::parse(format!("{folder}/{file}"))
            .unwrap_or_else(|_| file.split('/').fold(folder, |path, part| path.join(part)))
    }

    pub(crate) fn table_folder(&self, table: &TableName) -> Option<PathBuf> {
        let root = self.local.clone()?;
        Some(self.below(table).into_iter().fold(root, |path, folder| path.join(folder)))
    }

    /// The folders from the root to the table's own.
    fn below<'a>(&self, table: &'a TableName) -> Vec<&'a str> {
        if self.is_table { Vec::new() } else { vec![table.schema(), table.name()] }
    }
}

#[derive(Clone, Copy)]
enum Vendor {
    Amazon,
    Google,
    Azure,
}

impl Vendor {
    fn of(url: &Url) -> Option<Self> {
        match url.scheme() {
            "s3" | "s3a" => Some(Self::Amazon),
            "gs" => Some(Self::Google),
            "az" | "azure" | "abfs" | "abfss" | "adl" => Some(Self::Azure),
            _ => None,
        }
    }

    fn knows(self, key: &str) -> bool {
        let key = key.to_ascii_lowercase();
        match self {
            Self::Amazon => AmazonS3ConfigKey::from_str(&key).is_ok(),
            Self::Google => GoogleConfigKey::from_str(&key).is_ok(),
            Self::Azure => AzureConfigKey::from_str(&key).is_ok(),
        }
    }

    /// What the process environment says about this vendor (`AWS_ENDPOINT`, …); the project's own options win.
    /// Credentials are handed to processes this way by every cloud, so this place reads the environment.
    #[allow(clippy::disallowed_methods)]
    fn environment(self) -> BTreeMap<String, String> {
        let prefix = match self {
            Self::Amazon => "aws_",
            Self::Google => "google_",
            Self::Azure => "azure_",
        };
        std::env::vars_os()
            .filter_map(|(key, value)| {
                Some((key.into_string().ok()?.to_ascii_lowercase(), value.into_string().ok()?))
            })
            .filter(|(key, _)| key.starts_with(prefix) && self.knows(key))
            .collect()
    }
}

fn parse_url(location: &str) -> Result<Url> {
    let slash = if location.ends_with('/') { "" } else { "/" };
    Url::parse(&format!("{location}{slash}")).map_err(|error| bad_location(location, &error))
}

/// The error for an address, without the password that someone may have put into the address.
fn bad_location(location: &str, reason: &dyn fmt::Display) -> LakeError {
    let location = match Url::parse(location) {
        Ok(mut url) if url.password().is_some() => {
            // A URL that has a password has a host, so this cannot fail.
            let _ = url.set_password(None);
            url.to_string()
        }
        _ => location.to_owned(),
    };
    LakeError::Location { location, reason: reason.to_string() }
}
