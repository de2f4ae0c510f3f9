//! Which address a client may have, and which it is offered.

use std::net::Ipv4Addr;

use captain_model::{DhcpMode, Inventory, Mac, Subnet, Timestamp};

use crate::table::{Client, Table};

/// How many neighbours are tried for a never-used address: bounds the work that one datagram can cause.
const SEARCH: usize = 65_536;

/// Everything that says whether an address may be a client's.
pub(crate) struct Pool<'a> {
    pub(crate) table: &'a Table,
    pub(crate) inventory: &'a Inventory,
    pub(crate) subnet: &'a Subnet,
    pub(crate) mode: DhcpMode,
    /// Our address and the relay's: never given away.
    pub(crate) taken: [Ipv4Addr; 2],
    /// All addresses of this box: nor are these.
    pub(crate) own: &'a [Ipv4Addr],
    pub(crate) now: Timestamp,
}

impl Pool<'_> {
    /// The fixed address of `mac`, where it lies in this subnet.
    pub(crate) fn fixed(&self, mac: Mac) -> Option<Ipv4Addr> {
        let address = self.inventory.machine(mac)?.address?;
        self.subnet.network.contains(&address).then_some(address)
    }

    /// Whether `client` may have `address` now.
    pub(crate) fn may_have(&self, client: &Client, address: Ipv4Addr) -> bool {
        let allowed = match self.fixed(client.mac).filter(|fixed| self.grantable(client, *fixed)) {
            Some(fixed) => fixed == address,
            None => self.dynamic(address),
        };
        allowed && self.grantable(client, address)
    }

    /// The address for `client`: its fixed one; the one it had; the one it asks for; one that nobody ever had,
    /// from a start that follows from its MAC; the one that has been expired for longest
    /// (RFC 2131 section 4.3.1).
    pub(crate) fn choose(&self, client: &Client, wish: Option<Ipv4Addr>) -> Option<Ipv4Addr> {
        let own = self.table.of(client, self.subnet.client_id_first).into_iter();
        let mut known = self.fixed(client.mac).into_iter().chain(own).chain(wish);
        known
            .find(|address| self.may_have(client, *address))
            .or_else(|| self.never_used(client))
            .or_else(|| self.table.expired(self.now).find(|address| self.may_have(client, *address)))
    }

    /// Whether nobody else has it or is promised it, and it can be a client's at all.
    fn grantable(&self, client: &Client, address: Ipv4Addr) -> bool {
        let free = self.table.get(address).is_none_or(|entry| {
            let holder = entry.holder(self.now);
            !entry.blocked(self.now) && holder.is_none_or(|who| self.same(&who, client, address))
        });
        self.usable(address) && free
    }

    /// Whether it is one that can be given to whoever comes: in the range, and no machine's fixed one.
    fn dynamic(&self, address: Ipv4Addr) -> bool {
        let in_range = self.subnet.range.is_some_and(|(first, last)| (first..=last).contains(&address));
        match self.mode {
            DhcpMode::Dynamic => in_range && self.inventory.machine_at(address).is_none(),
            DhcpMode::Reservation
            | DhcpMode::Auto
            | DhcpMode::Proxy
            | DhcpMode::AutoProxy
            | DhcpMode::Disabled => false,
        }
    }

    /// A host address of the subnet that is not a server's or router's.
    fn usable(&self, address: Ipv4Addr) -> bool {
        let network = self.subnet.network;
        let edge =
            network.prefix_len() < 31 && (address == network.network() || address == network.broadcast());
        network.contains(&address)
            && !edge
            && !self.taken.contains(&address)
            && !self.own.contains(&address)
            && self.subnet.router != Some(address)
    }

    /// One client, or two cards of the one machine that this address is fixed for: only one of them is up
    /// while the machine looks for a card to boot from.
    fn same(&self, holder: &Client, client: &Client, address: Ipv4Addr) -> bool {
        let siblings = self
            .inventory
            .machine_at(address)
            .is_some_and(|machine| machine.macs.contains(&holder.mac) && machine.macs.contains(&client.mac));
        siblings || holder.is(client, self.subnet.client_id_first)
    }

    /// From the client's start to the end of the range, then from its beginning.
    fn never_used(&self, client: &Client) -> Option<Ipv4Addr> {
        let (first, last) = self.subnet.range?;
        let size = u32::from(last).checked_sub(u32::from(first))?.saturating_add(1);
        let start = Ipv4Addr::from(u32::from(first) + hash(client.mac) % size);
        self.gap(client, start, last).or_else(|| self.gap(client, first, start))
    }

    /// The first address from `first` to `last` that the table does not know. Walks the table's own order:
    /// in a full range of 65,536 that is many times quicker than asking for each.
    fn gap(&self, client: &Client, first: Ipv4Addr, last: Ipv4Addr) -> Option<Ipv4Addr> {
        let mut known = self.table.addresses(first, last).map(u32::from).peekable();
        (u32::from(first)..=u32::from(last))
            .take(SEARCH)
            .filter(|address| known.next_if_eq(address).is_none())
            .map(Ipv4Addr::from)
            .find(|address| self.may_have(client, *address))
    }
}

/// FNV-1a: the same machine starts at the same address, in whichever order machines come.
fn hash(mac: Mac) -> u32 {
    mac.bytes().iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
