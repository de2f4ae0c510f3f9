//! Who is at the other end of a request.

use std::net::{IpAddr, SocketAddr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use ipnet::IpNet;

/// Both ends of a connection, put on every request by the serving loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    /// The other end, or the client that a trusted proxy names.
    pub(crate) remote: IpAddr,
    /// Ours: what the client calls us.
    pub(crate) local: IpAddr,
}

impl Ends {
    /// The ends of a connection.
    pub(crate) fn new(remote: SocketAddr, local: SocketAddr) -> Self {
        Self { remote: remote.ip(), local: local.ip() }
    }

    /// Believes `X-Forwarded-For` where the connection comes from one of `proxies`: the last address in it that
    /// is not such a proxy itself.
    pub(crate) fn through(self, proxies: &[IpNet], headers: &HeaderMap) -> Self {
        let trusted = |address: &IpAddr| is_proxy(proxies, *address);
        if !trusted(&self.remote) {
            return self;
        }
        // What a trusted hop does not name by an address ends the chain: left of it anybody may have written.
        let values: Vec<&str> =
            headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?")).collect();
        let mut remote = self.remote;
        for hop in values.iter().flat_map(|value| value.split(',')).rev() {
            let Some(address) = hop_address(hop.trim()) else { break };
            remote = address;
            if !trusted(&address) {
                break;
            }
        }
        Self { remote, ..self }
    }

    /// Whether the request comes from this very box: an operator, not a machine.
    pub(crate) fn is_own(self) -> bool {
        self.remote == self.local
    }
}

/// Whether `address` is one of `proxies`.
pub(crate) fn is_proxy(proxies: &[IpNet], address: IpAddr) -> bool {
    proxies.iter().any(|proxy| proxy.contains(&address))
}

/// An address as proxies write it: bare, `[v6]`, or either with a port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = || hop.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    hop.parse().ok().or_else(bare).or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
}

impl<S: Sync> FromRequestParts<S> for Ends {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, StatusCode> {
        parts.extensions.get().copied().ok_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_trusted_proxy_speaks_for_others() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "192.0.2.9, 192.168.50.20".parse().unwrap());
        headers.append("x-forwarded-for", "10.0.0.2".parse().unwrap());
        let proxies: [IpNet; 1] = ["10.0.0.0/8".parse().unwrap()];
        let seen = |remote: &str| {
            let ends = Ends::new(remote.parse().unwrap(), "10.0.0.1:80".parse().unwrap());
            ends.through(&proxies, &headers).remote.to_string()
        };
        assert_eq!(seen("10.0.0.3:1"), "192.168.50.20");
        assert_eq!(seen("192.0.2.1:1"), "192.0.2.1");
    }
}
