//! Where to listen, who may ask, and how much.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use millstream_telemetry::Metrics;

use crate::{
    error::ServerError,
    principal::{Scope, Token, TokenGrant, Tokens},
    tls::TlsFiles,
};

/// How the server is run.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// The address to listen on. Port 0 picks a free port.
    pub address: SocketAddr,
    /// The token of `admin`, who may do everything. Any address but a loopback one needs this token or one of `tokens`. Where
    /// the server has a token, each request has to carry one that it knows.
    pub token: Option<Token>,
    /// The tokens of all others than `admin`.
    pub tokens: Vec<TokenGrant>,
    pub limits: Limits,
    pub feast_compat: FeastCompat,
    /// The certificate with which connections are secured; `None` for plain HTTP.
    pub tls: Option<TlsFiles>,
    /// The figures that requests are counted in and that `/metrics` shows; `None` where none are kept.
    pub metrics: Option<Arc<Metrics>>,
    /// Whether `/metrics` needs no token. Only on a loopback address.
    pub open_metrics: bool,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 6566)),
            token: None,
            tokens: Vec::new(),
            limits: Limits::default(),
            feast_compat: FeastCompat::default(),
            tls: None,
            metrics: None,
            open_metrics: false,
        }
    }
}

impl ServerOptions {
    /// Fewer characters than this can be guessed.
    const SHORTEST_TOKEN: usize = 16;

    /// Whether a server may be run like this.
    ///
    /// # Errors
    ///
    /// The address is open to other machines and there is no token, or figures are to be open to them; or a token is too short, or two have one name.
    pub fn validate(&self) -> Result<(), ServerError> {
        let grants = self.grants().0;
        if grants.is_empty() && !self.address.ip().is_loopback() {
            return Err(ServerError::TokenNeeded { address: self.address });
        }
        if self.open_metrics && !self.address.ip().is_loopback() {
            return Err(ServerError::OpenMetrics { address: self.address });
        }
        let mut names = HashSet::new();
        for TokenGrant { name, token, .. } in grants {
            match token.length {
                Some(found) if found < Self::SHORTEST_TOKEN => {
                    return Err(ServerError::WeakToken { name, found, needed: Self::SHORTEST_TOKEN });
                }
                _ if !names.insert(name.clone()) => return Err(ServerError::TwoTokens { name }),
                _ => {}
            }
        }
        Ok(())
    }

    /// All tokens, that of `admin` first.
    pub(crate) fn grants(&self) -> Tokens {
        let admin =
            |token: &Token| TokenGrant { name: ADMIN.to_owned(), scope: Scope::Admin, token: token.clone() };
        Tokens(self.token.iter().map(admin).chain(self.tokens.iter().cloned()).collect())
    }
}

/// Whose the one token is that may do everything.
const ADMIN: &str = "admin";

/// Bounds of what one client, and all of them together, can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes of one request's body.
    pub body_bytes: usize,
    /// The most bytes of all bodies together that are being read or answered.
    pub buffered_bytes: usize,
    /// The most rows of one request.
    pub rows: usize,
    /// The most values of one request: its rows times its features.
    pub values: usize,
    /// The most bytes of the values of one answer.
    pub answer_bytes: usize,
    /// The most rows that a query answers with; further ones are cut off.
    pub query_rows: usize,
    /// The most bytes that a query's rows take in memory; rows beyond them are cut off.
    pub query_bytes: usize,
    /// The time that a request's body has to arrive, and then the time that the request's endpoint has to answer.
    pub request_time: Duration,
    /// The time that work which may go through whole tables has: a job, or an endpoint that waits for one.
    pub job_time: Duration,
    /// A connection on which nothing is sent back for this long (beyond the request's own time) is closed: idle ones, and those
    /// whose headers only trickle in.
    pub idle_time: Duration,
    /// The most connections that are open at the same time; further ones wait.
    pub connections: usize,
    /// The most requests that run at the same time; further ones are told to come back.
    pub concurrent_requests: usize,
    /// The time that running requests and jobs have to finish when the server stops.
    pub shutdown_time: Duration,
    /// The time that running queries have to finish when the server stops, but no longer than `shutdown_time`: a query is
    /// easily asked again.
    pub query_shutdown_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            buffered_bytes: 256 << 20,
            rows: 100_000,
            values: 5_000_000,
            answer_bytes: 256 << 20,
            query_rows: 100_000,
            query_bytes: 64 << 20,
            request_time: Duration::from_secs(30),
            job_time: Duration::from_secs(6 * 3600),
            idle_time: Duration::from_secs(75),
            connections: 4_096,
            concurrent_requests: 1_024,
            shutdown_time: Duration::from_secs(10),
            query_shutdown_time: Duration::from_millis(500),
        }
    }
}

/// How closely Feast's paths follow Feast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeastCompat {
    /// Feast's contract with true statuses, and 4xx for mistakes of the client.
    #[default]
    Correct,
    /// Feast's quirks too: nulls are `PRESENT`, and most mistakes of the client are answered with 500.
    Strict,
}
