//! Requests written and replies read by hand, so that the tests do not believe the code they test.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use captain_model::Mac;

use crate::rig::{LOCAL, ip, mac};

pub const DISCOVER: u8 = 1;
pub const OFFER: u8 = 2;
pub const REQUEST: u8 = 3;
pub const DECLINE: u8 = 4;
pub const ACK: u8 = 5;
pub const NAK: u8 = 6;
pub const RELEASE: u8 = 7;
pub const INFORM: u8 = 8;

/// A request, written option by option.
#[derive(Clone, Debug)]
pub struct Ask {
    pub op: u8,
    pub htype: u8,
    pub hlen: u8,
    pub xid: u32,
    pub secs: u16,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    pub mac: Mac,
    pub cookie: [u8; 4],
    pub sname: Vec<u8>,
    pub file: Vec<u8>,
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Ask {
    pub fn bootp(mac: Mac) -> Self {
        Self {
            op: 1,
            htype: 1,
            hlen: 6,
            xid: 0xcafe_0001,
            secs: 0,
            flags: 0,
            ciaddr: Ipv4Addr::UNSPECIFIED,
            giaddr: Ipv4Addr::UNSPECIFIED,
            mac,
            cookie: [99, 130, 83, 99],
            sname: Vec::new(),
            file: Vec::new(),
            options: Vec::new(),
        }
    }

    pub fn new(kind: u8, mac: Mac) -> Self {
        Self::bootp(mac).with(53, [kind])
    }

    pub fn discover(last: u8) -> Self {
        Self::new(DISCOVER, mac(last))
    }

    pub fn selecting(last: u8, address: &str) -> Self {
        Self::new(REQUEST, mac(last)).with(54, LOCAL.octets()).with(50, ip(address).octets())
    }

    pub fn renewing(last: u8, address: &str) -> Self {
        Self { ciaddr: ip(address), ..Self::new(REQUEST, mac(last)) }
    }

    pub fn init_reboot(last: u8, address: &str) -> Self {
        Self::new(REQUEST, mac(last)).with(50, ip(address).octets())
    }

    pub fn with(mut self, code: u8, data: impl AsRef<[u8]>) -> Self {
        self.options.push((code, data.as_ref().to_vec()));
        self
    }

    pub fn relay(mut self, giaddr: &str) -> Self {
        self.giaddr = ip(giaddr);
        self
    }

    pub fn broadcast(mut self) -> Self {
        self.flags = 0x8000;
        self
    }

    /// PXE's four options, for this architecture.
    pub fn pxe(self, arch: u16) -> Self {
        self.class(&format!("PXEClient:Arch:{arch:05}:UNDI:003016"), arch)
    }

    pub fn http(self, arch: u16) -> Self {
        self.class(&format!("HTTPClient:Arch:{arch:05}:UNDI:003016"), arch)
    }

    pub fn class(self, class: &str, arch: u16) -> Self {
        let mut uuid = vec![0];
        uuid.extend([0xab; 16]);
        self.with(60, class).with(93, arch.to_be_bytes()).with(94, [1, 3, 16]).with(97, uuid)
    }

    /// iPXE's class and features: HTTP 0x13, bzImage 0x18, EFI 0x24.
    pub fn ipxe(self, arch: u16, features: &[u8]) -> Self {
        let data: Vec<u8> = features.iter().flat_map(|code| [*code, 1, 1]).collect();
        self.pxe(arch).with(77, "iPXE").with(175, data)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut out = self.raw_header();
        for (code, data) in &self.options {
            out.extend([*code, data.len() as u8]);
            out.extend(data);
        }
        out.push(255);
        out.resize(out.len().max(300), 0);
        out
    }

    pub fn raw_header(&self) -> Vec<u8> {
        let mut out = vec![self.op, self.htype, self.hlen, 0];
        out.extend(self.xid.to_be_bytes());
        out.extend(self.secs.to_be_bytes());
        out.extend(self.flags.to_be_bytes());
        out.extend(self.ciaddr.octets());
        out.extend([0; 8]);
        out.extend(self.giaddr.octets());
        out.extend(self.mac.bytes());
        out.extend([0; 10]);
        let sname = out.len() + 64;
        out.extend(&self.sname);
        out.resize(sname, 0);
        out.extend(&self.file);
        out.resize(sname + 128, 0);
        out.extend(self.cookie);
        out
    }
}

/// A reply, read by hand; panics where it is not well formed.
#[derive(Clone, Debug)]
pub struct Seen {
    pub payload: Vec<u8>,
    pub flags: u16,
    pub ciaddr: Ipv4Addr,
    pub yiaddr: Ipv4Addr,
    pub siaddr: Ipv4Addr,
    pub giaddr: Ipv4Addr,
    pub sname: Vec<u8>,
    pub file: String,
    /// Codes in wire order, options field only.
    pub order: Vec<u8>,
    pub options: BTreeMap<u8, Vec<u8>>,
    /// Bytes up to and with END.
    pub used: usize,
}

impl Seen {
    pub fn read(payload: &[u8]) -> Self {
        let address = |at: usize| Ipv4Addr::from(<[u8; 4]>::try_from(&payload[at..at + 4]).unwrap());
        assert_eq!(payload[0], 2, "op is BOOTREPLY");
        assert_eq!(payload[236..240], [99, 130, 83, 99], "magic cookie");
        let (order, mut options, end) = area(&payload[240..]);
        assert!(payload[240 + end..].iter().all(|byte| *byte == 0), "only zeros after END");
        let overload = options.get(&52).map_or(0, |data| data[0]);
        for (bit, range) in [(1, 108..236), (2, 44..108)] {
            if overload & bit != 0 {
                for (code, data) in area(&payload[range]).1 {
                    options.entry(code).or_default().extend(data);
                }
            }
        }
        let file = if overload & 1 == 0 { text(&payload[108..236]) } else { String::new() };
        Self {
            flags: u16::from_be_bytes([payload[10], payload[11]]),
            ciaddr: address(12),
            yiaddr: address(16),
            siaddr: address(20),
            giaddr: address(24),
            sname: payload[44..108].to_vec(),
            file,
            order,
            options,
            used: 240 + end,
            payload: payload.to_vec(),
        }
    }

    pub fn kind(&self) -> u8 {
        self.options.get(&53).map_or(0, |data| data[0])
    }

    pub fn option(&self, code: u8) -> &[u8] {
        self.options.get(&code).unwrap_or_else(|| panic!("no option {code} in {:?}", self.order))
    }

    pub fn has(&self, code: u8) -> bool {
        self.options.contains_key(&code)
    }

    pub fn address(&self, code: u8) -> Ipv4Addr {
        Ipv4Addr::from(<[u8; 4]>::try_from(self.option(code)).unwrap())
    }

    /// Option 67 without a NUL at its end.
    pub fn bootfile(&self) -> String {
        let data = self.option(67);
        String::from_utf8(data.strip_suffix(&[0]).unwrap_or(data).to_vec()).unwrap()
    }
}

fn text(field: &[u8]) -> String {
    let end = field.iter().position(|byte| *byte == 0).expect("a NUL ends the field");
    assert!(field[end..].iter().all(|byte| *byte == 0), "zeros after the NUL");
    String::from_utf8(field[..end].to_vec()).unwrap()
}

/// Codes, options, and the size up to and with END.
fn area(bytes: &[u8]) -> (Vec<u8>, BTreeMap<u8, Vec<u8>>, usize) {
    let (mut order, mut options) = (Vec::new(), BTreeMap::<u8, Vec<u8>>::new());
    let mut at = 0;
    loop {
        match bytes[at] {
            0 => panic!("a pad before END (opnsense/core#7744)"),
            255 => return (order, options, at + 1),
            code => {
                let length = usize::from(bytes[at + 1]);
                order.push(code);
                options.entry(code).or_default().extend(&bytes[at + 2..at + 2 + length]);
                at += 2 + length;
            }
        }
    }
}
