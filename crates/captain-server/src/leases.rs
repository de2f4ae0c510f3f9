//! Who has which address, as far as the shell needs it: HTTP and TFTP clients are told apart by it.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use captain_dhcp::LeaseChange;
use captain_model::{Lease, Mac, Timestamp};

/// Addresses learnt from URLs with a MAC in them; the oldest is forgotten beyond this.
const LEARNT: usize = 4096;

/// How long that counts: from a loader with a MAC in its name to the last file of a slow boot.
const REMEMBERED: Duration = Duration::from_secs(30 * 60);

/// A copy of the lease table, and addresses that machines showed up with under somebody else's DHCP.
#[derive(Debug, Default)]
pub(crate) struct Leases {
    table: RwLock<BTreeMap<Ipv4Addr, Lease>>,
    learnt: RwLock<VecDeque<Learnt>>,
    /// Addresses that nobody was to get when the appliance started, and until when.
    barred: Vec<(Ipv4Addr, Timestamp)>,
}

#[derive(Clone, Copy, Debug)]
struct Learnt {
    address: Ipv4Addr,
    mac: Mac,
    until: Timestamp,
}

impl Leases {
    /// A table with these leases, and addresses that nobody may get.
    pub(crate) fn new(leases: impl IntoIterator<Item = Lease>, barred: Vec<(Ipv4Addr, Timestamp)>) -> Self {
        let table = leases.into_iter().map(|lease| (lease.address, lease)).collect();
        Self { table: RwLock::new(table), learnt: RwLock::default(), barred }
    }

    /// What the DHCP core is to know of from before.
    pub(crate) fn barred(&self) -> &[(Ipv4Addr, Timestamp)] {
        &self.barred
    }

    /// Follows the DHCP core.
    pub(crate) fn apply(&self, changes: &[LeaseChange]) {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                LeaseChange::Put(lease) => drop(table.insert(lease.address, lease.clone())),
                LeaseChange::Remove(address) => drop(table.remove(address)),
                LeaseChange::Bar(..) => {}
            }
        }
    }

    /// Who has `address` at `now`.
    pub(crate) fn holder(&self, address: Ipv4Addr, now: Timestamp) -> Option<Mac> {
        let table = self.table.read().unwrap_or_else(PoisonError::into_inner);
        table.get(&address).filter(|lease| lease.expires > now).map(|lease| lease.mac)
    }

    /// All leases, by address.
    pub(crate) fn all(&self) -> Vec<Lease> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Remembers for some minutes that `mac` asked from `address` at `now` for something with its MAC in the name.
    pub(crate) fn learn(&self, address: Ipv4Addr, mac: Mac, now: Timestamp) {
        if !mac.is_unicast() {
            return;
        }
        let mut learnt = self.learnt.write().unwrap_or_else(PoisonError::into_inner);
        learnt.retain(|known| known.address != address);
        if learnt.len() == LEARNT {
            learnt.pop_front();
        }
        learnt.push_back(Learnt { address, mac, until: now.after(REMEMBERED) });
    }

    /// Who was last seen at `address`, as far as that counts at `now`.
    pub(crate) fn seen(&self, address: Ipv4Addr, now: Timestamp) -> Option<Mac> {
        let learnt = self.learnt.read().unwrap_or_else(PoisonError::into_inner);
        learnt.iter().find(|known| known.address == address && known.until > now).map(|known| known.mac)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_lease_identifies_nobody() {
        let address = Ipv4Addr::new(192, 168, 50, 100);
        let mac = Mac::new([2, 0, 0, 0, 0, 1]);
        let expires = Timestamp::from_millis(100);
        let leases =
            Leases::new([Lease { mac, address, expires, client_id: None, hostname: None }], Vec::new());
        assert_eq!(leases.holder(address, Timestamp::from_millis(99)), Some(mac));
        assert_eq!(leases.holder(address, Timestamp::from_millis(100)), None);
        leases.apply(&[LeaseChange::Remove(address)]);
        assert_eq!(leases.holder(address, Timestamp::default()), None);
    }

    #[test]
    fn learnt_addresses_are_bounded_and_the_newest_word_counts_for_some_minutes() {
        let leases = Leases::default();
        let now = Timestamp::from_millis(7);
        let address = |n: u32| Ipv4Addr::from_bits(0x0a00_0000 + n);
        for n in 0..=LEARNT as u32 {
            leases.learn(address(n), Mac::new([2, 0, 0, 0, 0, 1]), now);
        }
        assert_eq!(leases.seen(address(0), now), None);
        leases.learn(address(5), Mac::new([2, 0, 0, 0, 0, 2]), now);
        for nobody in [[0; 6], [0xff; 6], [1, 0, 0x5e, 0, 0, 1]] {
            leases.learn(address(5), Mac::new(nobody), now);
        }
        assert_eq!(leases.seen(address(5), now), Some(Mac::new([2, 0, 0, 0, 0, 2])));
        assert_eq!(leases.seen(address(5), now.after(REMEMBERED)), None);
    }
}
