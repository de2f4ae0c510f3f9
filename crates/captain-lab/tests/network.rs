//! The lab's network on this kernel. Skipped, with the reason, where the kernel does not allow namespaces.

use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use captain_lab::network::{DAEMON, NEIGHBOUR, Network};
use captain_lab::switch::frame_header;
use nix::sched::{CloneFlags, setns};

const MIB: usize = 1 << 20;

fn main() -> io::Result<()> {
    match captain_lab::enter_namespace() {
        Ok(()) => {}
        Err(error) if error.is_permission() => {
            println!("skipped: {error}");
            return Ok(());
        }
        Err(error) => return Err(io::Error::other(error)),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("switch");
    let network = runtime.block_on(Network::start(&socket, true, None)).map_err(io::Error::other)?;
    assert_eq!(nix::unistd::getpid().as_raw(), 1, "the first process of its namespace");
    a_machine_finds_the_daemon_by_arp(&socket)?;
    both_servers_talk_through_the_switch(&network)?;
    println!("network: ok");
    Ok(())
}

/// A machine (this test, on a QEMU socket) asks who has the daemon's address; the kernel answers.
fn a_machine_finds_the_daemon_by_arp(socket: &std::path::Path) -> io::Result<()> {
    let own = [0x52, 0x54, 0, 0, 0, 1];
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 1], own.as_slice(), &[192, 168, 50, 100], &[0; 6], &DAEMON.octets()];
    let mut frame = [&[0xff; 6], own.as_slice(), &[8, 6], &arp.concat()].concat();
    frame.resize(60, 0);
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&[&frame_header(&frame), frame.as_slice()].concat())?;
    loop {
        let mut head = [0; 4];
        stream.read_exact(&mut head)?;
        let mut frame = vec![0; u32::from_be_bytes(head) as usize];
        stream.read_exact(&mut frame)?;
        if frame[..6] == own && frame[12..14] == [8, 6] {
            assert_eq!(frame[20..22], [0, 2], "an ARP reply");
            assert_eq!(frame[28..32], DAEMON.octets());
            return Ok(());
        }
    }
}

/// A TCP stream from the daemon's namespace to the neighbour's arrives whole: every frame had its checksum.
fn both_servers_talk_through_the_switch(network: &Network) -> io::Result<()> {
    const SIZE: usize = 64 * MIB;
    let listener = TcpListener::bind(SocketAddrV4::new(DAEMON, 8000))?;
    let space = network.neighbour().ok_or(io::ErrorKind::NotFound)?.try_clone()?;
    let reader = std::thread::spawn(move || -> io::Result<(usize, bool, std::net::SocketAddr)> {
        setns(space.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let mut stream = TcpStream::connect(SocketAddrV4::new(DAEMON, 8000))?;
        let (mut buffer, mut count, mut right) = (vec![0; MIB], 0, true);
        loop {
            let length = stream.read(&mut buffer)?;
            if length == 0 {
                return Ok((count, right, stream.local_addr()?));
            }
            right &= buffer[..length].iter().enumerate().all(|(at, byte)| *byte == (count + at) as u8);
            count += length;
        }
    });
    let (mut stream, peer) = listener.accept()?;
    let started = Instant::now();
    let data: Vec<u8> = (0..MIB).map(|at| at as u8).collect();
    for _ in 0..SIZE / MIB {
        stream.write_all(&data)?;
    }
    drop(stream);
    let (count, right, local) = reader.join().map_err(|_| io::Error::other("reader panicked"))??;
    assert_eq!((count, right), (SIZE, true));
    assert_eq!((peer.ip(), local.ip()), (NEIGHBOUR.into(), NEIGHBOUR.into()));
    println!("switch: {:.0} MiB/s", (SIZE / MIB) as f64 / started.elapsed().as_secs_f64());
    Ok(())
}
