//! Capture file -> the datagrams that came to a DHCP server's ports.
//!
//! pcap and pcapng, Ethernet (also VLAN-tagged) and Linux cooked captures (`tcpdump -i any`). A file that was cut
//! off gives what is whole in it.

use std::fmt;
use std::io::Read;
use std::net::SocketAddrV4;

use captain_dhcp::Port;
use captain_model::Timestamp;
use etherparse::{EtherType, LaxNetSlice, LaxSlicedPacket, LenSource, TransportSlice};
use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, Linktype, PcapBlockOwned, PcapError};

/// Largest record that is read, bytes: tcpdump's own snapshot length and its head.
const LARGEST: usize = 512 * 1024;
/// <https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html>, which `pcap_parser` has no name for.
const LINUX_SLL2: Linktype = Linktype(276);

/// A datagram to port 67 or 4011.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Datagram {
    pub(crate) at: Timestamp,
    pub(crate) source: SocketAddrV4,
    pub(crate) destination: SocketAddrV4,
    pub(crate) port: Port,
    pub(crate) payload: Vec<u8>,
    /// The capture holds only its beginning.
    pub(crate) cut: bool,
}

/// What a capture holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Capture {
    pub(crate) datagrams: Vec<Datagram>,
    /// Packets of other kinds.
    pub(crate) others: usize,
    /// What was left out, and why, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// The file is not a capture.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NoCapture;

impl fmt::Display for NoCapture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "this is no pcap or pcapng file: make one with `tcpdump -w FILE port 67 or port 4011`, or convert what \
             you have with `editcap -F pcap`",
        )
    }
}

/// Reads a capture to its end, or to where it is damaged.
///
/// # Errors
/// The file is not a capture at all.
pub(crate) fn read(file: impl Read + Send) -> Result<Capture, NoCapture> {
    let mut reader = pcap_parser::create_reader(LARGEST, file).map_err(|_| NoCapture)?;
    let mut walk = Walk::default();
    loop {
        let hungry = match reader.next() {
            Ok((length, block)) => {
                walk.block(&block);
                reader.consume(length);
                continue;
            }
            Err(PcapError::Eof) => return Ok(walk.capture),
            Err(error) => matches!(error, PcapError::Incomplete(_)),
        };
        if !hungry || reader.refill().is_err() {
            walk.note("the file ends within a packet or is damaged: the rest of it is left out".to_owned());
            return Ok(walk.capture);
        }
    }
}

/// The clock and the wire of one interface of the capture.
#[derive(Clone, Copy)]
struct Wire {
    link: Linktype,
    /// Ticks of its clock in a second.
    ticks: u64,
    /// Seconds to be added.
    offset: i64,
}

#[derive(Default)]
struct Walk {
    capture: Capture,
    wires: Vec<Wire>,
}

impl Walk {
    fn note(&mut self, sentence: String) {
        if !self.capture.notes.contains(&sentence) {
            self.capture.notes.push(sentence);
        }
    }

    fn block(&mut self, block: &PcapBlockOwned<'_>) {
        match block {
            PcapBlockOwned::LegacyHeader(header) => {
                let ticks = if header.is_nanosecond_precision() { 1_000_000_000 } else { 1_000_000 };
                self.wires = vec![Wire { link: header.network, ticks, offset: 0 }];
            }
            PcapBlockOwned::Legacy(packet) => {
                let Some(wire) = self.wires.first().copied() else { return };
                let ticks = u64::from(packet.ts_sec) * wire.ticks + u64::from(packet.ts_usec);
                self.packet(wire, ticks, packet.data, packet.origlen > packet.caplen);
            }
            PcapBlockOwned::NG(block) => self.next_generation(block),
        }
    }

    fn next_generation(&mut self, block: &Block<'_>) {
        match block {
            Block::SectionHeader(_) => self.wires.clear(),
            Block::InterfaceDescription(interface) => self.wires.push(Wire {
                link: interface.linktype,
                ticks: interface.ts_resolution().unwrap_or(1_000_000),
                offset: interface.ts_offset(),
            }),
            Block::EnhancedPacket(packet) => {
                let Some(wire) = self.wires.get(packet.if_id as usize).copied() else {
                    return self
                        .note("a packet names an interface that the file does not describe".to_owned());
                };
                let ticks = u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low);
                self.packet(wire, ticks, packet.packet_data(), packet.truncated());
            }
            // A simple packet has no time; nobody who captures DHCP writes those.
            _ => {}
        }
    }

    fn packet(&mut self, wire: Wire, ticks: u64, frame: &[u8], cut: bool) {
        let Some(sliced) = self.slice(wire.link, frame) else { return };
        let at = Timestamp::from_millis(milliseconds(wire, ticks));
        match datagram(&sliced) {
            Found::Datagram { source, destination, port, payload, short } => {
                let payload = payload.to_vec();
                let datagram = Datagram { at, source, destination, port, payload, cut: cut || short };
                self.capture.datagrams.push(datagram);
            }
            Found::Fragment => {
                self.note("IP fragments are left out: they are not put together here".to_owned());
            }
            Found::Other => self.capture.others += 1,
        }
    }

    fn slice<'a>(&mut self, link: Linktype, frame: &'a [u8]) -> Option<LaxSlicedPacket<'a>> {
        let cooked = |protocol: usize, payload: usize| {
            let ether_type = frame.get(protocol..protocol + 2)?.try_into().ok()?;
            let ether_type = EtherType(u16::from_be_bytes(ether_type));
            Some(LaxSlicedPacket::from_ether_type(ether_type, frame.get(payload..)?))
        };
        match link {
            Linktype::ETHERNET => LaxSlicedPacket::from_ethernet(frame).ok(),
            Linktype::LINUX_SLL => cooked(14, 16),
            LINUX_SLL2 => cooked(0, 20),
            other => {
                self.note(format!(
                    "packets of link type {} are left out: capture on an Ethernet interface or on `any`",
                    other.0
                ));
                None
            }
        }
    }
}

/// Since the epoch.
fn milliseconds(wire: Wire, ticks: u64) -> u64 {
    let per_second = u128::from(wire.ticks.max(1));
    let since = u64::try_from(u128::from(ticks) * 1000 / per_second).unwrap_or(u64::MAX);
    since.saturating_add_signed(wire.offset.saturating_mul(1000))
}

enum Found<'a> {
    Datagram { source: SocketAddrV4, destination: SocketAddrV4, port: Port, payload: &'a [u8], short: bool },
    Fragment,
    Other,
}

fn datagram<'a>(sliced: &LaxSlicedPacket<'a>) -> Found<'a> {
    let Some(LaxNetSlice::Ipv4(ip)) = &sliced.net else { return Found::Other };
    if ip.is_payload_fragmented() {
        return Found::Fragment;
    }
    let Some(TransportSlice::Udp(udp)) = &sliced.transport else { return Found::Other };
    let port = match udp.destination_port() {
        67 => Port::Server,
        4011 => Port::BootServer,
        _ => return Found::Other,
    };
    Found::Datagram {
        source: SocketAddrV4::new(ip.header().source_addr(), udp.source_port()),
        destination: SocketAddrV4::new(ip.header().destination_addr(), udp.destination_port()),
        port,
        payload: udp.payload(),
        short: ip.payload().incomplete || udp.payload_len_source() == LenSource::Slice,
    }
}

#[cfg(test)]
mod tests;
