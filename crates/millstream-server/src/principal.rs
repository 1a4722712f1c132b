//! Who asks, and what they may do.

use std::{fmt, hint::black_box};

use sha2::{Digest, Sha256};

use crate::error::{ApiError, ErrorKind};

/// What a principal may do. Each scope includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Read features, rows, datasets, and what is known of assets, runs and jobs.
    Read,
    /// Push rows, and start and end jobs of one's own.
    Write,
    /// End the jobs of others too.
    Admin,
}

impl Scope {
    #[must_use]
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// Who sent a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) name: String,
    pub(crate) scope: Scope,
}

impl Principal {
    /// A program of this machine, at a server without tokens.
    pub(crate) fn local() -> Self {
        Self { name: "local".to_owned(), scope: Scope::Admin }
    }

    /// The refusal of what needs a wider scope.
    pub(crate) fn lacks(&self, scope: Scope) -> ApiError {
        let (needed, has) = (scope.as_str(), self.scope.as_str());
        let message = format!("`{}` has the scope {has}, and this needs {needed}", self.name);
        ApiError::new(ErrorKind::Forbidden, message)
    }
}

/// A secret that requests carry, of which only the hash is kept. It does not print itself.
#[derive(Clone)]
pub struct Token {
    digest: [u8; 32],
    /// The number of bytes of the secret; none where only its hash is known.
    pub(crate) length: Option<usize>,
}

impl Token {
    #[must_use]
    pub fn new(token: impl Into<String>) -> Self {
        let token = token.into();
        Self { digest: digest(token.as_bytes()), length: Some(token.len()) }
    }

    /// The token with this SHA-256.
    #[must_use]
    pub fn of_digest(digest: [u8; 32]) -> Self {
        Self { digest, length: None }
    }

    /// Compares in a time that does not tell how much of `other` was right.
    #[must_use]
    pub fn matches(&self, other: &[u8]) -> bool {
        self.is_of(&digest(other))
    }

    /// Compares hashes, every byte of them.
    pub(crate) fn is_of(&self, other: &[u8; 32]) -> bool {
        let pairs = self.digest.iter().zip(black_box(other));
        let difference = pairs.fold(0, |sum, (left, right)| sum | black_box(left ^ right));
        black_box(difference) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// A token, whose it is, and what it is good for.
#[derive(Clone, Debug)]
pub struct TokenGrant {
    /// The name of whoever uses the token, as jobs, runs and the log tell it.
    pub name: String,
    pub scope: Scope,
    pub token: Token,
}

/// All tokens of a server.
#[derive(Clone, Debug)]
pub(crate) struct Tokens(pub(crate) Vec<TokenGrant>);

impl Tokens {
    /// Whose the secret is. All tokens are compared, whichever fits: the time tells nothing of them.
    pub(crate) fn owner(&self, secret: &[u8]) -> Option<Principal> {
        let digest = digest(secret);
        let fitting = self.0.iter().fold(
            None,
            |found, grant| {
                if grant.token.is_of(&digest) { Some(grant) } else { found }
            },
        );
        fitting.map(|grant| Principal { name: grant.name.clone(), scope: grant.scope })
    }
}

fn digest(secret: &[u8]) -> [u8; 32] {
    Sha256::digest(secret).into()
}
