//! ARP: is an address in use? Requests as a probe (RFC 5227 section 2.1.1), and the kernel's table.

use std::fs;
use std::net::Ipv4Addr;

use captain_model::Mac;

/// EtherType of ARP.
pub(crate) const ETHER_TYPE: u16 = 0x0806;

/// Where ARP requests go.
pub(crate) const BROADCAST: Mac = Mac::new([0xff; 6]);

/// An ARP request of `own` for `wanted`, with sender address zero so that nobody's table changes.
pub(crate) fn probe(own: Mac, wanted: Ipv4Addr) -> Vec<u8> {
    let mut packet = vec![0, 1, 8, 0, 6, 4, 0, 1];
    packet.extend(own.bytes());
    packet.extend([0; 4]);
    packet.extend([0; 6]);
    packet.extend(wanted.octets());
    packet
}

/// Who says in `packet` that which address is theirs.
pub(crate) fn announcement(packet: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let head = packet.get(..28)?;
    let (kind, operation) = (&head[..6], head[7]);
    if kind != [0, 1, 8, 0, 6, 4] || head[6] != 0 || !matches!(operation, 1 | 2) {
        return None;
    }
    let mac = Mac::new(head[8..14].try_into().ok()?);
    let address = Ipv4Addr::from(<[u8; 4]>::try_from(&head[14..18]).ok()?);
    (!address.is_unspecified() && mac.is_unicast()).then_some((address, mac))
}

/// The MAC that the kernel's ARP table has for `address`.
pub(crate) fn neighbour(address: Ipv4Addr) -> Option<Mac> {
    neighbour_in(&fs::read_to_string("/proc/net/arp").ok()?, address)
}

fn neighbour_in(table: &str, address: Ipv4Addr) -> Option<Mac> {
    let wanted = address.to_string();
    let line = table.lines().skip(1).find(|line| line.split_whitespace().next() == Some(&wanted))?;
    let mac: Mac = line.split_whitespace().nth(3)?.parse().ok()?;
    mac.is_unicast().then_some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_probe_names_the_holder() {
        let own = Mac::new([2, 0, 0, 0, 0, 1]);
        let wanted = Ipv4Addr::new(192, 168, 50, 100);
        assert_eq!(announcement(&probe(own, wanted)), None, "a probe announces nothing");
        let mut answer = vec![0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9, 192, 168, 50, 100];
        answer.extend([0; 10]);
        assert_eq!(announcement(&answer), Some((wanted, Mac::new([2, 0, 0, 0, 0, 9]))));
        assert_eq!(announcement(&answer[..20]), None);
    }

    #[test]
    fn the_kernels_table_is_read_and_incomplete_entries_are_not_machines() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
            192.168.50.100   0x1         0x2         52:54:00:00:00:01     *        br0\n\
            192.168.50.101   0x1         0x0         00:00:00:00:00:00     *        br0\n";
        let mac = "52:54:00:00:00:01".parse().unwrap();
        assert_eq!(neighbour_in(table, Ipv4Addr::new(192, 168, 50, 100)), Some(mac));
        assert_eq!(neighbour_in(table, Ipv4Addr::new(192, 168, 50, 101)), None);
        assert_eq!(neighbour_in(table, Ipv4Addr::new(192, 168, 50, 10)), None);
    }
}
