//! Words of address assignment: modes, subnets, leases.

use std::net::Ipv4Addr;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::{Mac, Timestamp};

/// Who gives addresses, and to whom captaind answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DhcpMode {
    /// Look for other DHCP servers first: `Dynamic` where there is none, `AutoProxy` beside one.
    #[default]
    Auto,
    /// Addresses from the subnet's range, and fixed ones for machines that have one.
    Dynamic,
    /// Only machines of the inventory, only their fixed addresses.
    Reservation,
    /// Boot information beside another DHCP server, for machines of the inventory.
    Proxy,
    /// Boot information beside another DHCP server, for every netboot client.
    AutoProxy,
    /// No DHCP at all.
    Disabled,
}

impl DhcpMode {
    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Dynamic => "dynamic",
            Self::Reservation => "reservation",
            Self::Proxy => "proxy",
            Self::AutoProxy => "auto-proxy",
            Self::Disabled => "disabled",
        }
    }
}

impl std::fmt::Display for DhcpMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a machine gets that is not in the inventory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnknownMachines {
    /// Address and the default profile.
    #[default]
    Boot,
    /// An address, nothing to boot.
    LeaseOnly,
    /// Silence.
    Ignore,
}

/// One IPv4 network that addresses are given out in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subnet {
    /// The network; the prefix gives option 1.
    pub network: Ipv4Net,
    /// First and last address of the dynamic range, inclusive.
    pub range: Option<(Ipv4Addr, Ipv4Addr)>,
    /// Option 3.
    pub router: Option<Ipv4Addr>,
    /// Option 6.
    pub dns: Vec<Ipv4Addr>,
    /// Option 42.
    pub ntp: Vec<Ipv4Addr>,
    /// Options 15 and 119.
    pub domain: Option<String>,
    /// Option 51.
    pub lease_time: Duration,
    /// Whether option 61 identifies a client before its MAC does (RFC 2131 4.2); off, because option 61
    /// differs between ROM, iPXE and operating system on one machine.
    pub client_id_first: bool,
}

impl Subnet {
    /// The lease time where none is configured.
    pub const DEFAULT_LEASE: Duration = Duration::from_secs(3600);
}

/// One address, given to one machine until `expires`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Who has it.
    pub mac: Mac,
    /// Which address.
    pub address: Ipv4Addr,
    /// Until when; renewed by every ACK.
    pub expires: Timestamp,
    /// Option 61 as the client sent it, where it sent one.
    pub client_id: Option<Vec<u8>>,
    /// Option 12, printable, where the client sent one.
    pub hostname: Option<String>,
}
