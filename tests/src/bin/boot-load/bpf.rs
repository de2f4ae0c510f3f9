//! As much of bpf(2) as a program of some dozen instructions in front of a network device (tcx) needs: an assembler with labels, array maps, links.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

// Instruction classes and operations: RFC 9669 section 4.
pub(super) const ADD: u8 = 0x07;
pub(super) const ADD_REGISTER: u8 = 0x0f;
pub(super) const SUBTRACT: u8 = 0x17;
pub(super) const AND: u8 = 0x57;
pub(super) const SHIFT_RIGHT: u8 = 0x77;
pub(super) const XOR: u8 = 0xa7;
pub(super) const MOVE: u8 = 0xb7;
pub(super) const MOVE_REGISTER: u8 = 0xbf;
pub(super) const IF_EQUAL: u8 = 0x15;
pub(super) const IF_AT_LEAST: u8 = 0x35;
pub(super) const IF_NOT_EQUAL: u8 = 0x55;
pub(super) const IF_ABOVE_REGISTER: u8 = 0x2d;
pub(super) const IF_NOT_EQUAL_REGISTER: u8 = 0x5d;
// Sizes of loads and stores.
pub(super) const WORD: u8 = 0x00;
pub(super) const HALF: u8 = 0x08;
pub(super) const BYTE: u8 = 0x10;
pub(super) const LONG: u8 = 0x18;
// The kernel's functions: include/uapi/linux/bpf.h.
pub(super) const LOOKUP: i32 = 1;
pub(super) const REDIRECT_PEER: i32 = 155;
pub(super) const CHANGE_TAIL: i32 = 38;

const MAP_CREATE: libc::c_long = 0;
const MAP_LOOKUP: libc::c_long = 1;
const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
const ARRAY: u32 = 2;
const CLASSIFIER: u32 = 3;
const ATTACH_INGRESS: u32 = 46;

/// Instructions, and the jumps among them that still want a place.
#[derive(Default)]
pub(super) struct Program {
    code: Vec<u64>,
    labels: HashMap<&'static str, usize>,
    jumps: Vec<(usize, &'static str)>,
}

impl Program {
    fn add(&mut self, operation: u8, to: u8, from: u8, offset: i16, value: i32) -> &mut Self {
        let [low, high] = offset.to_le_bytes();
        let [a, b, c, d] = value.to_le_bytes();
        self.code.push(u64::from_le_bytes([operation, from << 4 | to, low, high, a, b, c, d]));
        self
    }

    pub(super) fn immediate(&mut self, operation: u8, to: u8, value: i32) -> &mut Self {
        self.add(operation, to, 0, 0, value)
    }

    pub(super) fn register(&mut self, operation: u8, to: u8, from: u8) -> &mut Self {
        self.add(operation, to, from, 0, 0)
    }

    pub(super) fn load(&mut self, size: u8, to: u8, from: u8, offset: i16) -> &mut Self {
        self.add(0x61 | size, to, from, offset, 0)
    }

    pub(super) fn store(&mut self, size: u8, to: u8, offset: i16, from: u8) -> &mut Self {
        self.add(0x63 | size, to, from, offset, 0)
    }

    pub(super) fn store_immediate(&mut self, size: u8, to: u8, offset: i16, value: i32) -> &mut Self {
        self.add(0x62 | size, to, 0, offset, value)
    }

    /// A big-endian half word becomes one in the host's order.
    pub(super) fn swap(&mut self, register: u8) -> &mut Self {
        self.add(0xdc, register, 0, 0, 16)
    }

    /// The address of a map.
    pub(super) fn map(&mut self, to: u8, map: RawFd) -> &mut Self {
        self.add(0x18, to, 1, 0, map).add(0, 0, 0, 0, 0)
    }

    pub(super) fn call(&mut self, function: i32) -> &mut Self {
        self.add(0x85, 0, 0, 0, function)
    }

    pub(super) fn exit(&mut self) -> &mut Self {
        self.add(0x95, 0, 0, 0, 0)
    }

    pub(super) fn label(&mut self, name: &'static str) -> &mut Self {
        self.labels.insert(name, self.code.len());
        self
    }

    pub(super) fn jump(&mut self, condition: u8, left: u8, right: i32, label: &'static str) -> &mut Self {
        self.jumps.push((self.code.len(), label));
        self.add(condition, left, 0, 0, right)
    }

    pub(super) fn jump_register(
        &mut self,
        condition: u8,
        left: u8,
        right: u8,
        label: &'static str,
    ) -> &mut Self {
        self.jumps.push((self.code.len(), label));
        self.add(condition, left, right, 0, 0)
    }

    pub(super) fn always(&mut self, label: &'static str) -> &mut Self {
        self.jump(0x05, 0, 0, label)
    }

    /// The instructions with every jump's way in them.
    fn linked(&self) -> Result<Vec<u64>, String> {
        let mut code = self.code.clone();
        for &(at, label) in &self.jumps {
            let to = *self.labels.get(label).ok_or_else(|| format!("no place is called {label}"))?;
            let way =
                i16::try_from(to as i64 - at as i64 - 1).map_err(|_| format!("{label} is too far away"))?;
            code[at] |= u64::from(way.cast_unsigned()) << 16;
        }
        Ok(code)
    }

    /// Loads it into the kernel and has it see what the interface of that number takes in, until what is returned is
    /// dropped.
    ///
    /// # Errors
    /// The kernel's, with what its verifier says. It must be Linux 6.6 or later.
    pub(super) fn attach(&self, interface: u32) -> io::Result<[OwnedFd; 2]> {
        let code = self.linked().map_err(io::Error::other)?;
        let mut log = vec![0_u8; 65536];
        let mut attributes = [0_u64; 16];
        attributes[0] = words(CLASSIFIER, u32::try_from(code.len()).unwrap_or(u32::MAX));
        attributes[1] = code.as_ptr() as u64;
        attributes[2] = c"GPL".as_ptr() as u64;
        attributes[3] = words(1, u32::try_from(log.len()).unwrap_or(0));
        attributes[4] = log.as_mut_ptr() as u64;
        let program = call(PROG_LOAD, &mut attributes).map_err(|error| {
            let said = String::from_utf8_lossy(&log);
            io::Error::new(error.kind(), format!("{error}: {}", said.trim_end_matches('\0')))
        })?;
        let mut attributes = [0_u64; 16];
        attributes[0] = words(program.as_raw_fd().cast_unsigned(), interface);
        attributes[1] = words(ATTACH_INGRESS, 0);
        Ok([call(LINK_CREATE, &mut attributes)?, program])
    }
}

/// The number of an interface.
///
/// # Errors
/// There is none of that name.
pub(super) fn number(interface: &str) -> io::Result<u32> {
    let name = CString::new(interface)?;
    // SAFETY: a string that ends with zero.
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        number => Ok(number),
    }
}

/// An array of `count` values of `size` bytes.
///
/// # Errors
/// The kernel's.
pub(super) fn create_array(size: usize, count: u32) -> io::Result<OwnedFd> {
    let mut attributes = [0_u64; 16];
    attributes[0] = words(ARRAY, 4);
    attributes[1] = words(u32::try_from(size).map_err(io::Error::other)?, count);
    call(MAP_CREATE, &mut attributes)
}

/// The value at `index` of an array whose values have `SIZE` bytes.
///
/// # Errors
/// The kernel's: there is no such index.
pub(super) fn look_up<const SIZE: usize>(array: &OwnedFd, index: u32) -> io::Result<[u8; SIZE]> {
    let mut value = [0; SIZE];
    let mut attributes = [0_u64; 16];
    attributes[0] = words(array.as_raw_fd().cast_unsigned(), 0);
    attributes[1] = (&raw const index) as u64;
    attributes[2] = value.as_mut_ptr() as u64;
    // SAFETY: the addresses are those of a live index and of room for a whole value.
    match unsafe { bpf(MAP_LOOKUP, &mut attributes) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(value),
    }
}

fn words(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

fn call(command: libc::c_long, attributes: &mut [u64; 16]) -> io::Result<OwnedFd> {
    // SAFETY: the callers put in addresses of what lives until this returns.
    let got = unsafe { bpf(command, attributes) };
    let descriptor = RawFd::try_from(got).map_err(io::Error::other)?;
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just made it, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// # Safety
/// Addresses in the attributes are of live memory, as long as the command takes them to be.
unsafe fn bpf(command: libc::c_long, attributes: &mut [u64; 16]) -> libc::c_long {
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size_of_val(attributes)) }
}
