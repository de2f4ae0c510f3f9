//! Where a frame goes: learning of addresses and the choice of ports. No sockets.

use std::collections::HashMap;

/// Number of a port, never used twice in one switch.
pub type PortId = u64;

/// Shortest frame that has two addresses and a type.
const HEADER_LEN: usize = 14;

/// Which addresses live behind which port.
#[derive(Debug, Default)]
pub struct MacTable {
    ports: HashMap<[u8; 6], PortId>,
}

/// Where a frame goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forward {
    /// To one port.
    To(PortId),
    /// To every port but the one it came from: a group address, or one not heard of yet.
    Flood,
    /// Nowhere: the destination is behind the port it came from.
    Back,
    /// Nowhere: too short to be a frame.
    Runt,
}

impl MacTable {
    /// Learns where `frame`'s sender is, and says where it goes.
    pub fn forward(&mut self, from: PortId, frame: &[u8]) -> Forward {
        if frame.len() < HEADER_LEN {
            return Forward::Runt;
        }
        let [to, sender] = [0, 6].map(|at| {
            let mut mac = [0; 6];
            mac.copy_from_slice(&frame[at..at + 6]);
            mac
        });
        if sender[0] & 1 == 0 {
            self.ports.insert(sender, from);
        }
        match self.ports.get(&to) {
            _ if to[0] & 1 == 1 => Forward::Flood,
            None => Forward::Flood,
            Some(port) if *port == from => Forward::Back,
            Some(port) => Forward::To(*port),
        }
    }

    /// Forgets everything behind a port that is gone.
    pub fn forget(&mut self, port: PortId) {
        self.ports.retain(|_, at| *at != port);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 6] = [0x52, 0x54, 0, 0, 0, 1];
    const B: [u8; 6] = [0x52, 0x54, 0, 0, 0, 2];
    const ALL: [u8; 6] = [0xff; 6];

    fn frame(to: [u8; 6], from: [u8; 6]) -> Vec<u8> {
        [to.as_slice(), &from, &[8, 0], b"payload"].concat()
    }

    #[test]
    fn unknown_and_group_addresses_are_flooded_and_known_ones_are_not() {
        let mut table = MacTable::default();
        assert_eq!(table.forward(1, &frame(B, A)), Forward::Flood, "B was not heard of yet");
        assert_eq!(table.forward(2, &frame(A, B)), Forward::To(1));
        assert_eq!(table.forward(1, &frame(B, A)), Forward::To(2));
        assert_eq!(table.forward(1, &frame(ALL, A)), Forward::Flood);
        assert_eq!(table.forward(1, &frame([1, 0, 0x5e, 0, 0, 1], A)), Forward::Flood);
    }

    #[test]
    fn a_machine_that_moves_is_followed_and_a_port_that_closes_is_forgotten() {
        let mut table = MacTable::default();
        table.forward(1, &frame(ALL, A));
        table.forward(3, &frame(ALL, A));
        assert_eq!(table.forward(2, &frame(A, B)), Forward::To(3));
        table.forget(3);
        assert_eq!(table.forward(2, &frame(A, B)), Forward::Flood);
    }

    #[test]
    fn frames_never_go_back_and_runts_and_group_senders_teach_nothing() {
        let mut table = MacTable::default();
        table.forward(1, &frame(ALL, A));
        table.forward(1, &frame(ALL, B));
        assert_eq!(table.forward(1, &frame(A, B)), Forward::Back);
        assert_eq!(table.forward(1, &frame(A, B)[..13]), Forward::Runt);
        table.forward(2, &frame(B, ALL));
        assert_eq!(table.forward(1, &frame(ALL, A)), Forward::Flood, "a group address is behind no port");
    }
}
