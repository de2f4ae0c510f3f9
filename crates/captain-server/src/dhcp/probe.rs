//! Is an offered address in use already? ARP asks while the client decides (RFC 2131 section 2.2).

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use captain_dhcp::Probe;
use captain_model::Mac;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Found;
use crate::InterfaceSpec;
use crate::net::{arp, interface, packet::PacketSocket};

/// How long an answer counts.
const WAIT: Duration = Duration::from_millis(500);
/// Probes that wait for an answer at a time.
const OPEN: usize = 1024;

/// Where probes are asked for, and where answers come from. Without a packet socket nothing ever answers, which
/// the core takes for "free".
pub(super) fn start(
    interfaces: &[InterfaceSpec],
    socket: Option<PacketSocket>,
) -> io::Result<(mpsc::Sender<Ipv4Addr>, mpsc::Receiver<Found>)> {
    let (ask, asked) = mpsc::channel(OPEN);
    let (tell, found) = mpsc::channel(OPEN);
    let ports =
        interfaces.iter().filter_map(|own| Some((own.clone(), interface::mac_of(&own.name)?))).collect();
    let prober = Prober { ports, waiting: HashMap::new(), tell };
    match socket {
        Some(socket) => drop(tokio::spawn(prober.run(socket.watch()?, asked))),
        None => drop(tokio::spawn(prober.hold(asked))),
    }
    Ok((ask, found))
}

struct Prober {
    ports: Vec<(InterfaceSpec, Mac)>,
    waiting: HashMap<Ipv4Addr, Instant>,
    tell: mpsc::Sender<Found>,
}

impl Prober {
    async fn run(mut self, socket: AsyncFd<PacketSocket>, mut asked: mpsc::Receiver<Ipv4Addr>) {
        let mut buffer = [0; 128];
        loop {
            tokio::select! {
                address = asked.recv() => match address {
                    Some(address) => self.ask(socket.get_ref(), address),
                    None => return,
                },
                ready = socket.readable() => {
                    let Ok(mut ready) = ready else { return };
                    if let Ok(Ok(length)) = ready.try_io(|socket| socket.get_ref().receive(&mut buffer)) {
                        self.hear(&buffer[..length]);
                    }
                }
            }
        }
    }

    /// Keeps the channels open, asks nobody.
    async fn hold(self, mut asked: mpsc::Receiver<Ipv4Addr>) {
        while asked.recv().await.is_some() {}
    }

    fn ask(&mut self, socket: &PacketSocket, address: Ipv4Addr) {
        let now = Instant::now();
        if self.waiting.len() >= OPEN {
            self.waiting.retain(|_, until| *until > now);
        }
        let port = self.ports.iter().find(|(own, _)| own.network.contains(&address));
        let Some((own, mac)) = port.filter(|_| self.waiting.len() < OPEN) else { return };
        match socket.send(own.index, arp::BROADCAST, &arp::probe(*mac, address)) {
            Ok(()) => drop(self.waiting.insert(address, now + WAIT)),
            Err(error) => tracing::debug!(%address, "ARP probe: {error}"),
        }
    }

    fn hear(&mut self, packet: &[u8]) {
        let Some((address, mac)) = arp::announcement(packet) else { return };
        if self.waiting.remove(&address).is_some_and(|until| until > Instant::now()) {
            // The core is busy: the next probe of this address tells it.
            let _lost = self.tell.try_send((address, Probe::Used(Some(mac))));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_an_answer_to_an_open_probe_is_told() {
        let (tell, mut found) = mpsc::channel(4);
        let mut prober = Prober { ports: Vec::new(), waiting: HashMap::new(), tell };
        let address = Ipv4Addr::new(192, 168, 50, 100);
        let mut answer = vec![0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9, 192, 168, 50, 100];
        answer.extend([0; 10]);
        prober.hear(&answer);
        assert!(found.try_recv().is_err(), "nobody asked");
        prober.waiting.insert(address, Instant::now() + WAIT);
        prober.hear(&answer);
        assert_eq!(found.try_recv().unwrap(), (address, Probe::Used(Some(Mac::new([2, 0, 0, 0, 0, 9])))));
        prober.hear(&answer);
        assert!(found.try_recv().is_err(), "told once");
    }
}
