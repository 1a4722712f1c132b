//! Where to listen, who may ask, and how much.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use crate::{
    error::ServerError,
    principal::{Scope, Token, TokenGrant, Tokens},
};

/// How the server is run.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Port 0 picks a free one.
    pub address: SocketAddr,
    /// The token of `admin`, who may do everything. Any address but a loopback one needs this or one of `tokens`; where
    /// there is one, each request has to carry it or another.
    pub token: Option<Token>,
    /// The tokens of others.
    pub tokens: Vec<TokenGrant>,
    pub limits: Limits,
    pub feast_compat: FeastCompat,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 6566)),
            token: None,
            tokens: Vec::new(),
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
    /// The address is open to other machines and there is no token; or a token is too short, or two have one name.
    pub fn validate(&self) -> Result<(), ServerError> {
        let grants = self.grants().0;
        if grants.is_empty() && !self.address.ip().is_loopback() {
            return Err(ServerError::TokenNeeded { address: self.address });
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
