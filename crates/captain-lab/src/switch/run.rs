//! The switch's thread: waits for any port, takes a turn's frames from each, sends them on.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::packet::PacketSocket;
use super::pcap::PcapFile;
use super::ports::Port;
use super::table::{Forward, MacTable, PortId};

/// A running switch; stops when dropped.
#[derive(Debug)]
pub struct Switch {
    stop: Option<UnixStream>,
    thread: Option<JoinHandle<()>>,
}

impl Switch {
    /// Starts a switch that joins `interfaces` and every machine that connects to the socket `path`
    /// (`-netdev stream,server=off,addr.type=unix,addr.path=...`), and writes every frame to `pcap`.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn start(path: &Path, interfaces: Vec<PacketSocket>, pcap: Option<PcapFile>) -> io::Result<Self> {
        let listener = UnixListener::bind(path)?;
        listener.set_nonblocking(true)?;
        let (stop, stopped) = UnixStream::pair()?;
        let mut core = Core { pcap, ..Core::default() };
        for interface in interfaces {
            core.plug(Port::Interface(interface));
        }
        let work = move || core.run(&listener, &stopped);
        let thread = std::thread::Builder::new().name("switch".into()).spawn(work)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[derive(Default)]
struct Core {
    ports: BTreeMap<PortId, Port>,
    last_port: PortId,
    table: MacTable,
    pcap: Option<PcapFile>,
    dropped: u64,
}

impl Core {
    fn plug(&mut self, port: Port) {
        self.last_port += 1;
        self.ports.insert(self.last_port, port);
    }

    fn unplug(&mut self, id: PortId) {
        self.ports.remove(&id);
        self.table.forget(id);
    }

    /// Until the other end of `stopped` is closed.
    fn run(mut self, listener: &UnixListener, stopped: &UnixStream) {
        while let Some(ready) = self.wait(listener, stopped) {
            while let Ok((stream, _)) = listener.accept() {
                if let Ok(port) = Port::machine(stream) {
                    self.plug(port);
                }
            }
            ready.into_iter().for_each(|id| self.take_turn(id));
            self.flush();
        }
        if self.dropped > 0 {
            tracing::debug!(frames = self.dropped, "the lab's switch dropped frames");
        }
    }

    /// Waits until there is something to do; the ports that have something. `None`: stop.
    fn wait(&mut self, listener: &UnixListener, stopped: &UnixStream) -> Option<Vec<PortId>> {
        let (come_in, go_out) = (PollFlags::POLLIN, PollFlags::POLLIN | PollFlags::POLLOUT);
        let mut fds = vec![PollFd::new(stopped.as_fd(), come_in), PollFd::new(listener.as_fd(), come_in)];
        let flags = |port: &Port| if port.is_waiting() { go_out } else { come_in };
        fds.extend(self.ports.values().map(|port| PollFd::new(port.as_fd(), flags(port))));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(_) => return None,
        }
        let happened = |fd: &PollFd| fd.any().unwrap_or(true);
        if happened(&fds[0]) {
            return None;
        }
        let ready = self.ports.keys().zip(&fds[2..]).filter(|(_, fd)| happened(fd));
        Some(ready.map(|(id, _)| *id).collect())
    }

    /// Takes what came in at port `id` and queues it where it goes.
    fn take_turn(&mut self, id: PortId) {
        let Some(mut port) = self.ports.remove(&id) else { return };
        let result = port.receive(&mut |frame| self.pass_on(id, frame));
        self.ports.insert(id, port);
        if result.is_err() {
            self.unplug(id);
        }
    }

    fn pass_on(&mut self, from: PortId, frame: &[u8]) {
        self.capture(frame);
        let send = |port: &mut Port| self.dropped += u64::from(!port.send(frame));
        match self.table.forward(from, frame) {
            Forward::To(id) => self.ports.get_mut(&id).into_iter().for_each(send),
            // The sending port is not in `ports` during its turn.
            Forward::Flood => self.ports.values_mut().for_each(send),
            Forward::Back | Forward::Runt => {}
        }
    }

    /// A capture that cannot be written (a full disk) ends; the lab goes on.
    fn capture(&mut self, frame: &[u8]) {
        let Some(pcap) = &mut self.pcap else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Err(why) = pcap.write(now, frame) {
            tracing::warn!(%why, "the lab's capture ends here");
            self.pcap = None;
        }
    }

    fn flush(&mut self) {
        let flushed = self.ports.iter_mut().map(|(id, port)| (*id, port.flush()));
        let closed: Vec<_> = flushed.filter_map(|(id, result)| result.is_err().then_some(id)).collect();
        closed.into_iter().for_each(|id| self.unplug(id));
        if let Some(pcap) = &mut self.pcap {
            let _ = pcap.flush();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::time::Duration;

    use super::super::frames::frame_header;
    use super::*;

    struct Machine(UnixStream);

    impl Machine {
        fn plugged_into(path: &Path) -> Self {
            let stream = UnixStream::connect(path).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            Self(stream)
        }

        fn send(&mut self, frame: &[u8]) {
            self.0.write_all(&[&frame_header(frame), frame].concat()).unwrap();
        }

        fn receive(&mut self) -> Vec<u8> {
            let mut head = [0; 4];
            self.0.read_exact(&mut head).unwrap();
            let mut frame = vec![0; u32::from_be_bytes(head) as usize];
            self.0.read_exact(&mut frame).unwrap();
            frame
        }
    }

    fn frame(to: u8, from: u8, text: &str) -> Vec<u8> {
        let mac = |last| if last == 0xff { [0xff; 6] } else { [0x52, 0x54, 0, 0, 0, last] };
        [&mac(to), &mac(from), [8, 0].as_slice(), text.as_bytes()].concat()
    }

    #[test]
    fn three_machines_hear_broadcasts_and_only_their_own_unicasts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("switch");
        let capture = folder.path().join("all.pcap");
        let switch = Switch::start(&path, Vec::new(), Some(PcapFile::create(&capture).unwrap())).unwrap();
        let [mut a, mut b, mut c] = [(), (), ()].map(|()| Machine::plugged_into(&path));
        for (machine, number) in [(&mut a, 1), (&mut b, 2), (&mut c, 3)] {
            machine.send(&frame(0xff, number, "hello"));
        }
        // All were plugged in before the first spoke, so each hears both others.
        for machine in [&mut a, &mut b, &mut c] {
            machine.receive();
            machine.receive();
        }
        a.send(&frame(3, 1, "for c"));
        a.send(&frame(0xff, 1, "for all"));
        assert_eq!(b.receive(), frame(0xff, 1, "for all"));
        assert_eq!(c.receive(), frame(3, 1, "for c"));
        assert_eq!(c.receive(), frame(0xff, 1, "for all"));
        drop(switch);
        assert!(std::fs::metadata(&capture).unwrap().len() > 24 + 5 * 16);
    }
}
