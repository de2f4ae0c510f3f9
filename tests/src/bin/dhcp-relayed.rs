//! A client behind a relay, as the relay has it: `dhcp-relayed SERVER GIADDR MAC WISH` asks twice, a second apart, for
//! the address WISH, and prints each address that it is offered.

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

use captain_tests::dhcp::{Message, kind};

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [server, giaddr, mac, wish] = words.as_slice() else {
        return Err("usage: dhcp-relayed SERVER GIADDR MAC WISH".into());
    };
    let (server, giaddr, wish): (Ipv4Addr, Ipv4Addr, Ipv4Addr) =
        (server.parse()?, giaddr.parse()?, wish.parse()?);
    let bytes: Vec<u8> = mac.split(':').map(|part| u8::from_str_radix(part, 16)).collect::<Result<_, _>>()?;
    let mac: [u8; 6] = bytes.try_into().map_err(|_| "a MAC has six bytes")?;
    let socket = UdpSocket::bind(SocketAddrV4::new(giaddr, 67))?;
    socket.set_read_timeout(Some(Duration::from_secs(3)))?;
    for xid in [1, 2] {
        let mut ask = Message::ask(kind::DISCOVER, mac, xid).with(50, &wish.octets());
        ask.giaddr = giaddr;
        socket.send_to(&ask.encode(), SocketAddrV4::new(server, 67))?;
        let mut buffer = [0; 1500];
        let length = socket.recv(&mut buffer)?;
        println!("{}", Message::decode(&buffer[..length]).ok_or("no DHCP message")?.yiaddr);
        std::thread::sleep(Duration::from_secs(1));
    }
    Ok(())
}
