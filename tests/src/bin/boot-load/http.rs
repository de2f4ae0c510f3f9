//! HTTP clients: a thread for each.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream};
use std::thread;

use socket2::{Domain, Socket, Type};

use super::{Sum, Task};

/// Loads the file once from each of `addresses`.
///
/// # Errors
/// The system gives no thread.
pub(super) fn load(task: &Task, addresses: &[Ipv4Addr]) -> Result<Sum, Box<dyn Error>> {
    let one = |own: &Ipv4Addr| {
        let (task, own) = (task.clone(), *own);
        thread::Builder::new().stack_size(1 << 18).spawn(move || download(&task, own))
    };
    let threads: Vec<_> = addresses.iter().map(one).collect::<io::Result<_>>()?;
    let mut sum = Sum::default();
    for thread in threads {
        match thread.join().map_err(|_| "a client panicked")? {
            Ok(got) => sum.bytes += got,
            Err(error) => {
                sum.failed += 1;
                eprintln!("a client failed: {error}");
            }
        }
    }
    Ok(sum)
}

/// Loads the file over one connection, `Content-Length` bytes.
fn download(task: &Task, own: Ipv4Addr) -> io::Result<u64> {
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
