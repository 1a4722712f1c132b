//! Bodies that are sent to a server one after the other, each answered with what became of it.

use std::time::Duration;

use futures::future::BoxFuture;
use millstream_types::Secret;
use reqwest::{Client, Url, header};

use crate::{
    DeliveryError,
    delivery::{text_of, wait},
};

/// How long the server may take to be reached, and to answer.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const ANSWER_TIME: Duration = Duration::from_secs(120);

/// The way to a server's endpoint.
#[derive(Debug)]
pub struct Poster {
    client: Client,
    url: Url,
    token: Option<Secret>,
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posted {
    pub status: u16,
    /// How long the server asks to be left alone, if it does.
    pub retry_after: Option<Duration>,
    /// The answer's body, empty where it is long or no text.
    pub text: String,
}

impl Poster {
    /// Bodies are sent to `path` of the server at `base`, with the token if there is one.
    ///
    /// # Errors
    ///
    /// The address is none.
    pub fn new(base: &str, path: &str, token: Option<Secret>) -> Result<Self, DeliveryError> {
        let address = || DeliveryError::Address { url: base.to_owned() };
        let url = Url::parse(&format!("{}{path}", base.trim_end_matches('/'))).map_err(|_| address())?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(address());
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_TIME)
            .timeout(ANSWER_TIME)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("millstream/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(DeliveryError::Client)?;
        Ok(Self { client, url, token })
    }

    /// Sends one body.
    ///
    /// # Errors
    ///
    /// The server cannot be reached, or does not answer; it may have taken the body.
    pub fn post(
        &self,
        media_type: &'static str,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    ) -> BoxFuture<'_, Result<Posted, DeliveryError>> {
        Box::pin(async move {
            let request =
                self.client.post(self.url.clone()).header(header::CONTENT_TYPE, media_type).body(body);
            let request =
                headers.into_iter().fold(request, |request, (name, value)| request.header(name, value));
            let request = match &self.token {
                Some(token) => request.bearer_auth(token.reveal()),
                None => request,
            };
            let answered = request.send().await.map_err(reqwest::Error::without_url);
            let host = self.url.host_str().unwrap_or_default().to_owned();
            let answer = answered.map_err(|source| DeliveryError::Unreachable { host, source })?;
            let retry_after =
                answer.headers().get(header::RETRY_AFTER).and_then(|value| wait(value.to_str().ok()?));
            let status = answer.status().as_u16();
            Ok(Posted { status, retry_after, text: text_of(answer).await })
        })
    }
}
