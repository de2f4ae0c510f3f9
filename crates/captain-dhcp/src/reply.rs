//! A decision becomes a message: header fields and options, each with its reason.

use std::net::Ipv4Addr;

use captain_model::{Firmware, Identity};

use crate::boot::{Boot, Load};
use crate::decide::{BootMessage, Case, Decision};
use crate::lease_options;
use crate::recipe::Recipe;
use crate::wire::{Message, Rank, ReplyOption, Request, Response, Room, option as code, push_suboption};

/// DHCP message types (RFC 2132 section 9.6).
const OFFER: u8 = 2;
const ACK: u8 = 5;
const NAK: u8 = 6;
/// What an IP and a UDP header take of option 57's size, and of Ethernet's.
const IP_UDP: usize = 28;
/// RFC 2131 section 2: every client takes this, and option 57 may not say less.
const SMALLEST: usize = 576;
const ETHERNET: usize = 1500;
/// BOOTP's message size (RFC 951): relays and clients exist that drop shorter ones.
const BOOTP: usize = 300;

/// Collects the options of one reply.
pub(crate) struct Draft<'a> {
    pub(crate) request: &'a Request,
    pub(crate) response: Response,
}

/// The message for `decision`; `None` for silence.
pub(crate) fn compose(case: &Case<'_>, identity: Identity<'_>, decision: &Decision) -> Option<Response> {
    let request = case.request;
    let mut draft = Draft { request, response: header(request) };
    let kind = match decision {
        Decision::Offer(_) | Decision::BootOnly(BootMessage::Offer) => OFFER,
        Decision::Ack(_) | Decision::Inform | Decision::BootOnly(BootMessage::Ack) => ACK,
        Decision::Nak(_) => NAK,
        Decision::Silence(_) => return None,
    };
    if request.message != Message::Bootp {
        draft.vital(code::MESSAGE_TYPE, [kind], "");
        let id = case.server_id();
        let why = if id == case.ingress.local {
            "the interface it came in on"
        } else {
            "the relay's, by 82.11 (RFC 5107)"
        };
        draft.vital(code::SERVER_ID, id.octets(), why);
    }
    if let Some(id) = &request.client_id {
        draft.vital(code::CLIENT_ID, id.as_slice(), "echoed (RFC 6842)");
    }
    if let Some(subnet) = request.subnet {
        draft.vital(code::SUBNET, subnet.octets(), "echoed: its client takes no reply without it (RFC 3011)");
    }
    // Before the settings: among options that nobody asked for, later ones are left out first.
    if let (Boot::Load(load), false) = (&case.choice.boot, matches!(decision, Decision::Nak(_))) {
        draft.boot(load);
    }
    match decision {
        Decision::Offer(address) => draft.grant(case, identity, *address),
        Decision::Ack(address) => {
            draft.response.ciaddr = request.ciaddr;
            draft.grant(case, identity, *address);
        }
        Decision::Inform => {
            draft.response.ciaddr = request.ciaddr;
            lease_options::settings(&mut draft, case, identity);
        }
        Decision::BootOnly(BootMessage::Ack) => draft.response.ciaddr = request.ciaddr,
        Decision::Nak(why) => draft.nak(why),
        Decision::BootOnly(BootMessage::Offer) | Decision::Silence(_) => {}
    }
    Some(draft.response)
}

/// What RFC 2131 table 3 copies from the request: `xid`, `flags` (a relay that finds the broadcast flag
/// cleared sends unicast: pyke369/pdhcp#3), `giaddr`, `chaddr`, and option 82.
fn header(request: &Request) -> Response {
    let mut response = Response::new(2, request.mac, request.xid);
    response.htype = request.htype;
    response.flags = request.flags;
    response.giaddr = request.giaddr;
    response.chaddr = request.chaddr;
    response.relay = request.relay.as_ref().map(|relay| relay.raw.clone());
    response
}

/// How large the reply may be, and how it may be laid out.
pub(crate) fn room(request: &Request, firmware: Option<Firmware>) -> Room {
    let limit = match request.message {
        // Such a client has said nothing about sizes but by its own.
        Message::Bootp => request.size.clamp(BOOTP, SMALLEST - IP_UDP),
        Message::Discover | Message::Request | Message::Decline | Message::Release | Message::Inform => {
            request.max_size.map_or(SMALLEST, usize::from).clamp(SMALLEST, ETHERNET) - IP_UDP
        }
    };
    // rpi-eeprom#72: a Pi chokes on pads. Relays want the 300 bytes (opnsense/core#7744), and strip nothing.
    let pi = firmware == Some(Firmware::RaspberryPi) && !request.relayed();
    // iPXE does not know option 52 and would take the options in `file` for a name; ROMs are not trusted with it.
    let overload = firmware.is_none() && request.message != Message::Bootp;
    Room { limit, overload, pad: if pi { 0 } else { BOOTP } }
}

impl Draft<'_> {
    /// Adds an option that must be there.
    pub(crate) fn vital(&mut self, code: u8, data: impl AsRef<[u8]>, why: impl Into<String>) {
        self.push(code, data.as_ref(), Rank::Vital, why.into());
    }

    /// Adds an option that may be left out where space is short.
    pub(crate) fn extra(&mut self, code: u8, data: impl AsRef<[u8]>, why: impl Into<String>) {
        let rank = self.wish(code).map_or(Rank::Extra, Rank::Asked);
        self.push(code, data.as_ref(), rank, why.into());
    }

    /// The option's place in the client's list.
    pub(crate) fn wish(&self, code: u8) -> Option<usize> {
        self.request.parameters.as_ref()?.iter().position(|asked| *asked == code)
    }

    fn push(&mut self, code: u8, data: &[u8], rank: Rank, why: String) {
        self.response.options.push(ReplyOption { code, data: data.to_vec(), rank, why });
    }

    fn grant(&mut self, case: &Case<'_>, identity: Identity<'_>, address: Ipv4Addr) {
        self.response.yiaddr = address;
        lease_options::times(self, case);
        lease_options::settings(self, case, identity);
    }

    /// RFC 2131 section 4.3.2: through a relay the client can only be reached by broadcast.
    fn nak(&mut self, why: &str) {
        self.vital(code::TEXT, why, "");
        if self.request.relayed() {
            self.response.flags |= 0x8000;
        }
    }

    fn boot(&mut self, load: &Load) {
        self.response.siaddr = load.server;
        if let Some(class) = load.class {
            let why = load.recipe.map_or("", |recipe| recipe.why);
            self.vital(code::VENDOR_CLASS, class, format!("firmware listens only to its own class; {why}"));
        }
        if let Some(uuid) = &self.request.uuid {
            self.vital(code::UUID, uuid.as_slice(), "mirrored (PXE 2.1 table 2-2)");
        }
        self.file(load);
        let server = load.server.to_string();
        match load.recipe {
            Some(recipe) => {
                self.pxe(load, recipe);
                if recipe.no_pxedhcp {
                    self.vital(
                        code::IPXE,
                        [0xb0, 1, 1],
                        "176 no-pxedhcp: iPXE need not wait for a ProxyDHCP offer",
                    );
                }
                if recipe.server_name {
                    self.response.sname.clone_from(&server);
                    self.extra(code::TFTP_SERVER, server, "for firmware that does not read siaddr");
                }
            }
            None => self.extra(code::TFTP_SERVER, server, load.why.as_str()),
        }
    }

    /// The name goes into `file`, where old clients look, and into option 67; a longer one into 67 alone, and with no
    /// space for both one in `file` (BOOTP has 60 bytes of options).
    fn file(&mut self, load: &Load) {
        const FIELD: usize = 127;
        let Some(file) = &load.file else { return };
        let mut data = file.clone().into_bytes();
        if load.recipe.is_some_and(|recipe| recipe.nul) {
            data.push(0);
        }
        let rank = if file.len() <= FIELD { Rank::Twice } else { Rank::Vital };
        self.push(code::BOOT_FILE, &data, rank, load.why.clone());
        if rank == Rank::Twice {
            self.response.file.clone_from(file);
        }
    }

    /// Option 43 (PXE 2.1 table 2-1), where the recipe has it.
    fn pxe(&mut self, load: &Load, recipe: &Recipe) {
        if !recipe.pxe_options {
            return;
        }
        let mut data = Vec::new();
        push_suboption(&mut data, 6, &[8]);
        if recipe.pi_menu {
            push_suboption(&mut data, 9, b"\0\0\x11Raspberry Pi Boot");
        }
        if recipe.prompt {
            push_suboption(&mut data, 10, b"\0PXE");
        }
        if let Some(item) = self.request.boot_item {
            push_suboption(&mut data, 71, &item);
        }
        if let Some(vlan) = load.vlan {
            push_suboption(&mut data, 116, vlan.to_string().as_bytes());
        }
        data.push(255);
        self.vital(code::VENDOR, data, "what PXE reads");
    }
}
