//! What happened: the one stream that the timeline, the log, the metrics and the web page are views of.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{Arch, BootId, BootStage, DhcpMode, Firmware, Mac, Timestamp};

/// Something that happened, when, and to whom.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Which machine, where that is known.
    pub mac: Option<Mac>,
    /// Which boot of it; filled in by the timeline.
    pub boot: Option<BootId>,
    /// What.
    #[serde(flatten)]
    pub kind: EventKind,
}

impl Event {
    /// An event of `mac` that belongs to no boot yet.
    pub fn new(at: Timestamp, mac: impl Into<Option<Mac>>, kind: EventKind) -> Self {
        Self { at, mac: mac.into(), boot: None, kind }
    }
}

/// What happened. Serialised with the tag `event`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum EventKind {
    /// A DHCP reply went out.
    DhcpReply {
        /// `offer`, `ack` or `nak`.
        message: String,
        /// The address given, where one was.
        address: Option<Ipv4Addr>,
        /// What asked, where it was a netboot client.
        firmware: Option<Firmware>,
        /// Its CPU, where it said so.
        arch: Option<Arch>,
        /// The boot file named in the reply.
        file: Option<String>,
        /// Seconds since the client began, by its own count (`secs`): large ones tell of spanning tree.
        secs: u16,
    },
    /// A datagram got no answer, and why.
    Ignored {
        /// Why; see [`Ignored`].
        why: String,
    },
    /// The client gave its address back.
    LeaseReleased {
        /// Which.
        address: Ipv4Addr,
    },
    /// The client found its address in use; it is on probation.
    LeaseDeclined {
        /// Which.
        address: Ipv4Addr,
    },
    /// Somebody uses the address of a machine: one that is fixed for it and was offered nonetheless, or one that it had
    /// accepted before this was found out.
    AddressInUse {
        /// Which.
        address: Ipv4Addr,
        /// Who uses it, where that is known.
        by: Option<Mac>,
    },
    /// It was found out whether there is another DHCP server, or that has changed (mode `auto`).
    DhcpMode {
        /// The mode that is served in now; `auto` while that is not known.
        mode: DhcpMode,
        /// Why.
        why: String,
    },
    /// A machine may not netboot, and was told so.
    NetbootRefused {
        /// Why.
        why: String,
    },
    /// A TFTP transfer was completed.
    TftpDone {
        /// File name as asked.
        file: String,
        /// Bytes sent.
        bytes: u64,
        /// Milliseconds it took.
        millis: u64,
    },
    /// The client asked for the size and ended the transfer on purpose (EDK2 does; not a failure).
    TftpProbe {
        /// File name as asked.
        file: String,
    },
    /// A TFTP transfer failed.
    TftpFailed {
        /// File name as asked.
        file: String,
        /// Why.
        why: String,
    },
    /// An HTTP request of a machine was answered.
    Http {
        /// GET or HEAD.
        method: String,
        /// Path as asked.
        path: String,
        /// Status code.
        status: u16,
        /// Body bytes sent.
        bytes: u64,
        /// Milliseconds it took.
        millis: u64,
        /// Whether the last byte of what was asked for was sent, which a HEAD or a broken-off transfer never does.
        #[serde(default)]
        complete: bool,
    },
    /// A boot reached a stage.
    Stage {
        /// Which.
        stage: BootStage,
    },
    /// The OSIE told what it is doing.
    Report {
        /// Its own word, such as `userland`, `agent-pull`.
        step: String,
        /// Free text.
        detail: String,
    },
    /// The agent runs: with these arguments and these environment variables (secrets as `***`).
    AgentStarted {
        /// Argument vector without the program's name.
        args: Vec<String>,
        /// Environment.
        env: BTreeMap<String, String>,
    },
    /// A boot stopped.
    Failed {
        /// In which stage it stopped: the last one it reached.
        stage: BootStage,
        /// Why, as far as it can be told.
        why: String,
    },
    /// The OSIE reported that its work is done (`boot = "until-done"` is settled).
    Done,
}

/// Why a datagram got no answer: silence is a value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Ignored {
    /// Not a BOOTP/DHCP request at all.
    #[error("not a DHCP request: {0}")]
    Malformed(String),
    /// DHCP is switched off.
    #[error("DHCP is disabled")]
    Disabled,
    /// A reply of another server.
    #[error("not a request")]
    NotARequest,
    /// Not in the inventory, and such machines are ignored in this mode.
    #[error("machine is not in the inventory")]
    UnknownMachine,
    /// In proxy modes only netboot clients are answered.
    #[error("not a netboot client: {0}")]
    NotNetboot(String),
    /// The request is meant for another DHCP server.
    #[error("meant for server {0}")]
    OtherServer(Ipv4Addr),
    /// No subnet is configured for where the request came from.
    #[error("no subnet is configured for {0}")]
    NoSubnet(Ipv4Addr),
    /// The range has no free address.
    #[error("no free address in {0}")]
    PoolExhausted(String),
    /// The machine has no fixed address, which the mode `reservation` needs.
    #[error("machine has no fixed address")]
    NoReservation,
    /// We have no record of the client and are not to speak for the network (RFC 2131 section 4.3.2).
    #[error("no record of this client")]
    NoRecord,
    /// A message that needs no answer.
    #[error("{0} needs no answer")]
    NoAnswer(&'static str),
    /// Nothing that could boot this architecture.
    #[error("no boot loader for architecture {0}")]
    UnsupportedArch(String),
    /// The machine must not netboot and its local boot way is silence.
    #[error("netboot is refused: {0}")]
    Refused(String),
    /// A reply that would have to be cut short is not sent.
    #[error("no reply can be made: {0}")]
    Unanswerable(String),
}
