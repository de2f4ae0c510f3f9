//! Mode `auto`: is there another DHCP server? Asked as a client would, again and again.

mod offer;
mod watch;

use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use captain_model::{DhcpMode, Mac};
use tokio::io::unix::AsyncFd;
use tokio::sync::{mpsc, watch as channel};
use tokio::time::{Instant, interval, sleep_until};

use crate::InterfaceSpec;
use crate::net::packet::PacketSocket;
use crate::net::{arp, interface};

use offer::Offer;
pub(super) use watch::Stance;
use watch::Watch;

/// Between looks at the carriers.
const LINKS: Duration = Duration::from_secs(1);
/// A box that has run for longer than this has had its links for long, too; after a power cut it starts with its switch.
const STARTING: Duration = Duration::from_secs(120);
/// Signs that wait; more say nothing new.
const SIGNS: usize = 16;
/// When nothing is due.
const NEVER: Duration = Duration::from_secs(3600);

/// What the datagrams of clients tell of other servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    /// One came in by this interface.
    Heard(u32),
    /// A machine there has chosen this server.
    Chosen(u32, Ipv4Addr),
}

/// Says how to serve, and is told what comes in.
#[derive(Clone, Debug)]
pub(super) struct Rivals {
    stance: channel::Receiver<Stance>,
    signs: Option<mpsc::Sender<Sign>>,
}

impl Rivals {
    /// Nobody is looked for: this mode holds.
    pub(super) fn ignored(mode: DhcpMode, why: &str) -> Self {
        Self { stance: channel::channel(Stance::of(mode, why)).1, signs: None }
    }

    /// Looks for others where `configured` is `Auto`. `own` are all addresses of this box.
    ///
    /// # Errors
    /// The reactor's.
    pub(super) fn start(
        configured: DhcpMode,
        interfaces: &[InterfaceSpec],
        own: Vec<Ipv4Addr>,
        socket: Option<PacketSocket>,
    ) -> io::Result<Self> {
        if configured != DhcpMode::Auto {
            return Ok(Self::ignored(configured, "configured"));
        }
        let Some(socket) = socket else {
            let why = "without CAP_NET_RAW other DHCP servers cannot be looked for, and beside one no addresses may \
                       be given out: set [dhcp] mode = \"dynamic\" where there is none";
            return Ok(Self::ignored(DhcpMode::AutoProxy, why));
        };
        let (watch, socket) = (Watch::new(interfaces), socket.watch()?);
        let (tell, stance) = channel::channel(watch.stance());
        let (signs, inbox) = mpsc::channel(SIGNS);
        let xid = std::process::id() ^ 0x6361_7074;
        let interfaces = interfaces.to_vec();
        tokio::spawn(Looker { watch, interfaces, own, socket, xid, tell }.run(inbox));
        Ok(Self { stance, signs: Some(signs) })
    }

    /// How to serve now.
    pub(super) fn stance(&self) -> Stance {
        self.stance.borrow().clone()
    }

    /// Waits for another stance; for ever where none will come.
    pub(super) async fn changed(&mut self) {
        if self.stance.changed().await.is_err() {
            std::future::pending().await
        }
    }

    /// Passes a sign on. Where many wait, this one says nothing new.
    pub(super) fn tell(&self, sign: Sign) {
        let _told = self.signs.as_ref().map(|signs| signs.try_send(sign));
    }
}

/// The sockets and the clock around [`Watch`].
struct Looker {
    watch: Watch,
    interfaces: Vec<InterfaceSpec>,
    own: Vec<Ipv4Addr>,
    socket: AsyncFd<PacketSocket>,
    xid: u32,
    tell: channel::Sender<Stance>,
}

impl Looker {
    /// Until another server is found, or nobody wants to know any more.
    async fn run(mut self, mut signs: mpsc::Receiver<Sign>) {
        let mut links = interval(LINKS);
        let mut fresh = uptime().is_none_or(|since| since < STARTING);
        while !self.watch.is_over() {
            let wake = self.watch.next().unwrap_or_else(|| Instant::now() + NEVER);
            tokio::select! {
                _ = links.tick() => {
                    self.links(fresh);
                    fresh = true;
                }
                sign = signs.recv() => match sign {
                    Some(Sign::Heard(interface)) => self.watch.heard(Instant::now(), interface),
                    Some(Sign::Chosen(interface, server)) => {
                        self.watch.chosen(Instant::now(), interface, server);
                    }
                    None => return,
                },
                offer = listen(&self.socket, self.xid, &self.own) => match offer {
                    Ok(offer) => self.watch.found(offer.why()),
                    Err(error) => self.watch.found(format!("looking for other DHCP servers failed: {error}")),
                },
                () = sleep_until(wake) => {}
            }
            self.ask();
            let stance = self.watch.stance();
            self.tell.send_if_modified(|told| std::mem::replace(told, stance.clone()) != stance);
        }
    }

    fn links(&mut self, fresh: bool) {
        let running = interface::running();
        for one in &self.interfaces {
            self.watch.link(Instant::now(), one.index, running.contains(&one.name), fresh);
        }
    }

    fn ask(&mut self) {
        for index in self.watch.due(Instant::now()) {
            let Some(one) = self.interfaces.iter().find(|one| one.index == index) else { continue };
            let mac = interface::mac_of(&one.name).unwrap_or(Mac::new([2, 0, 0, 0, 0, 1]));
            let question = offer::discover(mac, self.xid);
            if let Err(error) = self.socket.get_ref().send(index, arp::BROADCAST, &question) {
                // Its link is going down, which the next look at the carriers tells.
                tracing::debug!("asking for other DHCP servers on {}: {error}", one.name);
            }
        }
    }
}

/// The next offer of somebody else.
async fn listen(socket: &AsyncFd<PacketSocket>, xid: u32, own: &[Ipv4Addr]) -> io::Result<Offer> {
    let mut buffer = [0; 2048];
    loop {
        let mut ready = socket.readable().await?;
        if let Ok(length) = ready.try_io(|socket| socket.get_ref().receive(&mut buffer))
            && let Some(offer) =
                offer::read(&buffer[..length?], xid).filter(|offer| !own.contains(&offer.server))
        {
            return Ok(offer);
        }
    }
}

/// How long this box has been running.
fn uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_the_right_to_look_no_addresses_are_given_out() {
        let stance = |mode| Rivals::start(mode, &[], Vec::new(), None).unwrap().stance();
        let Stance { mode, why, .. } = stance(DhcpMode::Auto);
        assert_eq!(mode, DhcpMode::AutoProxy);
        assert!(why.contains("CAP_NET_RAW"), "{why}");
        assert_eq!(stance(DhcpMode::Reservation).mode, DhcpMode::Reservation);
    }

    #[test]
    fn the_time_since_this_box_started_is_known() {
        assert!(uptime().unwrap() > Duration::ZERO);
    }
}
