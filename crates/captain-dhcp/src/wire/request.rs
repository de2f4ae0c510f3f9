//! One request of a client, typed: past here nothing is bytes that could lie about their length.

use std::net::Ipv4Addr;

use captain_model::Mac;

/// What a client may send (RFC 2131 table 2), and the plain BOOTP request (RFC 951), which has no option 53.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Bootp,
    Discover,
    Request,
    Decline,
    Release,
    Inform,
}

impl Message {
    /// Its name in events.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bootp => "BOOTP request",
            Self::Discover => "DISCOVER",
            Self::Request => "REQUEST",
            Self::Decline => "DECLINE",
            Self::Release => "RELEASE",
            Self::Inform => "INFORM",
        }
    }
}

/// A client's message. An option that is absent, or too short for its type, is `None` or empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) message: Message,
    pub(crate) htype: u8,
    pub(crate) xid: u32,
    pub(crate) secs: u16,
    pub(crate) flags: u16,
    pub(crate) ciaddr: Ipv4Addr,
    pub(crate) giaddr: Ipv4Addr,
    pub(crate) mac: Mac,
    /// The whole field: replies carry it as it came.
    pub(crate) chaddr: [u8; 16],
    /// Bytes of the datagram: what a BOOTP client can surely take back.
    pub(crate) size: usize,
    pub(crate) requested: Option<Ipv4Addr>,
    pub(crate) server_id: Option<Ipv4Addr>,
    /// Option 55, in the client's order of preference.
    pub(crate) parameters: Option<Vec<u8>>,
    pub(crate) max_size: Option<u16>,
    pub(crate) vendor_class: Vec<u8>,
    pub(crate) client_id: Option<Vec<u8>>,
    /// Option 77: as RFC 3004 has it, and as the one raw text that iPXE sends.
    pub(crate) user_classes: Vec<Vec<u8>>,
    pub(crate) uuid: Option<Vec<u8>>,
    /// Option 93: a list.
    pub(crate) archs: Vec<u16>,
    pub(crate) ipxe: Option<Ipxe>,
    pub(crate) relay: Option<Relay>,
    /// Option 118: the subnet that the client asks for.
    pub(crate) subnet: Option<Ipv4Addr>,
    pub(crate) hostname: Option<String>,
    /// Option 43 sub-option 71 of PXE: which boot server item is asked for on port 4011.
    pub(crate) boot_item: Option<[u8; 4]>,
}

/// Option 175: what this iPXE was built with. Only hints (danderson/netboot#55).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ipxe {
    pub(crate) http: bool,
    pub(crate) bzimage: bool,
    pub(crate) efi: bool,
}

/// Option 82.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Relay {
    /// All of it, to be echoed byte for byte.
    pub(crate) raw: Vec<u8>,
    /// Sub-option 5: an address in the client's subnet (RFC 3527).
    pub(crate) link: Option<Ipv4Addr>,
    /// Sub-option 11: what the client is to take for our address (RFC 5107).
    pub(crate) server: Option<Ipv4Addr>,
    /// Sub-option 19: replies go to the port that the relay sent from (RFC 8357).
    pub(crate) source_port: bool,
}

impl Request {
    /// The broadcast flag (RFC 2131 figure 2).
    pub(crate) const fn wants_broadcast(&self) -> bool {
        self.flags & 0x8000 != 0
    }

    /// Whether a relay stands between: option 82 means nothing without one (RFC 3046 section 2.1).
    pub(crate) const fn relayed(&self) -> bool {
        !self.giaddr.is_unspecified()
    }

    /// Option 82, where it is to be believed.
    pub(crate) fn trusted_relay(&self) -> Option<&Relay> {
        self.relay.as_ref().filter(|_| self.relayed())
    }
}
