//! Who is answered in which mode (TINKERBELL.md section 1.3, INTERFACE.md).

use captain_model::{DhcpMode, UnknownMachines};

use crate::cases;
use crate::rig::*;

fn known(mode: DhcpMode) -> Rig {
    let mut rig = Rig::new(mode);
    rig.machine(1, |machine| machine.address = Some(ip("192.168.50.20")));
    rig
}

fn unknown(mode: DhcpMode, rule: UnknownMachines) -> Rig {
    let mut rig = Rig::new(mode);
    rig.unknown = rule;
    rig
}

/// A ProxyDHCP answer: boot information and no address.
fn boot_only(got: &Got) {
    assert!(got.reply().yiaddr.is_unspecified());
    for code in [1, 3, 6, 51, 58, 59] {
        assert!(!got.reply().has(code), "option {code} is the DHCP server's");
    }
    assert!(!got.reply().file.is_empty() && got.outcome.leases.is_empty());
}

pub const CASES: &[Case] = cases! {
    "INTERFACE.md", "disabled answers nobody, and says so", || {
        assert_eq!(known(DhcpMode::Disabled).send(&Ask::discover(1)).ignored(), "DHCP is disabled");
    };
    "INTERFACE.md", "disabled does not answer on port 4011", || {
        known(DhcpMode::Disabled).boot_server(&Ask::new(REQUEST, mac(1)).pxe(7), "192.168.50.9").ignored();
    };
    "CONTRACT: mode is never auto here", "auto that nobody resolved answers nobody", || {
        known(DhcpMode::Auto).send(&Ask::discover(1)).ignored();
    };
    "TINKERBELL.md section 1.3", "reservation gives a known machine its address, netboot client or not", || {
        for ask in [Ask::discover(1), Ask::discover(1).pxe(0)] {
            assert_eq!(known(DhcpMode::Reservation).send(&ask).reply().yiaddr, ip("192.168.50.20"));
        }
    };
    "TINKERBELL.md section 1.3", "reservation is silent to an unknown machine", || {
        assert_eq!(known(DhcpMode::Reservation).send(&Ask::discover(2)).ignored(), "machine is not in the inventory");
    };
    "INTERFACE.md", "reservation is silent to a machine without a fixed address", || {
        let mut rig = known(DhcpMode::Reservation);
        rig.machine(2, |_| {});
        assert_eq!(rig.send(&Ask::discover(2)).ignored(), "machine has no fixed address");
    };
    "INTERFACE.md", "reservation never gives an address of the range", || {
        let mut rig = known(DhcpMode::Reservation);
        assert_eq!(rig.send(&Ask::selecting(1, "192.168.50.150")).reply().kind(), NAK);
    };
    "INTERFACE.md", "reservation acknowledges the fixed address", || {
        assert_eq!(known(DhcpMode::Reservation).lease(1), ip("192.168.50.20"));
    };
    "INTERFACE.md", "dynamic gives a listed machine without a fixed address one of the range", || {
        let mut rig = Rig::new(DhcpMode::Dynamic);
        rig.machine(1, |_| {});
        assert!(rig.lease(1) >= ip("192.168.50.100"));
    };
    "INTERFACE.md", "dynamic boots unknown machines", || {
        let got = unknown(DhcpMode::Dynamic, UnknownMachines::Boot).send(&Ask::discover(2).pxe(0));
        assert_eq!(got.reply().file, "undionly.kpxe");
    };
    "INTERFACE.md", "unknown_machines = lease-only gives an address and nothing to boot", || {
        let got = unknown(DhcpMode::Dynamic, UnknownMachines::LeaseOnly).send(&Ask::discover(2).pxe(0));
        assert!(!got.reply().yiaddr.is_unspecified());
        assert!(got.reply().file.is_empty() && !got.reply().has(67) && !got.reply().has(43) && !got.reply().has(60));
        assert!(got.refused().unwrap().contains("not in the inventory"));
    };
    "INTERFACE.md", "unknown_machines = ignore is silent to them", || {
        let mut rig = unknown(DhcpMode::Dynamic, UnknownMachines::Ignore);
        assert_eq!(rig.send(&Ask::discover(2)).ignored(), "machine is not in the inventory");
    };
    "INTERFACE.md", "unknown_machines = ignore still answers listed ones", || {
        let mut rig = known(DhcpMode::Dynamic);
        rig.unknown = UnknownMachines::Ignore;
        assert_eq!(rig.lease(1), ip("192.168.50.20"));
    };
    "TINKERBELL.md section 1.3", "proxy answers a listed netboot client without an address", || {
        let got = known(DhcpMode::Proxy).send(&Ask::discover(1).pxe(0));
        assert_eq!(got.reply().kind(), OFFER);
        boot_only(&got);
    };
    "TINKERBELL.md section 1.3", "proxy is silent to an unlisted machine, whatever unknown_machines says", || {
        let mut rig = known(DhcpMode::Proxy);
        assert_eq!(rig.send(&Ask::discover(2).pxe(0)).ignored(), "machine is not in the inventory");
    };
    "TINKERBELL.md section 1.3", "proxy is silent to who is no netboot client", || {
        assert!(known(DhcpMode::Proxy).send(&Ask::discover(1)).ignored().contains("not a netboot client"));
    };
    "TINKERBELL.md section 1.3", "auto-proxy answers every netboot client", || {
        boot_only(&Rig::new(DhcpMode::AutoProxy).send(&Ask::discover(2).pxe(0)));
    };
    "TINKERBELL.md section 1.3", "auto-proxy is silent to who is no netboot client", || {
        let mut rig = Rig::new(DhcpMode::AutoProxy);
        for ask in [Ask::discover(2), Ask::discover(2).with(60, "MSFT 5.0"), Ask::discover(2).with(60, "xPXEClient")] {
            assert!(rig.send(&ask).ignored().contains("not a netboot client"));
        }
    };
    "INTERFACE.md", "auto-proxy is silent to unlisted machines where unknown_machines does not say boot", || {
        for rule in [UnknownMachines::Ignore, UnknownMachines::LeaseOnly] {
            unknown(DhcpMode::AutoProxy, rule).send(&Ask::discover(2).pxe(0)).ignored();
        }
    };
    "siderolabs/omni-infra-provider-bare-metal#84", "beside another server a REQUEST on port 67 is not ours", || {
        for mode in [DhcpMode::Proxy, DhcpMode::AutoProxy] {
            let ask = Ask::new(REQUEST, mac(1)).pxe(0).with(54, [192, 168, 50, 254]).with(50, [192, 168, 50, 7]);
            assert!(known(mode).send(&ask).ignored().contains("REQUEST"));
        }
    };
    "RFC 2131", "beside another server RELEASE, DECLINE, INFORM and BOOTP are not ours", || {
        for kind in [RELEASE, DECLINE, INFORM] {
            assert!(known(DhcpMode::AutoProxy).send(&Ask::new(kind, mac(1)).pxe(0)).ignored().contains("needs no answer"));
        }
        known(DhcpMode::AutoProxy).send(&Ask::bootp(mac(1))).ignored();
    };
    "DESIGN.md", "a proxy needs no subnet", || {
        let mut rig = Rig::new(DhcpMode::AutoProxy);
        rig.settings(|settings| settings.subnets.clear());
        boot_only(&rig.send(&Ask::discover(1).pxe(0)));
    };
    "siderolabs/omni-infra-provider-bare-metal#79", "a REQUEST on port 4011 gets an ACK", || {
        let got = known(DhcpMode::Proxy).boot_server(&Ask::new(REQUEST, mac(1)).pxe(7), "192.168.50.77");
        assert_eq!((got.reply().kind(), got.reply().file.as_str()), (ACK, "snponly.efi"));
        boot_only(&got);
    };
    "PXE 2.1 section 2.2.4", "an INFORM on port 4011 gets an ACK", || {
        let got = known(DhcpMode::Proxy).boot_server(&Ask::new(INFORM, mac(1)).pxe(7), "192.168.50.77");
        assert_eq!(got.reply().kind(), ACK);
    };
    "FIRMWARE.md fact 1", "port 4011 answers in dynamic mode too", || {
        for mode in [DhcpMode::Dynamic, DhcpMode::Reservation, DhcpMode::AutoProxy] {
            let ask = Ask { ciaddr: ip("192.168.50.77"), ..Ask::new(REQUEST, mac(1)).pxe(7) };
            let got = known(mode).boot_server(&ask, "192.168.50.77");
            boot_only(&got);
            assert_eq!(got.reply().ciaddr, ip("192.168.50.77"));
        }
    };
    "PXE 2.1 section 2.2.4", "port 4011 is silent to who is no netboot client", || {
        known(DhcpMode::Dynamic).boot_server(&Ask::new(REQUEST, mac(1)), "192.168.50.77").ignored();
    };
    "INTERFACE.md", "port 4011 keeps to the rule for unknown machines", || {
        unknown(DhcpMode::Dynamic, UnknownMachines::Ignore)
            .boot_server(&Ask::new(REQUEST, mac(2)).pxe(7), "192.168.50.77")
            .ignored();
    };
    "PXE 2.1 section 2.2.4", "port 4011 ignores RELEASE, DECLINE and BOOTP", || {
        for ask in [Ask::new(RELEASE, mac(1)), Ask::new(DECLINE, mac(1)), Ask::bootp(mac(1))] {
            known(DhcpMode::Dynamic).boot_server(&ask.pxe(0), "192.168.50.77").ignored();
        }
    };
    "PXE 2.1 table 2-1", "the boot item that is asked for on port 4011 comes back", || {
        let ask = Ask::new(REQUEST, mac(1)).pxe(0).with(43, [71, 4, 0, 0, 0, 0, 255]);
        let got = known(DhcpMode::Proxy).boot_server(&ask, "192.168.50.77");
        assert_eq!(got.reply().option(43), b"\x06\x01\x08\x0a\x04\0PXE\x47\x04\0\0\0\0\xff");
    };
    "danderson/pixiecore#21", "a netboot client without option 97 is answered, and gets none", || {
        let ask = Ask::discover(1).with(60, "PXEClient:Arch:00000:UNDI:002001").with(93, [0, 0]);
        let got = Rig::new(DhcpMode::AutoProxy).send(&ask);
        assert!(!got.reply().has(97));
    };
    "TINKERBELL.md section 1.5", "a malformed option 97 does not make a client less of one", || {
        let ask = Ask::discover(1).with(60, "PXEClient").with(93, [0, 0]).with(97, [1, 2, 3]);
        assert_eq!(Rig::new(DhcpMode::AutoProxy).send(&ask).reply().option(97), [1, 2, 3]);
    };
    "PXE 2.1 table 2-2", "option 97 is mirrored", || {
        let got = Rig::new(DhcpMode::AutoProxy).send(&Ask::discover(1).pxe(0));
        assert_eq!((got.reply().option(97).len(), got.reply().option(97)[0]), (17, 0));
    };
    "RFC 4578 section 2.1", "a client without option 93 tells its architecture in option 60", || {
        let ask = Ask::discover(1).with(60, "PXEClient:Arch:00007:UNDI:003016");
        assert_eq!(Rig::new(DhcpMode::AutoProxy).send(&ask).reply().file, "snponly.efi");
    };
};
