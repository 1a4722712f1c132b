//! Where a server listens, as people write it: `127.0.0.1:6566`, `localhost:6566`, `[::1]:6566`, `:6566`, `6566`.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr, ToSocketAddrs},
    str::FromStr,
};

use crate::CliError;

/// The port where none is written: that of Feast's server.
const PORT: u16 = 6566;

/// A host and a port; the host is looked up by [`Address::resolve`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    host: String,
    port: u16,
}

impl Default for Address {
    fn default() -> Self {
        Self { host: Ipv4Addr::LOCALHOST.to_string(), port: PORT }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "write a host and a port, as in `127.0.0.1:6566`, `localhost:6566` or `[::1]:6566`".to_owned();
        let text = text.trim();
        if text.is_empty() || text.contains("://") || text.contains(char::is_whitespace) {
            return Err(wrong());
        }
        let default = Self::default();
        if let Ok(port) = text.parse() {
            return Ok(Self { port, ..default });
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or_else(wrong)?;
                (host, rest.strip_prefix(':').or_else(|| rest.is_empty().then_some("")))
            }
            None => match text.rsplit_once(':') {
                Some((host, _)) if host.contains(':') => return Err(wrong()),
                Some((host, port)) => (host, Some(port).filter(|port| !port.is_empty())),
                None => (text, Some("")),
            },
        };
        let port = match port.ok_or_else(wrong)? {
            "" => default.port,
            port => {
                port.parse().map_err(|_| format!("`{port}` is no port: write a number from 0 to 65535"))?
            }
        };
        let host = if host.is_empty() { default.host } else { host.to_owned() };
        Ok(Self { host, port })
    }
}

impl Address {
    /// The socket to listen on. Of a name with several addresses the first IPv4 address is taken, which every client
    /// reaches.
    pub(crate) fn resolve(&self) -> Result<SocketAddr, CliError> {
        let found = (self.host.as_str(), self.port).to_socket_addrs();
        let found: Vec<SocketAddr> = found.map(Iterator::collect).unwrap_or_default();
        let first = found.iter().find(|address| address.is_ipv4()).or_else(|| found.first());
        first.copied().ok_or_else(|| {
            let hint =
                "write an address of this machine, as in `127.0.0.1:6566` or `0.0.0.0:6566`".to_owned();
            CliError::call(format!("the host `{}` is not known", self.host), hint)
        })
    }
}
