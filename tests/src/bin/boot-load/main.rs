//! Many machines that load a file at one time, by TFTP (RFC 1350, 2348, 7440) or HTTP; prints what they got.
//!
//! `boot-load tftp SERVER:PORT FILE CLIENTS BLOCK WINDOW PAUSE FIRST`: windows of 1 are not asked for.
//! `boot-load wire SERVER:PORT FILE CLIENTS BLOCK OWN INTERFACE`: TFTP in lock-step, answered by the interface itself.
//! `boot-load http SERVER:PORT PATH CLIENTS BLOCK PAUSE FIRST`: BLOCK bytes are read at a time.
//!
//! PAUSE is milliseconds before each acknowledgement or read. 32 clients each share a source address, from FIRST on.
//! Standard output: `BYTES SECONDS MEGABYTES-PER-SECOND FAILED-CLIENTS`.

mod bpf;
mod http;
mod tftp;
mod wire;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

/// Clients behind one address.
const PER_ADDRESS: u32 = 32;

/// What each client does.
#[derive(Clone)]
struct Task {
    server: SocketAddrV4,
    file: String,
    block: usize,
    window: u16,
    pause: Duration,
}

/// What all of them got.
#[derive(Default)]
struct Sum {
    bytes: u64,
    failed: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let begin = Instant::now();
    let sum = match words.as_slice() {
        ["tftp", server, file, clients, block, window, pause, first] => {
            tftp::load(&task(server, file, block, window, pause)?, &addresses(clients, first)?)?
        }
        ["wire", server, file, clients, block, own, interface] => {
            wire::load(&task(server, file, block, "1", "0")?, clients.parse()?, own, interface)?
        }
        ["http", server, file, clients, block, pause, first] => {
            http::load(&task(server, file, block, "1", pause)?, &addresses(clients, first)?)?
        }
        _ => {
            return Err(
                "usage: boot-load tftp|http SERVER:PORT FILE CLIENTS BLOCK [WINDOW] PAUSE FIRST\n       boot-load wire SERVER:PORT FILE CLIENTS BLOCK OWN INTERFACE".into()
            );
        }
    };
    let (seconds, Sum { bytes, failed }) = (begin.elapsed().as_secs_f64(), sum);
    println!("{bytes} {seconds:.2} {:.1} {failed}", bytes as f64 / seconds / 1e6);
    Ok(())
}

fn task(server: &str, file: &str, block: &str, window: &str, pause: &str) -> Result<Task, Box<dyn Error>> {
    Ok(Task {
        server: server.parse()?,
        file: file.to_owned(),
        block: block.parse()?,
        window: window.parse()?,
        pause: Duration::from_millis(pause.parse()?),
    })
}

/// The source address of each client.
fn addresses(clients: &str, first: &str) -> Result<Vec<Ipv4Addr>, Box<dyn Error>> {
    let (clients, first): (u32, Ipv4Addr) = (clients.parse()?, first.parse()?);
    Ok((0..clients).map(|number| Ipv4Addr::from(u32::from(first) + number / PER_ADDRESS)).collect())
}
