//! One DHCP client that goes through all messages, on its own box without a lease of its own; prints the answers.
//!
//! `dhcp-talk MAC OWN`: OWN is the address that the interface has already (for INFORM). Whatever address the server may
//! give must be local to the kernel, so that an answer sent there arrives. One line of JSON per step on standard output:
//! `{"step", "kind", "yiaddr", "ciaddr", "flags", "broadcast", "options": {"51": "00000258"}}`, `null` for silence.

use std::error::Error;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

use captain_tests::dhcp::{Message, kind};
use serde_json::{Map, Value, json};
use socket2::{Domain, Socket, Type};

/// dnsmasq, Kea and we answer within milliseconds.
const PATIENCE: Duration = Duration::from_secs(2);
/// Silence is believed after this long.
const SILENCE: Duration = Duration::from_millis(500);
const BROADCAST_FLAG: u16 = 0x8000;

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mac, own] = words.as_slice() else { return Err("usage: dhcp-talk MAC OWN".into()) };
    let bytes: Vec<u8> = mac.split(':').map(|part| u8::from_str_radix(part, 16)).collect::<Result<_, _>>()?;
    let mac = bytes.try_into().map_err(|_| "a MAC has six bytes")?;
    let mut talk =
        Talk { all: open(Ipv4Addr::UNSPECIFIED)?, broadcast: open(Ipv4Addr::BROADCAST)?, mac, xid: 100 };
    let anyone = Ipv4Addr::BROADCAST;

    // Whoever starts while this is said has not heard it: all begins anew then.
    talk.step("discover", talk.ask(kind::DISCOVER), anyone, PATIENCE)?.ok_or("no answer")?;
    let mut loud = talk.ask(kind::DISCOVER);
    loud.flags = BROADCAST_FLAG;
    let offer = talk.step("discover-broadcast", loud, anyone, PATIENCE)?.ok_or("no offer")?;
    let server: [u8; 4] = offer.option(54).ok_or("no option 54")?.try_into()?;
    let select = talk.ask(kind::REQUEST).with(54, &server).with(50, &offer.yiaddr.octets());
    let lease = talk.step("request", select.clone(), anyone, PATIENCE)?.ok_or("no acknowledgement")?;

    let reboot = talk.ask(kind::REQUEST).with(50, &lease.yiaddr.octets());
    talk.step("init-reboot", reboot, anyone, PATIENCE)?;
    let wrong = talk.ask(kind::REQUEST).with(50, &[10, 99, 99, 99]);
    talk.step("init-reboot-elsewhere", wrong, anyone, PATIENCE)?;
    let mut renew = talk.ask(kind::REQUEST);
    renew.ciaddr = lease.yiaddr;
    talk.step("renew", renew, server.into(), PATIENCE)?;
    let mut inform = talk.ask(kind::INFORM);
    inform.ciaddr = own.parse()?;
    talk.step("inform", inform, anyone, PATIENCE)?;
    let other = talk.ask(kind::REQUEST).with(54, &[192, 168, 50, 250]).with(50, &lease.yiaddr.octets());
    talk.step("request-to-another-server", other, anyone, SILENCE)?;
    let mut release = talk.ask(kind::RELEASE).with(54, &server);
    release.ciaddr = lease.yiaddr;
    talk.step("release", release, server.into(), SILENCE)?;
    talk.step("discover-again", talk.ask(kind::DISCOVER), anyone, PATIENCE)?;
    Ok(())
}

/// Port 68; the socket on the broadcast address hears broadcasts alone.
fn open(address: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    socket.bind_device(Some(b"c0"))?;
    socket.bind(&SocketAddrV4::new(address, 68).into())?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    Ok(socket.into())
}

struct Talk {
    all: UdpSocket,
    broadcast: UdpSocket,
    mac: [u8; 6],
    xid: u32,
}

impl Talk {
    fn ask(&self, kind: u8) -> Message {
        Message::ask(kind, self.mac, 0).with(55, &[1, 3, 6, 15, 51, 54, 58, 59])
    }

    fn step(
        &mut self,
        name: &str,
        mut message: Message,
        to: Ipv4Addr,
        patience: Duration,
    ) -> io::Result<Option<Message>> {
        self.xid += 1;
        message.xid = self.xid;
        self.all.send_to(&message.encode(), (to, 67))?;
        let answer = hear(&self.all, self.xid, patience);
        let loud = answer.is_some() && hear(&self.broadcast, self.xid, Duration::from_millis(50)).is_some();
        println!(
            "{}",
            answer.as_ref().map_or_else(|| json!({ "step": name, "kind": null }), |it| show(name, it, loud))
        );
        Ok(answer)
    }
}

/// The answer to `xid`, if it comes in time.
fn hear(socket: &UdpSocket, xid: u32, patience: Duration) -> Option<Message> {
    let begin = Instant::now();
    let mut buffer = [0; 2048];
    while begin.elapsed() < patience {
        if let Ok(length) = socket.recv(&mut buffer)
            && let Some(answer) = Message::decode(&buffer[..length]).filter(|it| it.op == 2 && it.xid == xid)
        {
            return Some(answer);
        }
    }
    None
}

fn show(step: &str, answer: &Message, broadcast: bool) -> Value {
    let hex = |value: &Vec<u8>| value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let options: Map<_, _> =
        answer.options.iter().map(|(code, value)| (code.to_string(), Value::from(hex(value)))).collect();
    json!({
        "step": step, "kind": answer.kind(), "yiaddr": answer.yiaddr, "ciaddr": answer.ciaddr,
        "flags": answer.flags, "broadcast": broadcast, "options": options,
    })
}
