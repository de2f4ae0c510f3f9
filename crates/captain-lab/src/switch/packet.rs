//! An AF_PACKET socket with a receive ring in shared memory (packet_mmap, TPACKET_V2; packet(7)).
//!
//! The ring is why an ordinary user's lab does not lose frames: a plain socket's receive buffer is capped
//! by net.core.rmem_max (about 90 full frames by default), which a single TCP window overruns.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, Protocol, Socket, Type};

/// Room for one frame of the ring with its header: MTU 1500 and then some. A power of two.
const SLOT: usize = 2048;
/// Bytes of one block of the ring.
const BLOCK: usize = 1 << 18;
/// 16 MiB of ring: more than the TCP windows of all guests of one lab together.
const BLOCKS: usize = 64;
const SLOTS: usize = BLOCK / SLOT * BLOCKS;

/// Sends and receives whole Ethernet frames on one interface.
#[derive(Debug)]
pub struct PacketSocket {
    socket: Socket,
    ring: Ring,
    next: usize,
}

/// The mapped ring; unmapped when dropped.
#[derive(Debug)]
struct Ring(NonNull<u8>);

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for Ring {}

impl PacketSocket {
    /// Opens a socket for every frame that comes in at `interface`.
    ///
    /// # Errors
    /// No such interface, or no CAP_NET_RAW in this network namespace.
    pub fn open(interface: &str) -> io::Result<Self> {
        let every_protocol = (libc::ETH_P_ALL as u16).to_be();
        // Protocol 0 until the ring stands: frames would be queued beside it otherwise.
        let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking(), Some(Protocol::from(0)))?;
        set(&socket, libc::PACKET_VERSION, &(libc::tpacket_versions::TPACKET_V2 as libc::c_int))?;
        set(&socket, libc::PACKET_IGNORE_OUTGOING, &(1 as libc::c_int))?;
        let request = libc::tpacket_req {
            tp_block_size: BLOCK as u32,
            tp_block_nr: BLOCKS as u32,
            tp_frame_size: SLOT as u32,
            tp_frame_nr: SLOTS as u32,
        };
        set(&socket, libc::PACKET_RX_RING, &request)?;
        let ring = Ring::map(&socket)?;
        bind(&socket, if_nametoindex(interface)?, every_protocol)?;
        Ok(Self { socket, ring, next: 0 })
    }

    /// Hands every frame that has come in to `each`, `most` at most; how many there were.
    pub fn receive(&mut self, most: usize, mut each: impl FnMut(&[u8])) -> usize {
        for count in 0..most {
            let Some(frame) = self.ring.frame(self.next) else { return count };
            each(frame);
            self.ring.release(self.next);
            self.next = (self.next + 1) % SLOTS;
        }
        most
    }

    /// Sends one frame.
    ///
    /// # Errors
    /// The kernel's queue is full (`WouldBlock`), or the frame is longer than the interface's MTU.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.socket.send(frame).map(drop)
    }
}

impl AsFd for PacketSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Ring {
    const LENGTH: usize = BLOCK * BLOCKS;

    fn map(socket: &Socket) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping of the ring that this socket was just given; LENGTH is that ring's size.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), Self::LENGTH, access, libc::MAP_SHARED, socket.as_raw_fd(), 0)
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(at.cast()).map(Self).ok_or_else(|| io::Error::other("mmap gave null"))
    }

    fn header(&self, slot: usize) -> *mut libc::tpacket2_hdr {
        debug_assert!(slot < SLOTS);
        // SAFETY: slots follow one another without gaps (SLOT divides BLOCK), so this is inside the mapping.
        unsafe { self.0.as_ptr().add(slot * SLOT).cast() }
    }

    fn status(&self, slot: usize) -> &AtomicU32 {
        // SAFETY: the header is aligned and mapped as long as self; the kernel and we change the status
        // as one aligned 32-bit word each.
        unsafe { AtomicU32::from_ptr(&raw mut (*self.header(slot)).tp_status) }
    }

    /// The frame in `slot`, where the kernel has put one.
    fn frame(&self, slot: usize) -> Option<&[u8]> {
        if self.status(slot).load(Ordering::Acquire) & libc::TP_STATUS_USER == 0 {
            return None;
        }
        let header = self.header(slot);
        // SAFETY: the slot is ours until released; the kernel keeps tp_mac + tp_snaplen inside the slot, and
        // the `min` holds it to that.
        unsafe {
            let from = usize::from((*header).tp_mac).min(SLOT);
            let length = ((*header).tp_snaplen as usize).min(SLOT - from);
            Some(slice::from_raw_parts(header.cast::<u8>().add(from), length))
        }
    }

    fn release(&self, slot: usize) {
        self.status(slot).store(libc::TP_STATUS_KERNEL, Ordering::Release);
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: this is the mapping made in `map`, and no frame of it is borrowed any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), Self::LENGTH) };
    }
}

fn set<T>(socket: &Socket, option: libc::c_int, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: `value` is a live object of `length` bytes, of the type that the callers' option takes.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            option,
            std::ptr::from_ref(value).cast(),
            length,
        )
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn bind(socket: &Socket, interface: u32, protocol: u16) -> io::Result<()> {
    // SAFETY: sockaddr_ll is plain numbers, for which all zeroes is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16;
    address.sll_protocol = protocol;
    address.sll_ifindex = interface as i32;
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: `address` is a sockaddr_ll of `length` bytes.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
