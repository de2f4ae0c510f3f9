//! `explain` says what `handle` would send.

use captain_dhcp::{Question, World, explain, explain_datagram};
use captain_model::{Arch, DhcpMode, Firmware};

use crate::cases;
use crate::rig::*;

fn ask(rig: &Rig, firmware: Firmware, arch: Arch, relay: Option<&str>) -> captain_dhcp::Explanation {
    let inventory = rig.inventory();
    let world = World {
        inventory: &inventory,
        settled: &|mac| rig.settled.contains(&mac),
        loaders: &|name| !rig.missing.contains(name),
        awaited: rig.awaited,
    };
    let relay = relay.map(ip);
    let question = Question { mac: mac(1), firmware, arch, relay, interface: 3, local: LOCAL };
    explain(&rig.server, rig.now, &world, question)
}

fn value(explanation: &captain_dhcp::Explanation, name: &str) -> String {
    let found = explanation.lines.iter().find(|line| line.name == name);
    found.unwrap_or_else(|| panic!("no {name} in\n{explanation}")).value.clone()
}

pub const CASES: &[Case] = cases! {
    "INTERFACE.md explain", "every firmware that boots is explained by its own name and file", || {
        for (firmware, arch, file) in [
            (Firmware::Bios, Arch::Amd64, "undionly.kpxe"),
            (Firmware::Uefi, Arch::Amd64, "snponly.efi"),
            (Firmware::Uefi, Arch::Arm64, "ipxe-arm64.efi"),
            (Firmware::UefiHttp, Arch::Amd64, "http://192.168.50.1:7080/ipxe/binary/52:54:00:00:00:01/snponly.efi"),
            (Firmware::UefiHttp, Arch::Arm64, "http://192.168.50.1:7080/ipxe/binary/52:54:00:00:00:01/ipxe-arm64.efi"),
            (Firmware::Ipxe, Arch::Amd64, "http://192.168.50.1:7080/ipxe/script/52:54:00:00:00:01/auto.ipxe"),
            (Firmware::Ipxe, Arch::Arm64, "http://192.168.50.1:7080/ipxe/script/52:54:00:00:00:01/auto.ipxe"),
            (Firmware::UBoot, Arch::Arm64, "ipxe-arm64.efi"),
        ] {
            let told = ask(&Rig::new(DhcpMode::Dynamic), firmware, arch, None);
            assert!(told.request.contains(firmware.name()), "{}", told.request);
            assert_eq!(value(&told, "boot file name"), file);
            assert!(told.decision.starts_with("OFFER of 192.168.50."), "{}", told.decision);
        }
    };
    "INTERFACE.md explain", "a Raspberry Pi is explained", || {
        let told = ask(&Rig::new(DhcpMode::Dynamic), Firmware::RaspberryPi, Arch::Arm64, None);
        assert!(value(&told, "vendor options").contains("Raspberry Pi Boot"), "{told}");
    };
    "INTERFACE.md explain", "explaining changes nothing", || {
        let rig = Rig::new(DhcpMode::Dynamic);
        let first = ask(&rig, Firmware::Bios, Arch::Amd64, None);
        assert_eq!(rig.server.next_deadline(), None);
        assert_eq!(ask(&rig, Firmware::Bios, Arch::Amd64, None), first);
    };
    "INTERFACE.md explain", "silence is explained", || {
        let told = ask(&Rig::new(DhcpMode::Reservation), Firmware::Bios, Arch::Amd64, None);
        assert_eq!(told.decision, "silence: machine is not in the inventory (mode reservation)");
        assert_eq!((told.lines.len(), told.size, told.destination), (0, 0, None));
    };
    "INTERFACE.md explain", "a relay is explained", || {
        let told = ask(&Rig::new(DhcpMode::Dynamic), Firmware::Bios, Arch::Amd64, Some("192.168.50.254"));
        assert!(told.request.contains("through relay 192.168.50.254"));
        assert!(told.to_string().contains("unicast to 192.168.50.254:67"), "{told}");
    };
    "INTERFACE.md explain", "a foreign relay is explained by the subnet that is missing", || {
        let told = ask(&Rig::new(DhcpMode::Dynamic), Firmware::Bios, Arch::Amd64, Some("10.9.9.9"));
        assert!(told.decision.contains("no subnet is configured for 10.9.9.9"), "{}", told.decision);
    };
    "issue 3: explain --pcap", "the reply explained is the reply sent, option by option", || {
        for (name, hex, ..) in crate::captures::FILES {
            let datagram = crate::captures::bytes(hex);
            let mut rig = Rig::new(DhcpMode::Dynamic);
            let inventory = rig.inventory();
            let world = World { inventory: &inventory, settled: &|_| false, loaders: &|_| true, awaited: None };
            let told = explain_datagram(&rig.server, rig.now, &world, rig.ingress, &datagram);
            let got = rig.raw(&datagram);
            let codes: Vec<u8> = told.lines.iter().filter_map(|line| line.code).collect();
            assert_eq!(codes, got.reply().order, "{name}");
            assert_eq!(told.size, got.reply().payload.len(), "{name}");
            assert_eq!(told.events, got.outcome.events, "{name}");
            assert_eq!(value(&told, "siaddr"), LOCAL.to_string(), "{name}");
        }
    };
    "issue 3: explain --pcap", "a datagram that is no request is explained", || {
        let rig = Rig::new(DhcpMode::Dynamic);
        let inventory = rig.inventory();
        let world = World { inventory: &inventory, settled: &|_| false, loaders: &|_| true, awaited: None };
        let told = explain_datagram(&rig.server, rig.now, &world, rig.ingress, &[1, 2, 3]);
        assert!(told.decision.starts_with("silence: not a DHCP request at all") || told.decision.contains("3 bytes"), "{told}");
    };
    "STYLE.md", "the text of an explanation is these lines", || {
        let told = ask(&Rig::new(DhcpMode::AutoProxy), Firmware::Uefi, Arch::Amd64, None).to_string();
        let want = "\
DISCOVER of 52:54:00:00:00:01 to port 67 (uefi on amd64)
OFFER of boot information without an address (mode auto-proxy)
308 bytes, broadcast to 255.255.255.255:68
     siaddr             192.168.50.1
     sname              192.168.50.1
     file               snponly.efi
  53 message type       OFFER
  54 server identifier  192.168.50.1   # the interface it came in on
  60 vendor class       PXEClient   # firmware listens only to its own class; UEFI gets no option 43, so that every EDK2 keeps the offer and asks port 4011 (edk2#6944)
  97 machine identifier 0000000000000000000000000000000000   # mirrored (PXE 2.1 table 2-2)
  67 boot file name     snponly.efi   # the default for uefi on amd64
  66 TFTP server name   192.168.50.1   # for firmware that does not read siaddr
";
        assert_eq!(told, want, "\n{told}");
    };
};
