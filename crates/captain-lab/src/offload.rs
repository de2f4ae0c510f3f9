//! Switches off what network cards do for the kernel: a frame that goes from a veth to a QEMU machine must
//! be whole, with its checksum and no longer than the MTU.

use std::io;
use std::os::fd::AsRawFd;

use socket2::{Domain, Socket, Type};

/// `SIOCETHTOOL` commands that set a switch (linux/ethtool.h), sender's ones first.
const SWITCHES: [u32; 6] = [
    0x17, // ETHTOOL_STXCSUM
    0x1f, // ETHTOOL_STSO
    0x24, // ETHTOOL_SGSO
    0x19, // ETHTOOL_SSG
    0x2c, // ETHTOOL_SGRO
    0x15, // ETHTOOL_SRXCSUM
];

/// `struct ethtool_value`.
#[repr(C)]
struct EthtoolValue {
    command: u32,
    data: u32,
}

/// Switches every offload of `interface` off; those that it does not have are passed over.
pub(crate) fn disable(interface: &str) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, None)?;
    for command in SWITCHES {
        match ethtool(&socket, interface, EthtoolValue { command, data: 0 }) {
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            result => result?,
        }
    }
    Ok(())
}

fn ethtool(socket: &Socket, interface: &str, mut value: EthtoolValue) -> io::Result<()> {
    // SAFETY: ifreq is plain numbers, for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if interface.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as libc::c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: SIOCETHTOOL takes an ifreq whose data points to the structure of its command; these commands
    // take an ethtool_value, which lives until the call returns.
    let result =
        unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL as libc::Ioctl, &raw mut request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
