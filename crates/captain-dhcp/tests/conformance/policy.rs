//! Boot policy, local boot, overrides, missing loaders.

use captain_model::{Arch, BootPolicy, DhcpMode, LocalBoot};

use crate::cases;
use crate::rig::*;

fn never(mode: DhcpMode, way: LocalBoot) -> Rig {
    let mut rig = Rig::new(mode);
    rig.machine(1, |machine| {
        machine.netboot = false;
        machine.local_boot = Some(way);
        machine.address = Some(ip("192.168.50.20"));
    });
    rig
}

fn policy(policy: BootPolicy) -> Rig {
    let mut rig = Rig::new(DhcpMode::Dynamic);
    rig.machine(1, |machine| machine.boot = Some(policy));
    rig
}

fn ipxe() -> Ask {
    Ask::discover(1).ipxe(0, &[0x13, 0x18])
}

const SCRIPT: &str = "http://192.168.50.1:7080/ipxe/script/52:54:00:00:00:01/auto.ipxe";

pub const CASES: &[Case] = cases! {
    "smee netboot-not-allowed", "netboot = false names a file that says so, with an address", || {
        let got = never(DhcpMode::Dynamic, LocalBoot::Exit).send(&Ask::discover(1).pxe(0));
        assert_eq!(got.reply().file, "52:54:00:00:00:01/netboot-not-allowed");
        assert_eq!(got.reply().yiaddr, ip("192.168.50.20"));
        assert!(got.refused().unwrap().contains("netboot is off"));
    };
    "smee netboot-not-allowed", "beside another server too", || {
        let got = never(DhcpMode::Proxy, LocalBoot::Exit).send(&Ask::discover(1).pxe(7));
        assert_eq!(got.reply().file, "52:54:00:00:00:01/netboot-not-allowed");
    };
    "smee netboot-not-allowed", "on port 4011 too", || {
        let got = never(DhcpMode::Proxy, LocalBoot::Exit).boot_server(&Ask::new(REQUEST, mac(1)).pxe(7), "192.168.50.9");
        assert_eq!(got.reply().file, "52:54:00:00:00:01/netboot-not-allowed");
    };
    "issue 3: refused alike", "HTTP Boot is told by a URL", || {
        let got = never(DhcpMode::Dynamic, LocalBoot::Exit).send(&Ask::discover(1).http(16));
        assert_eq!(got.reply().bootfile(), "http://192.168.50.1:7080/ipxe/binary/52:54:00:00:00:01/netboot-not-allowed");
    };
    "issue 3: refused alike", "iPXE gets its script, which says how to go on", || {
        for way in [LocalBoot::Exit, LocalBoot::Sanboot, LocalBoot::Poweroff] {
            let got = never(DhcpMode::Dynamic, way).send(&ipxe());
            assert_eq!(got.reply().bootfile(), SCRIPT);
            assert!(got.refused().is_some());
        }
    };
    "issue 3: refused alike", "iPXE that cannot fetch a script gets the file that says so", || {
        let got = never(DhcpMode::Dynamic, LocalBoot::Exit).send(&Ask::discover(1).ipxe(0, &[]));
        assert_eq!(got.reply().bootfile(), "tftp://192.168.50.1/52:54:00:00:00:01/netboot-not-allowed");
    };
    "FIRMWARE.md row 26", "to start a disk or switch off, a ROM gets the loader that can", || {
        for way in [LocalBoot::Sanboot, LocalBoot::Poweroff] {
            let got = never(DhcpMode::Dynamic, way).send(&Ask::discover(1).pxe(0));
            assert_eq!(got.reply().file, "undionly.kpxe");
            assert!(got.refused().is_some());
        }
    };
    "captain-model LocalBoot::Silence", "silence gives a netboot client no answer at all", || {
        for mode in [DhcpMode::Dynamic, DhcpMode::Reservation, DhcpMode::Proxy] {
            for ask in [Ask::discover(1).pxe(0), ipxe(), Ask::discover(1).http(16)] {
                let got = never(mode, LocalBoot::Silence).send(&ask);
                assert!(got.ignored().contains("netboot is off"));
                assert!(got.refused().is_some());
            }
        }
    };
    "captain-model LocalBoot::Silence", "silence gives the operating system its address", || {
        let got = never(DhcpMode::Dynamic, LocalBoot::Silence).send(&Ask::discover(1));
        assert_eq!(got.reply().yiaddr, ip("192.168.50.20"));
    };
    "captain-model LocalBoot::Silence", "silence holds on port 4011", || {
        never(DhcpMode::Dynamic, LocalBoot::Silence)
            .boot_server(&Ask::new(REQUEST, mac(1)).pxe(7), "192.168.50.9")
            .ignored();
    };
    "RFC 2131 section 4.3.4", "silence still takes back what firmware releases", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.machine(1, |_| {});
        let address = rig.lease(1);
        rig.machines[0].netboot = false;
        rig.machines[0].local_boot = Some(LocalBoot::Silence);
        rig.unicast(&Ask { ciaddr: address, ..Ask::new(RELEASE, mac(1)).pxe(0) });
        assert_eq!(rig.server.lease_of(mac(1)).unwrap().expires, rig.now);
    };
    "INTERFACE.md", "boot = never refuses", || {
        assert!(policy(BootPolicy::Never).send(&Ask::discover(1).pxe(0)).refused().is_some());
    };
    "cobbler#3329", "boot = once boots once and not again", || {
        let mut rig = policy(BootPolicy::Once);
        assert_eq!(rig.send(&Ask::discover(1).pxe(0)).reply().file, "undionly.kpxe");
        rig.settled.insert(mac(1));
        let got = rig.send(&Ask::discover(1).pxe(0));
        assert!(got.reply().file.ends_with("/netboot-not-allowed"));
        assert!(got.refused().unwrap().contains("once"));
    };
    "cobbler#3329", "boot = until-done boots until it is done", || {
        let mut rig = policy(BootPolicy::UntilDone);
        assert!(rig.send(&Ask::discover(1).pxe(0)).refused().is_none());
        rig.settled.insert(mac(1));
        assert!(rig.send(&Ask::discover(1).pxe(0)).refused().unwrap().contains("done"));
    };
    "INTERFACE.md", "boot = always does not ask whether it is settled", || {
        let mut rig = policy(BootPolicy::Always);
        rig.settled.insert(mac(1));
        assert!(rig.send(&Ask::discover(1).pxe(0)).refused().is_none());
    };
    "FIRMWARE.md fact 5", "a machine is settled under any of its cards", || {
        let mut rig = policy(BootPolicy::Once);
        rig.machines[0].macs.push(mac(2));
        rig.settled.insert(mac(2));
        assert!(rig.send(&Ask::discover(1).pxe(0)).refused().is_some());
    };
    "INTERFACE.md", "the profile's policy holds for unknown machines", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.profile.boot = BootPolicy::Never;
        assert!(rig.send(&Ask::discover(9).pxe(0)).refused().is_some());
    };
    "INTERFACE.md", "the profile's local boot holds where the machine says nothing", || {
        let mut rig = policy(BootPolicy::Never);
        rig.profile.local_boot = LocalBoot::Silence;
        rig.send(&Ask::discover(1).pxe(0)).ignored();
    };
    "RFC 2131", "a refused machine's operating system gets no boot information", || {
        let got = never(DhcpMode::Dynamic, LocalBoot::Exit).send(&Ask::discover(1));
        assert!(got.reply().file.is_empty() && !got.reply().has(67) && got.refused().is_none());
    };
    "RFC 2131", "an operating system gets no boot information", || {
        let got = Rig::new(DhcpMode::Dynamic).send(&Ask::discover(1));
        assert!(got.reply().file.is_empty() && got.reply().siaddr.is_unspecified());
        for code in [43, 60, 66, 67, 97, 175] {
            assert!(!got.reply().has(code), "{code}");
        }
    };
    "INTERFACE.md", "a machine's loader is named", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.machine(1, |machine| machine.loader = Some("shimx64.efi".into()));
        rig.profile.loader = Some("ipxe.efi".into());
        assert_eq!(rig.send(&Ask::discover(1).pxe(7)).reply().file, "shimx64.efi");
        assert_eq!(rig.send(&Ask::discover(2).pxe(7)).reply().file, "ipxe.efi", "the profile's");
    };
    "TINKERBELL.md section 1.4", "a machine's loader rescues an architecture that we know none for", || {
        let mut rig = Rig::new(DhcpMode::AutoProxy);
        rig.machine(1, |machine| machine.loader = Some("riscv.efi".into()));
        assert_eq!(rig.send(&Ask::discover(1).pxe(27)).reply().file, "riscv.efi");
        assert_eq!(rig.send(&Ask::discover(1).pxe(0xbeef)).reply().file, "riscv.efi");
    };
    "INTERFACE.md", "a machine's loader goes by URL to HTTP Boot", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.machine(1, |machine| machine.loader = Some("grubx64.efi".into()));
        let url = rig.send(&Ask::discover(1).http(16)).reply().bootfile();
        assert_eq!(url, "http://192.168.50.1:7080/ipxe/binary/52:54:00:00:00:01/grubx64.efi");
    };
    "INTERFACE.md", "a machine's arch goes before the firmware's word", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.machine(1, |machine| machine.arch = Some(Arch::Arm64));
        assert_eq!(rig.send(&Ask::discover(1).pxe(7)).reply().file, "ipxe-arm64.efi");
    };
    "DESIGN.md advertise = serve", "a loader that is not there is not named, and the operator is told", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.missing.insert("undionly.kpxe".into());
        let got = rig.send(&Ask::discover(1).pxe(0));
        assert!(!got.reply().yiaddr.is_unspecified());
        assert!(got.reply().file.is_empty() && !got.reply().has(67) && !got.reply().has(60));
        assert!(got.refused().unwrap().contains("`undionly.kpxe`"));
    };
    "issue 3: OSIE being built", "who needs a loader that is being fetched is kept waiting, and the operator is told", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.missing.insert("undionly.kpxe".into());
        rig.awaited = Some("boot loaders are being fetched");
        let got = rig.send(&Ask::discover(1).pxe(0));
        assert!(got.ignored().contains("boot loaders are being fetched"));
        assert_eq!(got.refused().as_deref(), Some("boot loaders are being fetched"));
        assert_eq!(rig.send(&Ask::discover(1)).reply().kind(), OFFER, "an operating system needs none");
        assert!(rig.send(&Ask::discover(2).pxe(7)).reply().has(67), "this one is there");
        assert!(rig.send(&Ask::discover(3).ipxe(0, &[0x13, 0x18])).reply().has(67), "its script says how to wait");
    };
    "DESIGN.md advertise = serve", "beside another server a missing loader is silence", || {
        let mut rig = Rig::new(DhcpMode::AutoProxy);
        rig.missing.insert("undionly.kpxe".into());
        let got = rig.send(&Ask::discover(1).pxe(0));
        assert!(got.ignored().contains("`undionly.kpxe`"));
    };
    "DESIGN.md advertise = serve", "a script needs no loader", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.missing.insert("undionly.kpxe".into());
        assert_eq!(rig.send(&ipxe()).reply().bootfile(), SCRIPT);
    };
    "smee DHCP-only", "next_server and filename are said as they are, with no netboot options", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.machine(1, |machine| {
            machine.next_server = Some(ip("192.168.50.77"));
            machine.filename = Some("custom/boot.bin".into());
        });
        for ask in [Ask::discover(1), Ask::discover(1).pxe(0), ipxe()] {
            let got = rig.send(&ask);
            assert_eq!(got.reply().siaddr, ip("192.168.50.77"));
            assert_eq!((got.reply().file.as_str(), got.reply().option(67)), ("custom/boot.bin", &b"custom/boot.bin"[..]));
            assert_eq!(got.reply().option(66), b"192.168.50.77");
            assert!(!got.reply().has(43) && !got.reply().has(60) && !got.reply().has(175));
        }
    };
    "RFC 951", "a BOOTP client is told next_server and filename in the header", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.machine(1, |machine| {
            machine.next_server = Some(ip("192.168.50.77"));
            machine.filename = Some("custom/boot.bin".into());
        });
        let got = rig.send(&Ask::bootp(mac(1)));
        assert_eq!((got.reply().file.as_str(), got.reply().siaddr), ("custom/boot.bin", ip("192.168.50.77")));
    };
    "FIRMWARE.md fact 1", "beside another server verbatim words keep the firmware's form", || {
        let mut rig = Rig::new(DhcpMode::AutoProxy);
        rig.machine(1, |machine| machine.filename = Some("custom.bin".into()));
        let got = rig.send(&Ask::discover(1).pxe(0));
        assert_eq!((got.reply().file.as_str(), got.reply().siaddr), ("custom.bin", LOCAL));
        assert_eq!((got.reply().option(60), got.reply().option(43)), (&b"PXEClient"[..], &b"\x06\x01\x08\x0a\x04\0PXE\xff"[..]));
    };
    "cobbler PR#685", "verbatim words do not undo netboot = false", || {
        let mut rig = never(DhcpMode::Dynamic, LocalBoot::Exit);
        rig.machines[0].filename = Some("custom.bin".into());
        assert!(rig.send(&Ask::discover(1).pxe(0)).reply().file.ends_with("netboot-not-allowed"));
    };
    "issue 3: refused alike", "verbatim words do not undo netboot = false for clients that name no class, which get an address", || {
        for ask in [Ask::discover(1), Ask::bootp(mac(1))] {
            let mut rig = never(DhcpMode::Dynamic, LocalBoot::Exit);
            rig.machines[0].filename = Some("custom.bin".into());
            rig.machines[0].next_server = Some(ip("192.168.50.77"));
            let got = rig.send(&ask);
            assert_eq!((got.reply().yiaddr, got.reply().file.as_str()), (ip("192.168.50.20"), ""));
            assert!(!got.reply().has(66) && !got.reply().has(67) && got.reply().siaddr.is_unspecified());
            assert!(got.refused().unwrap().contains("netboot is off"));
        }
    };
    "issue 3: refused alike", "an operating system that renews its address is refused nothing, for it asked for nothing", || {
        assert_eq!(never(DhcpMode::Dynamic, LocalBoot::Exit).send(&Ask::discover(1)).refused(), None);
    };
};
