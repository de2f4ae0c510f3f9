//! The DHCP loop: datagrams in, `captain_dhcp::Server`, leases to disk, then replies out.

mod outlet;
mod probe;
mod rivals;

use std::io;
use std::net::Ipv4Addr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use captain_dhcp::{Ingress, Outcome, Probe, Reply, Server, World};
use captain_model::{Event, EventKind, Timestamp};
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;

use crate::appliance::Appliance;
use crate::bind::PacketSockets;
use crate::clock::now;
use crate::net::udp::{DhcpSocket, LARGEST};
use crate::state::Record;

use outlet::Outlet;
use rivals::{Rivals, Sign, Stance};

/// Batches between the sockets and the core; more stay in the kernel's buffers.
const QUEUE: usize = 16;
/// Datagrams handled in one go.
const BATCH: usize = 64;
/// Jobs waiting for the disk beyond which no further datagram is taken.
const BACKLOG: usize = 512;
/// When the core wants to be woken for nothing.
const NEVER: Duration = Duration::from_secs(3600);

/// A datagram on its way to the core.
type Datagram = (Ingress, Vec<u8>);

/// What was found at an address.
type Found = (Ipv4Addr, Probe);

/// Answers DHCP until the appliance stops.
///
/// # Errors
/// A socket's.
pub(crate) async fn serve(
    appliance: Arc<Appliance>,
    sockets: Vec<DhcpSocket>,
    packet: PacketSockets,
) -> io::Result<()> {
    let interfaces = &appliance.settings.interfaces;
    let mode = appliance.settings.dhcp.mode;
    let core = appliance.settings.core(mode);
    let rivals = Rivals::start(mode, interfaces, core.own.clone(), packet.rivals)?;
    let sockets: Vec<Arc<DhcpSocket>> = sockets.into_iter().map(Arc::new).collect();
    let (to_core, mut inbox) = mpsc::channel(QUEUE);
    for socket in &sockets {
        tokio::spawn(receive(socket.watch()?, to_core.clone()));
    }
    drop(to_core);
    let (ask, found) = probe::start(interfaces, packet.arp, packet.echo)?;
    let server = Server::new(core, appliance.leases.all()).barring(appliance.leases.barred().iter().copied());
    let outlet = Arc::new(Outlet::new(sockets, packet.frames));
    let mut core = Core { appliance, server, outlet, ask, stance: rivals.stance(), rivals };
    core.run(&mut inbox, found).await
}

/// Moves datagrams from one socket to the core: all that wait, in one go.
async fn receive(socket: AsyncFd<Arc<DhcpSocket>>, core: mpsc::Sender<Vec<Datagram>>) {
    let mut buffer = vec![0; LARGEST];
    loop {
        let Ok(mut ready) = socket.readable().await else { return };
        let mut batch = Vec::new();
        let mut failed = None;
        while batch.len() < BATCH && failed.is_none() {
            match ready.try_io(|socket| socket.get_ref().receive(&mut buffer)) {
                Err(_would_block) => break,
                Ok(Ok(arrival)) => {
                    batch.push((socket.get_ref().ingress(arrival), buffer[..arrival.length].to_vec()));
                }
                Ok(Err(error)) => failed = Some(error),
            }
        }
        if !batch.is_empty() && core.send(batch).await.is_err() {
            return;
        }
        if let Some(error) = failed {
            tracing::debug!("DHCP: {error}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// What is to leave after a batch: at once, or after its leases are on disk.
#[derive(Default)]
struct Pending {
    ready: Vec<Reply>,
    records: Vec<Record>,
    held: Vec<Reply>,
}

struct Core {
    appliance: Arc<Appliance>,
    server: Server,
    outlet: Arc<Outlet>,
    ask: mpsc::Sender<Ipv4Addr>,
    rivals: Rivals,
    stance: Stance,
}

impl Core {
    async fn run(
        &mut self,
        inbox: &mut mpsc::Receiver<Vec<Datagram>>,
        mut found: mpsc::Receiver<Found>,
    ) -> io::Result<()> {
        let stop = self.appliance.stopping.clone();
        let mut rivals = self.rivals.clone();
        self.stand(rivals.stance());
        loop {
            let wake = self.server.next_deadline().map_or(NEVER, |deadline| deadline.since(now()));
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                batch = inbox.recv() => {
                    let batch = batch.ok_or_else(|| io::Error::other("the sockets are gone"))?;
                    let mut pending = Pending::default();
                    for (ingress, datagram) in batch {
                        self.answer(ingress, &datagram, &mut pending);
                    }
                    self.release(pending);
                }
                Some((address, found)) = found.recv() => {
                    let outcome = self.server.probe_result(now(), address, found);
                    self.dispatch(outcome);
                }
                () = rivals.changed() => self.stand(rivals.stance()),
                () = tokio::time::sleep(wake) => {
                    let outcome = self.server.handle_timeout(now());
                    self.dispatch(outcome);
                }
            }
            while self.appliance.state.backlog() > BACKLOG && !stop.is_cancelled() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// Takes up what is known of other DHCP servers, and says so.
    fn stand(&mut self, stance: Stance) {
        let Stance { mode, why, .. } = stance.clone();
        self.appliance.tell(None, EventKind::DhcpMode { mode, why: why.clone() });
        self.appliance.chose(mode, why);
        self.stance = stance;
    }

    /// A datagram that makes the core panic costs that datagram, not the service.
    fn answer(&mut self, ingress: Ingress, datagram: &[u8], pending: &mut Pending) {
        let at = now();
        match catch_unwind(AssertUnwindSafe(|| self.decide(at, ingress, datagram))) {
            Ok(outcome) => self.gather(outcome, pending),
            Err(_) => {
                tracing::error!(source = %ingress.source, "a DHCP datagram broke the server, please report it: {datagram:02x?}");
                let why = "it broke the server".to_owned();
                self.appliance.publish(Event::new(at, None, EventKind::Ignored { why }));
            }
        }
    }

    fn decide(&mut self, at: Timestamp, ingress: Ingress, datagram: &[u8]) -> Outcome {
        let (inventory, shelf) = (self.appliance.inventory.load(), self.appliance.shelf.load());
        let appliance = &self.appliance;
        let awaited = appliance.awaited.load_full();
        let world = World {
            inventory: &inventory,
            settled: &|mac| appliance.settled(mac),
            loaders: &|name| shelf.loader(name).is_some(),
            awaited: awaited.as_deref().map(String::as_str),
        };
        self.server.set_mode(self.stance.mode_on(ingress.interface));
        let outcome = self.server.handle(at, &world, ingress, datagram);
        if self.stance.held.contains(&ingress.interface) {
            self.rivals.tell(Sign::Heard(ingress.interface));
        } else if let Some(server) = outcome.rival {
            self.rivals.tell(Sign::Chosen(ingress.interface, server));
        }
        outcome
    }

    fn dispatch(&self, outcome: Outcome) {
        let mut pending = Pending::default();
        self.gather(outcome, &mut pending);
        self.release(pending);
    }

    /// Events first, so that a boot exists before its machine acts on the reply.
    fn gather(&self, outcome: Outcome, pending: &mut Pending) {
        self.appliance.follow_leases(&outcome.leases);
        for event in outcome.events {
            self.appliance.publish(event);
        }
        for address in outcome.probes {
            // A full queue means a probe less, which RFC 2131 section 2.2 allows (SHOULD).
            let _skipped = self.ask.try_send(address);
        }
        if outcome.leases.is_empty() {
            pending.ready.extend(outcome.replies);
        } else {
            pending.records.extend(outcome.leases.into_iter().map(Record::Lease));
            pending.held.extend(outcome.replies);
        }
    }

    /// Replies leave after the leases in them are on disk.
    fn release(&self, pending: Pending) {
        let Pending { ready, records, held } = pending;
        self.outlet.send_all(&ready);
        if records.is_empty() {
            return;
        }
        let outlet = self.outlet.clone();
        self.appliance.state.then(records, move |written| {
            if written {
                outlet.send_all(&held);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Disk;
    use captain_dhcp::{Destination, LeaseChange, Port, Reply};
    use captain_model::{Lease, Mac, UnknownMachines};
    use std::net::{SocketAddr, UdpSocket};

    #[tokio::test]
    async fn an_address_is_acknowledged_only_after_its_lease_is_synced_to_disk() {
        let (folder, mut settings) = crate::testing::settings(Vec::new(), UnknownMachines::Boot);
        let lo = settings.interfaces[0].clone();
        settings.dhcp.port = 0;
        let socket = DhcpSocket::open(&lo, Port::Server, &settings.dhcp).unwrap();
        let disk = Disk::default();
        let appliance = crate::testing::on_disk(&folder, settings, &disk);
        let server = Server::new(captain_dhcp::Settings::default(), []);
        let outlet = Arc::new(Outlet::new(vec![Arc::new(socket)], None));
        let rivals = Rivals::ignored(captain_model::DhcpMode::Dynamic, "configured");
        let (ask, stance) = (mpsc::channel(1).0, rivals.stance());
        let core = Core { appliance: appliance.clone(), server, outlet, ask, rivals, stance };

        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        let SocketAddr::V4(to) = client.local_addr().unwrap() else { panic!("bound to IPv4") };
        let lease = Lease {
            mac: Mac::new([2, 0, 0, 0, 0, 1]),
            address: Ipv4Addr::new(192, 168, 50, 100),
            expires: now(),
            client_id: None,
            hostname: None,
        };
        let outcome = |leases| Outcome {
            leases,
            replies: vec![Reply {
                interface: lo.index,
                from: lo.address,
                from_port: 67,
                to: Destination::Unicast(to),
                payload: b"reply".to_vec(),
            }],
            ..Outcome::default()
        };
        let mut buffer = [0; 16];
        core.dispatch(outcome(vec![LeaseChange::Put(lease.clone())]));
        assert_eq!(client.recv(&mut buffer).unwrap(), 5, "written, so sent");

        // fdatasync does not return: what was written is in the page cache, where a power cut would end it.
        let held = disk.hold();
        core.dispatch(outcome(vec![LeaseChange::Put(lease.clone())]));
        assert!(client.recv(&mut buffer).is_err(), "not synced, so not sent");
        assert!(disk.writes() > 0, "while it was written");
        drop(held);
        assert_eq!(client.recv(&mut buffer).unwrap(), 5, "synced, so sent");

        disk.fail(true);
        core.dispatch(outcome(vec![LeaseChange::Put(lease.clone())]));
        assert!(client.recv(&mut buffer).is_err(), "the disk refused it, so not sent");
        core.dispatch(outcome(Vec::new()));
        assert_eq!(client.recv(&mut buffer).unwrap(), 5, "nothing to write, so sent at once");

        disk.fail(false);
        for _ in 0..500 {
            if appliance.state.trouble().is_some() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        assert!(client.recv(&mut buffer).is_err(), "who waited has asked again long since");
        core.dispatch(outcome(vec![LeaseChange::Put(lease.clone())]));
        assert_eq!(client.recv(&mut buffer).unwrap(), 5, "the disk takes it again, so sent");
        appliance.state.close();
        core.dispatch(outcome(vec![LeaseChange::Put(lease)]));
        assert!(client.recv(&mut buffer).is_err(), "not written, so not sent");
    }
}
