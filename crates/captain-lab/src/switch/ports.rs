//! What can be plugged into the switch: an interface of this namespace, or a QEMU machine's network card.

use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::frames::{Frames, frame_header};
use super::packet::PacketSocket;

/// Frames taken from one port before the others have their turn.
const TURN: usize = 256;

/// What may wait for a machine that does not read, bytes. Above it new frames are dropped, as a switch does:
/// holding up the sender would hold up every other machine with it. It is larger than the TCP windows of
/// one guest together, so TCP does not meet it.
const QUEUE: usize = 16 << 20;

/// One port.
pub(super) enum Port {
    Interface(PacketSocket),
    Machine(Box<MachinePort>),
}

/// Why a port is to be closed.
#[derive(Debug)]
pub(super) struct Closed;

pub(super) struct MachinePort {
    stream: UnixStream,
    incoming: Frames,
    outgoing: Vec<u8>,
    sent: usize,
}

impl Port {
    pub(super) fn machine(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        let port = MachinePort { stream, incoming: Frames::default(), outgoing: Vec::new(), sent: 0 };
        Ok(Self::Machine(Box::new(port)))
    }

    /// Hands a turn's worth of frames that came in to `each`.
    pub(super) fn receive(&mut self, each: &mut impl FnMut(&[u8])) -> Result<(), Closed> {
        match self {
            Self::Interface(socket) => {
                socket.receive(TURN, each);
                Ok(())
            }
            Self::Machine(port) => port.receive(each),
        }
    }

    /// Takes `frame` for sending; whether it did.
    pub(super) fn send(&mut self, frame: &[u8]) -> bool {
        match self {
            Self::Interface(socket) => socket.send(frame).is_ok(),
            Self::Machine(port) => port.queue(frame),
        }
    }

    /// Sends what waits, as far as that goes now.
    pub(super) fn flush(&mut self) -> Result<(), Closed> {
        match self {
            Self::Interface(_) => Ok(()),
            Self::Machine(port) => port.flush(),
        }
    }

    /// Whether something waits to be sent.
    pub(super) fn is_waiting(&self) -> bool {
        match self {
            Self::Interface(_) => false,
            Self::Machine(port) => port.sent < port.outgoing.len(),
        }
    }
}

impl AsFd for Port {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Interface(socket) => socket.as_fd(),
            Self::Machine(port) => port.stream.as_fd(),
        }
    }
}

impl MachinePort {
    fn receive(&mut self, each: &mut impl FnMut(&[u8])) -> Result<(), Closed> {
        match self.incoming.read_from(&mut self.stream) {
            Ok(0) => return Err(Closed),
            Ok(_) => {}
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(_) => return Err(Closed),
        }
        while let Some(frame) = self.incoming.next_frame().map_err(|_| Closed)? {
            each(frame);
        }
        Ok(())
    }

    fn queue(&mut self, frame: &[u8]) -> bool {
        if self.outgoing.len() - self.sent + frame.len() > QUEUE {
            return false;
        }
        self.outgoing.extend_from_slice(&frame_header(frame));
        self.outgoing.extend_from_slice(frame);
        true
    }

    fn flush(&mut self) -> Result<(), Closed> {
        while self.sent < self.outgoing.len() {
            match self.stream.write(&self.outgoing[self.sent..]) {
                Ok(0) => return Err(Closed),
                Ok(count) => self.sent += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return Err(Closed),
            }
        }
        self.make_room();
        Ok(())
    }

    /// Forgets what was sent; moves the rest only when that is worth it.
    fn make_room(&mut self) {
        if self.sent == self.outgoing.len() {
            self.outgoing.clear();
            self.sent = 0;
        } else if self.sent > QUEUE / 4 {
            self.outgoing.drain(..self.sent);
            self.sent = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn plugged() -> (Port, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Port::machine(ours).unwrap(), theirs)
    }

    #[test]
    fn a_machine_that_does_not_read_loses_frames_and_later_gets_the_rest_in_order() {
        let (mut port, mut machine) = plugged();
        let mut accepted = 0_u32;
        while port.send(&[accepted.to_be_bytes().as_slice(), &[0; 1496]].concat()) {
            accepted += 1;
            port.flush().unwrap();
        }
        assert!(accepted as usize * 1500 > QUEUE - 1504 && port.is_waiting());
        for number in 0..accepted {
            port.flush().unwrap();
            let mut framed = [0; 1504];
            machine.read_exact(&mut framed).unwrap();
            assert_eq!(framed[..4], 1500_u32.to_be_bytes());
            assert_eq!(framed[4..8], number.to_be_bytes());
        }
        assert!(!port.is_waiting());
    }

    #[test]
    fn a_machine_that_is_switched_off_closes_its_port() {
        let (mut port, machine) = plugged();
        drop(machine);
        assert!(port.receive(&mut |_| ()).is_err());
        port.send(b"frame");
        assert!(port.flush().is_err());
    }
}
