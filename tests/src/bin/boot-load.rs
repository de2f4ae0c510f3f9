//! Many machines that load a file at one time, by TFTP (RFC 1350, 2348, 7440) or HTTP; prints what they got.
//!
//! `boot-load tftp SERVER:PORT FILE CLIENTS BLOCK WINDOW PAUSE FIRST`: windows of 1 are not asked for.
//! `boot-load http SERVER:PORT PATH CLIENTS BLOCK PAUSE FIRST`: BLOCK bytes are read at a time.
//!
//! PAUSE is milliseconds before each acknowledgement or read. 32 clients each share a source address, from FIRST on.
//! Standard output: `BYTES SECONDS MEGABYTES-PER-SECOND FAILED-CLIENTS`.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};

/// Clients behind one address.
const PER_ADDRESS: u32 = 32;
/// How long a client waits before it asks for the same again.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often it asks for the same before it gives up.
const TRIES: u32 = 8;

const DATA: u16 = 3;
const ERROR: u16 = 5;
const OACK: u16 = 6;

#[derive(Clone)]
struct Task {
    server: SocketAddrV4,
    file: String,
    block: usize,
    window: u16,
    pause: Duration,
}

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (way, clients, first, task) = match words.as_slice() {
        ["tftp", server, file, clients, block, window, pause, first] => (
            tftp as fn(&Task, Ipv4Addr) -> io::Result<u64>,
            clients,
            first,
            task(server, file, block, window, pause)?,
        ),
        ["http", server, file, clients, block, pause, first] => (
            http as fn(&Task, Ipv4Addr) -> io::Result<u64>,
            clients,
            first,
            task(server, file, block, "1", pause)?,
        ),
        _ => {
            return Err(
                "usage: boot-load tftp|http SERVER:PORT FILE CLIENTS BLOCK [WINDOW] PAUSE FIRST".into()
            );
        }
    };
    let (clients, first): (u32, Ipv4Addr) = (clients.parse()?, first.parse()?);
    let begin = Instant::now();
    let threads: Vec<_> = (0..clients)
        .map(|number| {
            let (task, own) = (task.clone(), Ipv4Addr::from(u32::from(first) + number / PER_ADDRESS));
            thread::Builder::new().stack_size(1 << 18).spawn(move || way(&task, own))
        })
        .collect::<io::Result<_>>()?;
    let (mut bytes, mut failed) = (0, 0);
    for thread in threads {
        match thread.join().map_err(|_| "a client panicked")? {
            Ok(got) => bytes += got,
            Err(error) => {
                failed += 1;
                eprintln!("a client failed: {error}");
            }
        }
    }
    let seconds = begin.elapsed().as_secs_f64();
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

/// Loads the file; the last acknowledgement is sent again when nothing comes.
fn tftp(task: &Task, own: Ipv4Addr) -> io::Result<u64> {
    let socket = UdpSocket::bind((own, 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let block = task.block.to_string();
    let mut last = [b"\0\x01", task.file.as_bytes(), b"\0octet\0blksize\0", block.as_bytes(), b"\0"].concat();
    if task.window > 1 {
        last.extend([b"windowsize\0", task.window.to_string().as_bytes(), b"\0"].concat());
    }
    let mut peer = SocketAddr::V4(task.server);
    let (mut expected, mut bytes, mut tries, mut since_ack) = (1_u16, 0, 0, 0_u16);
    let (mut block, mut window) = (512, 1);
    let mut buffer = vec![0; 65536];
    socket.send_to(&last, peer)?;
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer) else {
            tries += 1;
            if tries > TRIES {
                return Err(io::Error::other(format!("no answer after block {}", expected.wrapping_sub(1))));
            }
            socket.send_to(&last, peer)?;
            continue;
        };
        if length < 4 {
            continue;
        }
        match u16::from_be_bytes([buffer[0], buffer[1]]) {
            OACK => {
                peer = from;
                (block, window) = granted(&buffer[2..length]);
                last = ack(0);
            }
            DATA if u16::from_be_bytes([buffer[2], buffer[3]]) == expected => {
                peer = from;
                tries = 0;
                bytes += length as u64 - 4;
                let ended = length - 4 < block;
                last = ack(expected);
                expected = expected.wrapping_add(1);
                since_ack += 1;
                if since_ack < window && !ended {
                    continue;
                }
                thread::sleep(task.pause);
                if ended {
                    socket.send_to(&last, peer)?;
                    return Ok(bytes);
                }
            }
            // A gap in a window: say where it begins, once per window.
            DATA if since_ack > 0 => {}
            DATA => continue,
            ERROR => return Err(io::Error::other(String::from_utf8_lossy(&buffer[4..length]).into_owned())),
            _ => continue,
        }
        since_ack = 0;
        socket.send_to(&last, peer)?;
    }
}

fn ack(block: u16) -> Vec<u8> {
    [[0, 4], block.to_be_bytes()].concat()
}

/// Block and window size of an OACK.
fn granted(options: &[u8]) -> (usize, u16) {
    let words: Vec<_> = options.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let value = |name: &str| {
        let at = words.iter().position(|word| word.eq_ignore_ascii_case(name))?;
        words.get(at + 1)?.parse().ok()
    };
    (value("blksize").unwrap_or(512), value("windowsize").and_then(|size| size.try_into().ok()).unwrap_or(1))
}

/// Loads the file over one connection, `Content-Length` bytes.
fn http(task: &Task, own: Ipv4Addr) -> io::Result<u64> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddrV4::new(own, 0).into())?;
    socket.connect(&SocketAddr::V4(task.server).into())?;
    let mut stream = TcpStream::from(socket);
    write!(stream, "GET {} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", task.file, task.server)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let length: u64 =
        length.filter(|_| head.starts_with("http/1.1 200")).ok_or_else(|| io::Error::other(head.clone()))?;
    let (mut bytes, mut buffer) = (0, vec![0; task.block]);
    while bytes < length {
        thread::sleep(task.pause);
        match stream.read(&mut buffer)? {
            0 => return Err(io::Error::other(format!("ended after {bytes} of {length} bytes"))),
            got => bytes += got as u64,
        }
    }
    Ok(bytes)
}
