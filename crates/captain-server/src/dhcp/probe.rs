//! Is an offered address in use already? ARP asks while the client decides, and ICMP echo beyond routers (RFC 2131
//! section 2.2).

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::time::Duration;

use captain_dhcp::Probe;
use captain_model::Mac;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::Found;
use crate::InterfaceSpec;
use crate::net::icmp::EchoSocket;
use crate::net::{arp, interface, packet::PacketSocket};

/// How long an answer counts.
const WAIT: Duration = Duration::from_millis(500);
/// Probes that wait for an answer at a time.
const OPEN: usize = 1024;

/// Where probes are asked for, and where answers come from. Without a socket nothing ever answers, which the core
/// takes for "free".
pub(super) fn start(
    interfaces: &[InterfaceSpec],
    arp: Option<PacketSocket>,
    echo: Option<EchoSocket>,
) -> io::Result<(mpsc::Sender<Ipv4Addr>, mpsc::Receiver<Found>)> {
    let (ask, asked) = mpsc::channel(OPEN);
    let (tell, found) = mpsc::channel(OPEN);
    let ports =
        interfaces.iter().filter_map(|own| Some((own.clone(), interface::mac_of(&own.name)?))).collect();
    let prober = Prober { ports, waiting: HashMap::new(), tell };
    let arp = arp.map(PacketSocket::watch).transpose()?;
    let echo = echo.map(EchoSocket::watch).transpose()?;
    tokio::spawn(prober.run(arp, echo, asked));
    Ok((ask, found))
}

struct Prober {
    ports: Vec<(InterfaceSpec, Mac)>,
    waiting: HashMap<Ipv4Addr, Instant>,
    tell: mpsc::Sender<Found>,
}

impl Prober {
    async fn run(
        mut self,
        arp: Option<AsyncFd<PacketSocket>>,
        echo: Option<AsyncFd<EchoSocket>>,
        mut asked: mpsc::Receiver<Ipv4Addr>,
    ) {
        let mut buffer = [0; 128];
        loop {
            tokio::select! {
                address = asked.recv() => match address {
                    Some(address) => self.ask(arp.as_ref(), echo.as_ref(), address),
                    None => return,
                },
                length = heard(arp.as_ref(), |socket| socket.receive(&mut buffer)) => {
                    if let Some((address, mac)) = length.and_then(|length| arp::announcement(&buffer[..length])) {
                        self.hear(address, Some(mac));
                    }
                }
                from = heard(echo.as_ref(), EchoSocket::receive) => {
                    if let Some(address) = from.flatten() {
                        self.hear(address, None);
                    }
                }
            }
        }
    }

    /// ARP on our own networks; ICMP echo, by whatever router leads there, for the others.
    fn ask(
        &mut self,
        arp: Option<&AsyncFd<PacketSocket>>,
        echo: Option<&AsyncFd<EchoSocket>>,
        address: Ipv4Addr,
    ) {
        let now = Instant::now();
        if self.waiting.len() >= OPEN {
            self.waiting.retain(|_, until| *until > now);
        }
        if self.waiting.len() >= OPEN {
            return;
        }
        let port = self.ports.iter().find(|(own, _)| own.is_near(address));
        let asked = match (port, arp, echo) {
            (Some((own, mac)), Some(arp), _) => {
                arp.get_ref().send(own.index, arp::BROADCAST, &arp::probe(*mac, address))
            }
            (None, _, Some(echo)) => echo.get_ref().send(address),
            (Some(_), None, _) | (None, _, None) => return,
        };
        match asked {
            Ok(()) => drop(self.waiting.insert(address, now + WAIT)),
            Err(error) => tracing::debug!(%address, "probing an address: {error}"),
        }
    }

    fn hear(&mut self, address: Ipv4Addr, by: Option<Mac>) {
        if self.waiting.remove(&address).is_some_and(|until| until > Instant::now()) {
            // The core is busy: the next probe of this address tells it.
            let _lost = self.tell.try_send((address, Probe::Used(by)));
        }
    }
}

/// What `receive` makes of the next thing that comes; never ready without a socket.
async fn heard<S: AsRawFd, T>(
    socket: Option<&AsyncFd<S>>,
    receive: impl FnOnce(&S) -> io::Result<T>,
) -> Option<T> {
    let Some(socket) = socket else { return std::future::pending().await };
    match socket.readable().await {
        Ok(mut ready) => ready.try_io(|socket| receive(socket.get_ref())).ok()?.ok(),
        // The runtime is going away.
        Err(_) => std::future::pending().await,
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
        let holder = Mac::new([2, 0, 0, 0, 0, 9]);
        prober.hear(address, Some(holder));
        assert!(found.try_recv().is_err(), "nobody asked");
        prober.waiting.insert(address, Instant::now() + WAIT);
        prober.hear(address, Some(holder));
        assert_eq!(found.try_recv().unwrap(), (address, Probe::Used(Some(holder))));
        prober.hear(address, Some(holder));
        assert!(found.try_recv().is_err(), "told once");
    }

    #[tokio::test]
    async fn beyond_routers_an_echo_is_what_asks() {
        let Ok(echo) = EchoSocket::open() else { return eprintln!("skipped: no CAP_NET_RAW here") };
        // Of no interface's network, as far as the prober knows: 127.0.0.9 stands for a host behind a router.
        let (ask, mut found) = start(&[], None, Some(echo)).unwrap();
        let used = Ipv4Addr::new(127, 0, 0, 9);
        ask.send(used).await.unwrap();
        let heard = tokio::time::timeout(Duration::from_secs(5), found.recv()).await.unwrap();
        assert_eq!(heard, Some((used, Probe::Used(None))));
    }
}
