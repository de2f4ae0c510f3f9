//! The state machine's door.

use std::net::Ipv4Addr;

use captain_model::{Lease, Mac, Timestamp};

use crate::{Ingress, Outcome, Probe, Settings, World};

/// The DHCP server: datagrams, probe results and deadlines in, [`Outcome`]s out.
#[derive(Clone, Debug)]
pub struct Server {
    settings: Settings,
    leases: Vec<Lease>,
}

impl Server {
    /// A server that remembers `leases` from before.
    pub fn new(settings: Settings, leases: impl IntoIterator<Item = Lease>) -> Self {
        Self { settings, leases: leases.into_iter().collect() }
    }

    /// Answers one datagram. Every datagram that gets no reply yields an `Ignored` event that says why.
    pub fn handle(&mut self, now: Timestamp, world: &World<'_>, ingress: Ingress, datagram: &[u8]) -> Outcome {
        let _ = (now, world, ingress, datagram, &self.settings);
        Outcome::default()
    }

    /// Tells what was found at an address of [`Outcome::probes`]. Silence (`Probe::Free`) need not be told.
    pub fn probe_result(&mut self, now: Timestamp, address: Ipv4Addr, found: Probe) -> Outcome {
        let _ = (now, address, found);
        Outcome::default()
    }

    /// Drops offers and probations whose time is over.
    pub fn handle_timeout(&mut self, now: Timestamp) -> Outcome {
        let _ = now;
        Outcome::default()
    }

    /// When [`Server::handle_timeout`] wants to be called.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        None
    }

    /// All leases that were acknowledged and not forgotten, expired ones too, by address.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.iter()
    }

    /// The lease of `mac` that lasts longest.
    pub fn lease_of(&self, mac: Mac) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.mac == mac)
    }
}
