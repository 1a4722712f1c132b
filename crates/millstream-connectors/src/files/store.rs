//! Object stores by URL, and what their errors mean.

use std::{sync::Arc, time::Duration};

use millstream_connector::ConnectorError;
use object_store::{
    ClientConfigKey, ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    http::HttpBuilder,
    local::LocalFileSystem,
};

use super::options::{Storage, StorageValue};

/// Requests that fail in a way that may pass are tried again within this time; the engine's own retries
/// come after that.
const RETRY_TIME_MAX: Duration = Duration::from_secs(30);
const RETRIES_MAX: usize = 5;

/// Which kind of store a URL's scheme names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StoreKind {
    File,
    S3,
    Gcs,
    Azure,
    Http,
}

impl StoreKind {
    pub(crate) fn of_scheme(scheme: &str) -> Option<Self> {
        Some(match scheme {
            "file" => Self::File,
            "s3" | "s3a" => Self::S3,
            "gs" => Self::Gcs,
            "az" | "azure" | "adl" | "abfs" | "abfss" => Self::Azure,
            "http" | "https" => Self::Http,
            _ => return None,
        })
    }

    /// Whether the store knows an option of this name.
    pub(crate) fn knows_option(self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        let client = name.parse::<ClientConfigKey>().is_ok();
        match self {
            Self::File => false,
            Self::S3 => client || name.parse::<AmazonS3ConfigKey>().is_ok(),
            Self::Gcs => client || name.parse::<GoogleConfigKey>().is_ok(),
            Self::Azure => client || name.parse::<AzureConfigKey>().is_ok(),
            Self::Http => client,
        }
    }
}

/// Opens the store at `base` (`s3://bucket`), with the process's environment below the given options.
pub(super) fn open_store(
    kind: StoreKind,
    base: &str,
    options: &Storage,
) -> Result<Arc<dyn ObjectStore>, ConnectorError> {
    let refused = |error: object_store::Error| ConnectorError::Options {
        message: format!("`{base}` cannot be opened: {error}"),
        hint: Some("see the options under `storage`".into()),
    };
    macro_rules! build {
        ($builder:expr, $client:path) => {{
            let mut builder = $builder.with_url(base).with_retry(retry());
            for (name, value) in options {
                let name = name.to_ascii_lowercase();
                if let Ok(key) = name.parse() {
                    builder = builder.with_config(key, value.reveal());
                } else if let Ok(key) = name.parse::<ClientConfigKey>() {
                    builder = builder.with_config($client(key), value.reveal());
                }
            }
            Arc::new(builder.build().map_err(refused)?)
        }};
    }
    Ok(match kind {
        StoreKind::File => Arc::new(LocalFileSystem::new()),
        StoreKind::S3 => {
            let plain = |(name, value): &(String, StorageValue)| {
                name.to_ascii_lowercase().ends_with("endpoint") && value.reveal().starts_with("http://")
            };
            let builder = AmazonS3Builder::from_env();
            // Whoever writes an endpoint with http:// has decided against encryption.
            let builder = if options.iter().any(plain) { builder.with_allow_http(true) } else { builder };
            build!(builder, AmazonS3ConfigKey::Client)
        }
        StoreKind::Gcs => build!(GoogleCloudStorageBuilder::from_env(), GoogleConfigKey::Client),
        StoreKind::Azure => build!(MicrosoftAzureBuilder::from_env(), AzureConfigKey::Client),
        StoreKind::Http => {
            let client = ClientOptions::new().with_allow_http(base.starts_with("http://"));
            let mut builder =
                HttpBuilder::new().with_url(base).with_retry(retry()).with_client_options(client);
            for (name, value) in options {
                if let Ok(key) = name.to_ascii_lowercase().parse() {
                    builder = builder.with_config(key, value.reveal());
                }
            }
            Arc::new(builder.build().map_err(refused)?)
        }
    })
}

/// What a store's error means for the reader of `place`.
pub(super) fn store_error(place: &str, error: object_store::Error) -> ConnectorError {
    use object_store::Error;
    let place = place.to_owned();
    match error {
        Error::Precondition { .. } | Error::NotModified { .. } => ConnectorError::Changed { part: place },
        Error::NotFound { .. } => {
            let hint = Some("look for a spelling mistake in `path`".into());
            ConnectorError::Refused { place, hint, source: Box::new(error) }
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            let hint = Some("look at the credentials under `storage` or in the environment".into());
            ConnectorError::Refused { place, hint, source: Box::new(error) }
        }
        Error::InvalidPath { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::UnknownConfigurationKey { .. } => {
            ConnectorError::Refused { place, hint: None, source: Box::new(error) }
        }
        _ => ConnectorError::Unavailable { place, retry_after: None, source: Box::new(error) },
    }
}

/// What the file system's error means for the reader of `place`.
pub(super) fn file_error(place: &str, error: std::io::Error) -> ConnectorError {
    use std::io::ErrorKind;
    let place = place.to_owned();
    let hint = match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => {
            Some("relative paths start at the project's folder; look for a spelling mistake in `path`".into())
        }
        ErrorKind::PermissionDenied => Some("the file's permissions do not let this user read it".into()),
        ErrorKind::IsADirectory | ErrorKind::InvalidInput | ErrorKind::InvalidFilename => None,
        _ => return ConnectorError::Unavailable { place, retry_after: None, source: Box::new(error) },
    };
    ConnectorError::Refused { place, hint, source: Box::new(error) }
}

fn retry() -> RetryConfig {
    RetryConfig { max_retries: RETRIES_MAX, retry_timeout: RETRY_TIME_MAX, ..RetryConfig::default() }
}
