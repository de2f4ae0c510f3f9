//! What a decision does to the lease table, and to the durable one.

use std::net::Ipv4Addr;
use std::time::Duration;

use captain_model::{Event, EventKind, Lease, Timestamp};

use crate::decide::Effect;
use crate::table::{Client, Table};
use crate::wire::{Message, Request};
use crate::{LeaseChange, Outcome, Settings, World};

/// BOOTP clients never renew, so their addresses are kept at least this long (RFC 1534 section 2).
const BOOTP_LEASE: Duration = Duration::from_secs(24 * 3600);

/// What an effect needs to know.
pub(crate) struct Turn<'a> {
    pub(crate) now: Timestamp,
    pub(crate) request: &'a Request,
    pub(crate) client: Client,
    pub(crate) lease_time: Duration,
    pub(crate) id_first: bool,
    pub(crate) settings: &'a Settings,
    pub(crate) world: &'a World<'a>,
}

impl Turn<'_> {
    /// Does it.
    pub(crate) fn apply(&self, table: &mut Table, effect: Effect, outcome: &mut Outcome) {
        match effect {
            Effect::None => {}
            Effect::Hold(address) => self.hold(table, address, outcome),
            Effect::Bind(address) => self.bind(table, address, outcome),
            Effect::Withdraw => self.withdraw(table, None),
            Effect::Release(address) => self.release(table, address, outcome),
            Effect::Decline(address) => self.decline(table, address, outcome),
        }
    }

    fn event(&self, kind: EventKind) -> Event {
        Event::new(self.now, self.request.mac, kind)
    }

    fn hold(&self, table: &mut Table, address: Ipv4Addr, outcome: &mut Outcome) {
        self.withdraw(table, Some(address));
        let had = table.of(&self.client, self.id_first).contains(&address);
        if self.settings.probe && !had {
            outcome.probes.push(address);
        }
        let vouched = self.world.inventory.machine_at(address).map_or_else(Vec::new, |one| one.macs.clone());
        let until = self.now.after(self.settings.offer_hold);
        table.edit(address, |entry| {
            entry.offer = Some((self.client.clone(), until));
            entry.vouched = vouched;
        });
    }

    /// Frees what was offered to the client, but for `keep`.
    fn withdraw(&self, table: &mut Table, keep: Option<Ipv4Addr>) {
        for address in table.of(&self.client, self.id_first).into_iter().filter(|own| Some(*own) != keep) {
            table.edit(address, |entry| {
                entry.offer.take_if(|(holder, _)| holder.is(&self.client, self.id_first));
            });
        }
    }

    fn bind(&self, table: &mut Table, address: Ipv4Addr, outcome: &mut Outcome) {
        self.withdraw(table, None);
        self.forget_others(table, address, outcome);
        let lease_time = match self.request.message {
            Message::Bootp => self.lease_time.max(BOOTP_LEASE),
            Message::Discover | Message::Request | Message::Decline | Message::Release | Message::Inform => {
                self.lease_time
            }
        };
        let lease = Lease {
            mac: self.request.mac,
            address,
            expires: self.now.after(lease_time),
            client_id: self.client.id.clone(),
            hostname: self.request.hostname.clone(),
        };
        table.edit(address, |entry| {
            entry.lease = Some(lease.clone());
            entry.offer = None;
            entry.probation = None;
        });
        outcome.leases.push(LeaseChange::Put(lease));
    }

    /// One client has one address in a subnet: its older ones there are free.
    fn forget_others(&self, table: &mut Table, address: Ipv4Addr, outcome: &mut Outcome) {
        let nets = &self.settings.subnets;
        let same_net =
            |other| nets.iter().any(|net| net.network.contains(&address) && net.network.contains(&other));
        for other in table.of(&self.client, self.id_first) {
            if other != address && same_net(other) {
                table.edit(other, |entry| {
                    entry.lease.take_if(|lease| Client::of(lease).is(&self.client, self.id_first));
                });
                outcome.leases.push(LeaseChange::Remove(other));
            }
        }
    }

    /// The address is free at once, but stays the client's favourite.
    fn release(&self, table: &mut Table, address: Ipv4Addr, outcome: &mut Outcome) {
        table.edit(address, |entry| {
            entry.offer = None;
            if let Some(lease) = &mut entry.lease {
                lease.expires = self.now;
                outcome.leases.push(LeaseChange::Put(lease.clone()));
            }
        });
        outcome.events.push(self.event(EventKind::LeaseReleased { address }));
    }

    fn decline(&self, table: &mut Table, address: Ipv4Addr, outcome: &mut Outcome) {
        let until = self.now.after(self.settings.probation);
        table.bar(address, until, &mut outcome.leases);
        outcome.events.push(self.event(EventKind::LeaseDeclined { address }));
    }
}
