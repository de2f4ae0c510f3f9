//! The lease table: for each address who has it, who it was offered to, and whether it is on probation.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::Ipv4Addr;

use captain_model::{Lease, Mac, Timestamp};

use crate::LeaseChange;

/// Who an address is for. Whether the MAC or option 61 decides is the subnet's rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Client {
    pub(crate) mac: Mac,
    pub(crate) id: Option<Vec<u8>>,
}

impl Client {
    /// The one who holds `lease`.
    pub(crate) fn of(lease: &Lease) -> Self {
        Self { mac: lease.mac, id: lease.client_id.clone() }
    }

    /// Whether both are one client: by option 61 where the subnet says so and one sent it, else by MAC.
    pub(crate) fn is(&self, other: &Self, id_first: bool) -> bool {
        if id_first && (self.id.is_some() || other.id.is_some()) {
            self.id == other.id
        } else {
            self.mac == other.mac
        }
    }
}

/// What is known of one address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Entry {
    /// Acknowledged, perhaps expired: kept so that the client finds its address again.
    pub(crate) lease: Option<Lease>,
    /// Offered, and until when it is held.
    pub(crate) offer: Option<(Client, Timestamp)>,
    /// The cards of the machine whose fixed address it is, where the offer was made for that.
    pub(crate) vouched: Vec<Mac>,
    /// Somebody unknown has it: not given out until then.
    pub(crate) probation: Option<Timestamp>,
}

impl Entry {
    fn is_empty(&self) -> bool {
        self.lease.is_none() && self.offer.is_none() && self.probation.is_none()
    }

    /// The lease, while it lasts.
    pub(crate) fn active(&self, now: Timestamp) -> Option<&Lease> {
        self.lease.as_ref().filter(|lease| lease.expires > now)
    }

    /// Who it is kept for now.
    pub(crate) fn holder(&self, now: Timestamp) -> Option<Client> {
        let offered = self.offer.as_ref().filter(|(_, until)| *until > now).map(|(client, _)| client.clone());
        self.active(now).map(Client::of).or(offered)
    }

    /// Whether it is on probation now.
    pub(crate) fn blocked(&self, now: Timestamp) -> bool {
        self.probation.is_some_and(|until| until > now)
    }

    fn clients(&self) -> Vec<Client> {
        let offered = self.offer.as_ref().map(|(client, _)| client.clone());
        self.lease.as_ref().map(Client::of).into_iter().chain(offered).collect()
    }
}

/// All entries, and the ways to find them. Every change goes through [`Table::edit`], so no index can lag.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    entries: BTreeMap<Ipv4Addr, Entry>,
    by_mac: HashMap<Mac, BTreeSet<Ipv4Addr>>,
    by_id: HashMap<Vec<u8>, BTreeSet<Ipv4Addr>>,
    /// Leases by expiry: the oldest expired one is reused first.
    expiry: BTreeSet<(Timestamp, Ipv4Addr)>,
    /// Ends of offers and probations.
    ends: BTreeSet<(Timestamp, Ipv4Addr)>,
}

impl Table {
    /// The entry of `address`.
    pub(crate) fn get(&self, address: Ipv4Addr) -> Option<&Entry> {
        self.entries.get(&address)
    }

    /// Changes the entry of `address`, making and dropping it as needed.
    pub(crate) fn edit(&mut self, address: Ipv4Addr, change: impl FnOnce(&mut Entry)) {
        let mut entry = self.entries.remove(&address).unwrap_or_default();
        self.unindex(address, &entry);
        change(&mut entry);
        if !entry.is_empty() {
            self.index(address, &entry);
            self.entries.insert(address, entry);
        }
    }

    /// Gives `address` to nobody until then; what is to become durable goes to `changes`.
    pub(crate) fn bar(&mut self, address: Ipv4Addr, until: Timestamp, changes: &mut Vec<LeaseChange>) {
        let had = self.get(address).is_some_and(|entry| entry.lease.is_some());
        self.edit(address, |entry| *entry = Entry { probation: Some(until), ..Entry::default() });
        changes.extend(had.then_some(LeaseChange::Remove(address)));
        changes.push(LeaseChange::Bar(address, until));
    }

    fn index(&mut self, address: Ipv4Addr, entry: &Entry) {
        for client in entry.clients() {
            self.by_mac.entry(client.mac).or_default().insert(address);
            if let Some(id) = client.id {
                self.by_id.entry(id).or_default().insert(address);
            }
        }
        self.expiry.extend(entry.lease.as_ref().map(|lease| (lease.expires, address)));
        self.ends.extend(ends(entry).map(|at| (at, address)));
    }

    fn unindex(&mut self, address: Ipv4Addr, entry: &Entry) {
        for client in entry.clients() {
            forget(&mut self.by_mac, &client.mac, address);
            if let Some(id) = client.id {
                forget(&mut self.by_id, &id, address);
            }
        }
        if let Some(lease) = &entry.lease {
            self.expiry.remove(&(lease.expires, address));
        }
        for at in ends(entry) {
            self.ends.remove(&(at, address));
        }
    }

    /// Addresses whose lease or offer is `client`'s; leases that last longest first.
    pub(crate) fn of(&self, client: &Client, id_first: bool) -> Vec<Ipv4Addr> {
        let by_id = client.id.as_ref().and_then(|id| self.by_id.get(id)).filter(|_| id_first);
        let addresses: BTreeSet<_> =
            self.by_mac.get(&client.mac).into_iter().chain(by_id).flatten().copied().collect();
        let mut own: Vec<_> = addresses
            .into_iter()
            .filter(|address| self.entries[address].clients().iter().any(|who| who.is(client, id_first)))
            .collect();
        own.sort_by_key(|address| {
            std::cmp::Reverse(self.entries[address].lease.as_ref().map(|lease| lease.expires))
        });
        own
    }

    /// Addresses whose leases have expired at `now`, the longest expired first.
    pub(crate) fn expired(&self, now: Timestamp) -> impl Iterator<Item = Ipv4Addr> {
        self.expiry.iter().take_while(move |(at, _)| *at <= now).map(|(_, address)| *address)
    }

    /// The addresses from `first` to `last` (not before it) that something is known of, in order.
    pub(crate) fn addresses(&self, first: Ipv4Addr, last: Ipv4Addr) -> impl Iterator<Item = Ipv4Addr> {
        self.entries.range(first..=last).map(|(address, _)| *address)
    }

    /// All leases, by address.
    pub(crate) fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.entries.values().filter_map(|entry| entry.lease.as_ref())
    }

    /// The lease of `mac` that lasts longest.
    pub(crate) fn lease_of(&self, mac: Mac) -> Option<&Lease> {
        let own = self.by_mac.get(&mac)?.iter().filter_map(|address| self.entries[address].lease.as_ref());
        own.filter(|lease| lease.mac == mac).max_by_key(|lease| lease.expires)
    }

    /// When the next offer or probation ends.
    pub(crate) fn next_end(&self) -> Option<Timestamp> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Forgets offers and probations that are over.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        while let Some(&(at, address)) = self.ends.first().filter(|(at, _)| *at <= now) {
            self.edit(address, |entry| {
                if entry.offer.take_if(|(_, until)| *until <= at).is_some() {
                    entry.vouched.clear();
                }
                entry.probation.take_if(|until| *until <= at);
            });
        }
    }
}

fn ends(entry: &Entry) -> impl Iterator<Item = Timestamp> {
    entry.offer.as_ref().map(|(_, until)| *until).into_iter().chain(entry.probation)
}

fn forget<K: std::hash::Hash + Eq>(index: &mut HashMap<K, BTreeSet<Ipv4Addr>>, key: &K, address: Ipv4Addr) {
    if let Some(addresses) = index.get_mut(key) {
        addresses.remove(&address);
        if addresses.is_empty() {
            index.remove(key);
        }
    }
}
