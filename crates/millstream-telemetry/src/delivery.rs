//! One message to one receiver: a POST of JSON, or a line at the end of a file.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use futures::future::BoxFuture;
use millstream_types::Secret;
use reqwest::{Client, Response, StatusCode, Url, header};

/// How long a receiver may take to be reached, and to answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const ANSWER_TIME: Duration = Duration::from_secs(10);

/// The bytes of an answer that are looked at; a longer one is as good as none.
const ANSWER_MAX: usize = 64 << 10;

/// The way to a receiver.
#[derive(Debug)]
pub struct Delivery(Way);

#[derive(Debug)]
enum Way {
    Http { client: Client, url: Url, token: Option<Secret> },
    File(PathBuf),
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    #[error("`{url}` is no address")]
    Address { url: String },
    #[error("the client for HTTP cannot be set up")]
    Client(#[source] reqwest::Error),
    #[error("`{host}` cannot be reached")]
    Unreachable {
        host: String,
        #[source]
        source: reqwest::Error,
    },
    #[error("`{host}` answers with {status}")]
    Refused {
        host: String,
        status: StatusCode,
        /// How long the receiver asks to be left alone, if it does.
        retry_after: Option<Duration>,
    },
    #[error("cannot write to `{}`", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl DeliveryError {
    /// The stable code of the error.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "MS-0776"
    }

    /// Whether the same message would be refused again, so that keeping it helps nobody. A wrong token or address may be mended.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        let Self::Refused { status, .. } = self else { return false };
        matches!(status.as_u16(), 400 | 413 | 422)
    }

    /// Whether the receiver answered, and its answer may be about this message alone, as that of a receiver which fails at it.
    /// Otherwise the receiver is away, busy, or takes nobody's messages.
    #[must_use]
    pub fn may_be_of_message(&self) -> bool {
        let Self::Refused { status, .. } = self else { return false };
        let is_of_receiver =
            matches!(status.as_u16(), 401 | 403 | 404 | 405 | 407 | 408 | 429 | 502 | 503 | 504);
        !is_of_receiver && (status.is_client_error() || status.is_server_error())
    }

    /// How long the receiver asks to be left alone; `None` where it does not say.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        if let Self::Refused { retry_after, .. } = self { *retry_after } else { None }
    }
}

impl Delivery {
    /// Messages are sent to `url` by POST, with the token if there is one.
    ///
    /// # Errors
    ///
    /// The address is none, or this build has no TLS for it.
    pub fn http(url: &str, token: Option<Secret>) -> Result<Self, DeliveryError> {
        let url = Url::parse(url).map_err(|_| DeliveryError::Address { url: url.to_owned() })?;
        let client = Client::builder()
            .connect_timeout(CONNECT_TIME)
            .timeout(ANSWER_TIME)
            // One connection is enough for messages that follow each other.
            .pool_max_idle_per_host(1)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("millstream/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(DeliveryError::Client)?;
        Ok(Self(Way::Http { client, url, token }))
    }

    /// Messages are appended to the file, each in a line, which is synced.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self(Way::File(path))
    }

    /// Hands one message over, and returns what the receiver answers, if that is short; a file answers nothing. The
    /// message was taken once this has succeeded; otherwise it may have been.
    ///
    /// # Errors
    ///
    /// The receiver is away, or refuses the message.
    pub fn deliver(&self, message: String) -> BoxFuture<'_, Result<String, DeliveryError>> {
        Box::pin(async move {
            match &self.0 {
                Way::Http { client, url, token } => post(client, url, token.as_ref(), message).await,
                Way::File(path) => {
                    let to = path.clone();
                    let written = tokio::task::spawn_blocking(move || append(&to, &message)).await;
                    let written = written.unwrap_or_else(|ended| Err(io::Error::other(ended)));
                    let failed = |source| DeliveryError::File { path: path.clone(), source };
                    written.map(|()| String::new()).map_err(failed)
                }
            }
        })
    }
}

async fn post(
    client: &Client,
    url: &Url,
    token: Option<&Secret>,
    message: String,
) -> Result<String, DeliveryError> {
    let host = || url.host_str().unwrap_or_default().to_owned();
    let mut request = client.post(url.clone()).header(header::CONTENT_TYPE, "application/json").body(message);
    if let Some(token) = token {
        request = request.bearer_auth(token.reveal());
    }
    // The address may hold a secret in its query, and the error repeats the address.
    let answered = request.send().await.map_err(reqwest::Error::without_url);
    let answer = answered.map_err(|source| DeliveryError::Unreachable { host: host(), source })?;
    let status = answer.status();
    if status.is_success() {
        return Ok(text_of(answer).await);
    }
    let retry_after = answer.headers().get(header::RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?));
    Err(DeliveryError::Refused { host: host(), status, retry_after })
}

/// The wait that a receiver asks for. Those that name an instant instead of seconds are waited for as those that name none.
pub(crate) fn wait(seconds: &str) -> Option<Duration> {
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// What the receiver says of a message that it took. An answer that ends early or is no text says nothing: the message was taken.
pub(crate) async fn text_of(mut answer: Response) -> String {
    let mut text = Vec::new();
    while let Ok(Some(piece)) = answer.chunk().await {
        if text.len() + piece.len() > ANSWER_MAX {
            return String::new();
        }
        text.extend_from_slice(&piece);
    }
    String::from_utf8(text).unwrap_or_default()
}

/// Appends a line. What a process that died has left of its last line ends before this one.
fn append(path: &Path, message: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).read(true).open(path)?;
    let mut line = String::with_capacity(message.len() + 2);
    if !ends_a_line(&mut file)? {
        line.push('\n');
    }
    line.push_str(message);
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_data()
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    use std::io::{Read, Seek, SeekFrom};
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == [b'\n'])
}
