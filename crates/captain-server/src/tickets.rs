//! Proofs that a report comes from a machine that was told of its boot: anybody on the network can name a MAC and
//! count boots.

use captain_model::{BootId, BootTicket, Mac};
use sha2::{Digest, Sha256};

/// Bytes of the key.
pub(crate) const KEY: usize = 32;

/// Makes tickets and knows its own.
#[derive(Default)]
pub(crate) struct Tickets {
    key: [u8; KEY],
}

impl std::fmt::Debug for Tickets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tickets(***)")
    }
}

impl Tickets {
    /// With this key, which is kept with the state: machines outlive the daemon.
    pub(crate) const fn new(key: [u8; KEY]) -> Self {
        Self { key }
    }

    /// What the machine of `mac` is told of `boot`.
    pub(crate) fn of(&self, boot: BootId, mac: Mac) -> BootTicket {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(boot.0.to_be_bytes());
        hash.update(mac.bytes());
        let digest = hash.finalize();
        let proof = digest.iter().take(8).fold(0, |proof, byte| proof << 8 | u64::from(*byte));
        BootTicket { boot, proof }
    }

    /// Whether the machine of `mac` was told this.
    pub(crate) fn made(&self, ticket: &BootTicket, mac: Mac) -> bool {
        self.of(ticket.boot, mac) == *ticket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_good_for_one_boot_of_one_machine_under_one_key() {
        let (one, other) = (Mac::new([2, 0, 0, 0, 0, 1]), Mac::new([2, 0, 0, 0, 0, 2]));
        let tickets = Tickets::new([7; KEY]);
        let ticket: BootTicket = tickets.of(BootId(0x1f), one).to_string().parse().unwrap();
        assert!(tickets.made(&ticket, one));
        assert!(!tickets.made(&ticket, other));
        assert!(!tickets.made(&BootTicket { boot: BootId(0x20), ..ticket }, one));
        assert!(!Tickets::new([8; KEY]).made(&ticket, one));
        assert_eq!(format!("{tickets:?}"), "Tickets(***)");
    }
}
