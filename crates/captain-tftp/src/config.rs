//! [`EngineConfig`]: what may be set.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

/// How the engine serves. The defaults suit boot firmware on an Ethernet.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Where requests are taken. Port 0 takes a free one.
    pub listen: SocketAddrV4,
    /// Only from this network interface (`SO_BINDTODEVICE`).
    pub interface: Option<String>,
    /// Largest block in bytes that a client is granted (RFC 2348); the path's MTU less 32 bounds it as well.
    pub block_size: u16,
    /// Largest window in blocks that a client is granted (RFC 7440).
    pub window_size: u16,
    /// Replies come from the listening port itself, for clients behind firewalls that know nothing of TFTP.
    pub single_port: bool,
    /// Transfers at a time.
    pub max_transfers: usize,
    /// Transfers at a time for one client address.
    pub max_per_client: usize,
    /// How often the same datagrams are sent again before a transfer fails.
    pub retries: u32,
    /// A transfer fails when its client acknowledged nothing new, or its file gave nothing, for this long.
    pub idle: Duration,
    /// How long running transfers may go on after shutdown began.
    pub drain: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 69),
            interface: None,
            // 1500 (Ethernet) - 20 (IPv4) - 8 (UDP) - 4 (TFTP).
            block_size: 1468,
            window_size: 16,
            single_port: false,
            max_transfers: 2048,
            max_per_client: 64,
            retries: 5,
            idle: Duration::from_secs(120),
            drain: Duration::from_secs(10),
        }
    }
}
