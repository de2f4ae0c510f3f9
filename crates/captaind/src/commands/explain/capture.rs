//! `captaind explain --pcap`: each DHCP packet of a capture, and what captaind would do about it.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use captain_config::Config;
use captain_dhcp::{Explanation, Ingress, Server, explain_datagram};
use captain_model::Mac;
use captain_server::InterfaceSpec;

use super::{Place, as_json, assumed, core, reply_text, settings, world};
use crate::cli::ExplainArgs;
use crate::exit::Failure;
use crate::pcap::{self, Capture, Datagram};

pub(super) fn run(
    args: &ExplainArgs,
    config: &Config,
    place: &Place,
    file: &Path,
    only: Option<Mac>,
) -> Result<(), Failure> {
    let named = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", file.display()));
    let capture = pcap::read(File::open(file).map_err(|e| named(&e))?).map_err(|e| named(&e))?;
    let settings = settings(args, config, place)?;
    let spec = settings.interfaces.first().ok_or_else(|| Failure::failed("there is no interface"))?;
    let packets = follow(&mut core(&settings), config, spec, &capture, only);
    let (assumed, notes) = (assumed(args, config), notes(&capture));
    if args.json {
        let packets: Vec<_> = packets.iter().map(Packet::json).collect();
        let answer = serde_json::json!({ "assumed": assumed, "packets": packets, "notes": notes });
        println!("{}", serde_json::to_string_pretty(&answer).map_err(Failure::failed)?);
        return Ok(());
    }
    for packet in &packets {
        println!("{}", packet.text());
    }
    for note in std::iter::once(format!("assumed: {assumed}")).chain(notes) {
        println!("note: {note}");
    }
    Ok(())
}

/// One packet and what would be done about it.
struct Packet<'a> {
    datagram: &'a Datagram,
    /// Who sent it, where the packet could be read.
    mac: Option<Mac>,
    explanation: Explanation,
    /// What has to be known to judge the answer.
    notes: Vec<String>,
}

/// Walks `server` through the capture: each packet meets the leases and offers that follow from those before.
fn follow<'a>(
    server: &mut Server,
    config: &Config,
    spec: &InterfaceSpec,
    capture: &'a Capture,
    only: Option<Mac>,
) -> Vec<Packet<'a>> {
    let mut packets = Vec::new();
    for datagram in &capture.datagrams {
        let ingress = ingress(datagram, spec);
        let world = world(config);
        let explanation = explain_datagram(server, datagram.at, &world, ingress, &datagram.payload);
        // The same again, with its effect; what would be sent is in the explanation already.
        server.handle(datagram.at, &world, ingress, &datagram.payload);
        let mac = explanation.events.iter().find_map(|event| event.mac);
        if only.is_none() || only == mac {
            packets.push(Packet { datagram, mac, explanation, notes: remarks(datagram, ingress, spec) });
        }
    }
    packets
}

/// A packet to one address was sent to the server that has it: captaind is asked in its place.
fn ingress(datagram: &Datagram, spec: &InterfaceSpec) -> Ingress {
    let destination = *datagram.destination.ip();
    let ingress = spec.ingress(datagram.source, destination, datagram.port);
    let to_none = destination.is_multicast() || destination.is_unspecified();
    if to_none { Ingress { local: spec.address, ..ingress } } else { ingress }
}

fn remarks(datagram: &Datagram, ingress: Ingress, spec: &InterfaceSpec) -> Vec<String> {
    let own = spec.address == ingress.local || spec.further.iter().any(|net| net.addr() == ingress.local);
    let elsewhere =
        (!own).then(|| format!("sent to {} alone: answered as if captaind had that address", ingress.local));
    let cut = datagram.cut.then(|| {
        "the capture holds only its beginning: capture whole packets with `tcpdump -s 0`".to_owned()
    });
    elsewhere.into_iter().chain(cut).collect()
}

fn notes(capture: &Capture) -> Vec<String> {
    let none = capture
        .datagrams
        .is_empty()
        .then(|| format!("no packet to UDP port 67 or 4011 among {} packets", capture.others));
    capture.notes.iter().cloned().chain(none).collect()
}

impl Packet<'_> {
    fn time(&self) -> String {
        let since = Duration::from_millis(self.datagram.at.as_millis());
        UNIX_EPOCH
            .checked_add(since)
            // The year 9999 is the last that RFC 3339 can write.
            .filter(|_| since.as_secs() < 253_402_300_800)
            .map_or_else(|| "-".to_owned(), |at| humantime::format_rfc3339_millis(at).to_string())
    }

    fn text(&self) -> String {
        let mac = self.mac.map_or_else(|| "-".to_owned(), |mac| mac.to_string());
        let mut text = format!(
            "{} {mac} {} -> {}\nrequest:  {}\ndecision: {}\n",
            self.time(),
            self.datagram.source,
            self.datagram.destination,
            self.explanation.request,
            self.explanation.decision
        );
        for note in &self.notes {
            text += &format!("note:     {note}\n");
        }
        text + &reply_text(&self.explanation)
    }

    fn json(&self) -> serde_json::Value {
        let mut value = as_json(&self.explanation);
        value["time"] = self.time().into();
        value["mac"] = self.mac.map(|mac| mac.to_string()).into();
        value["from"] = self.datagram.source.to_string().into();
        value["to"] = self.datagram.destination.to_string().into();
        value["notes"] = self.notes.clone().into();
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use captain_model::{DhcpMode, Timestamp};
    use std::net::Ipv4Addr;

    const LAB: &[u8] = include_bytes!("../../pcap/captures/lab-bios.pcap");
    const LOCAL: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 1);

    fn spec(address: Ipv4Addr) -> InterfaceSpec {
        let network = "192.168.50.0/24".parse().unwrap();
        InterfaceSpec {
            name: "eth1".into(),
            index: 7,
            address,
            network,
            further: vec!["10.9.0.1/16".parse().unwrap()],
        }
    }

    fn lab_config() -> Config {
        let text = "[[dhcp.subnet]]\nnetwork = \"192.168.50.0/24\"\nrange = [\"192.168.50.100\", \"192.168.50.199\"]\n";
        captain_config::parse(text, Path::new("")).unwrap()
    }

    fn walked(
        mode: DhcpMode,
        local: Ipv4Addr,
        capture: &Capture,
        only: Option<Mac>,
    ) -> Vec<(String, String)> {
        let config = lab_config();
        let settings =
            captain_dhcp::Settings { mode, subnets: config.dhcp.subnets.clone(), ..Default::default() };
        let packets = follow(&mut Server::new(settings, []), &config, &spec(local), capture, only);
        let told =
            |packet: Packet<'_>| (packet.explanation.request.clone(), packet.explanation.decision.clone());
        packets.into_iter().map(told).collect()
    }

    #[test]
    fn a_lab_boot_is_offered_and_acknowledged_the_same_address_again() {
        let capture = pcap::read(LAB).unwrap();
        let told = walked(DhcpMode::Dynamic, LOCAL, &capture, None);
        let [(discover, offer), (request, ack)] = told.as_slice() else { panic!("{told:?}") };
        assert!(discover.starts_with("DISCOVER of 52:54:00:00:00:01 to port 67"), "{discover}");
        assert_eq!(offer, "OFFER of 192.168.50.156 (mode dynamic)");
        assert!(request.starts_with("REQUEST of 52:54:00:00:00:01"), "{request}");
        assert_eq!(ack, "ACK of 192.168.50.156 (mode dynamic)");
    }

    #[test]
    fn state_follows_the_capture_also_over_packets_of_others() {
        let mut capture = pcap::read(LAB).unwrap();
        let mut second = capture.datagrams[0].clone();
        second.payload[33] = 2;
        second.at = Timestamp::from_millis(second.at.as_millis() + 1);
        capture.datagrams.insert(1, second);
        let only = "525400000002".parse().ok();
        let told = walked(DhcpMode::Dynamic, LOCAL, &capture, only);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].1.starts_with("OFFER of ") && !told[0].1.contains(".156 "), "{told:?}");
    }

    #[test]
    fn a_request_to_another_server_is_left_to_it() {
        let capture = pcap::read(LAB).unwrap();
        let told = walked(DhcpMode::Dynamic, Ipv4Addr::new(192, 168, 50, 2), &capture, None);
        assert!(told[1].1.starts_with("silence: "), "{told:?}");
    }

    #[test]
    fn a_packet_to_one_server_is_answered_in_its_place() {
        let mut capture = pcap::read(LAB).unwrap();
        capture.datagrams[0].destination = "192.168.50.9:67".parse().unwrap();
        capture.datagrams[0].cut = true;
        let ingress = ingress(&capture.datagrams[0], &spec(LOCAL));
        assert_eq!(ingress.local, Ipv4Addr::new(192, 168, 50, 9));
        let remarks = remarks(&capture.datagrams[0], ingress, &spec(LOCAL));
        assert!(
            remarks[0].contains("192.168.50.9 alone") && remarks[1].contains("tcpdump -s 0"),
            "{remarks:?}"
        );
    }

    #[test]
    fn a_packet_to_a_networks_broadcast_address_is_answered_from_our_address_in_it() {
        let mut capture = pcap::read(LAB).unwrap();
        for (to, local) in [
            ("192.168.50.255:67", LOCAL),
            ("10.9.255.255:67", [10, 9, 0, 1].into()),
            ("255.255.255.255:67", LOCAL),
        ] {
            capture.datagrams[0].destination = to.parse().unwrap();
            let ingress = ingress(&capture.datagrams[0], &spec(LOCAL));
            assert_eq!((ingress.local, ingress.interface), (local, 7), "{to}");
            assert!(remarks(&capture.datagrams[0], ingress, &spec(LOCAL)).is_empty(), "{to}");
        }
    }

    #[test]
    fn an_empty_capture_says_what_was_looked_for() {
        let notes = notes(&Capture { others: 3, ..Capture::default() });
        assert_eq!(notes, ["no packet to UDP port 67 or 4011 among 3 packets"]);
    }
}
