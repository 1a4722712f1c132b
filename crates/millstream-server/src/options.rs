//! Where to listen, who may ask, and how much.

use std::{
    fmt,
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::error::ServerError;

/// How the server is run.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Port 0 picks a free one.
    pub address: SocketAddr,
    /// Needed for any address but a loopback one; asked for wherever it is set.
    pub token: Option<Token>,
    pub limits: Limits,
    pub feast_compat: FeastCompat,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 6566)),
            token: None,
            limits: Limits::default(),
            feast_compat: FeastCompat::default(),
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
    /// The address is open to other machines and there is no token, or the token is too short.
    pub fn validate(&self) -> Result<(), ServerError> {
        match &self.token {
            None if !self.address.ip().is_loopback() => {
                Err(ServerError::TokenNeeded { address: self.address })
            }
            Some(token) if token.0.len() < Self::SHORTEST_TOKEN => {
                Err(ServerError::WeakToken { found: token.0.len(), needed: Self::SHORTEST_TOKEN })
            }
            _ => Ok(()),
        }
    }
}

/// A secret that requests have to carry. It does not print itself.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        Self(token.into())
    }

    /// Compares in a time that does not tell how much of `other` was right.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        let (own, other) = (self.0.as_bytes(), black_box(other));
        // Every byte of the own token takes part, whatever came: only the length of the sent one shows in the time.
        let compared = own.iter().zip(other.iter().chain(std::iter::repeat(&0)));
        let difference = compared.fold(0, |sum, (left, right)| sum | black_box(left ^ right));
        black_box(difference) == 0 && own.len() == other.len()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// Bounds of what one client, and all of them together, can ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one body.
    pub body_bytes: usize,
    /// Bytes of all bodies that are being read or answered.
    pub buffered_bytes: usize,
    /// Rows of one request.
    pub rows: usize,
    /// Rows times features of one request.
    pub values: usize,
    /// Bytes of the values of one answer.
    pub answer_bytes: usize,
    /// Rows that a query answers with.
    pub query_rows: usize,
    /// Bytes that these rows take in memory.
    pub query_bytes: usize,
    /// From the first byte of a request to the first byte of its answer.
    pub request_time: Duration,
    /// The same for materialising, which goes through whole tables.
    pub job_time: Duration,
    /// A connection on which nothing is sent back for this long (beyond the request's own time) is closed: idle ones, and those
    /// whose headers only trickle in.
    pub idle_time: Duration,
    /// Open connections; further ones wait.
    pub connections: usize,
    /// Requests that run at the same time; further ones are told to come back.
    pub concurrent_requests: usize,
    /// Time that running requests and jobs have to finish when the server stops.
    pub shutdown_time: Duration,
    /// The same for queries, which are easily asked again.
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
