//! The command line inside an ISO: a placeholder of fixed size is replaced, so that every offset stays.
//!
//! Tinkerbell's ISOs (Hook, CaptainOS) carry 1024 characters of noise where their boot loader's configuration has
//! the kernel's arguments. captaind's own carry the same ones with spaces behind them, which are room for more: such
//! an ISO is still right for a server that only knows the 1024.

use std::sync::LazyLock;

use captain_model::Cmdline;
use captain_model::cmdline::KERNEL_LIMIT;
use memchr::memmem::Finder;

use crate::{BootError, Facts};

/// Bytes of the placeholder that CaptainOS and Hook ISOs carry in their loader's configuration.
pub const ISO_PATCH_SIZE: usize = captain_model::iso::PLACEHOLDER_SIZE;

/// The placeholder.
pub const ISO_PLACEHOLDER: &[u8] = captain_model::iso::PLACEHOLDER.as_bytes();

/// Made once: it reads the whole placeholder to make its tables.
static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(ISO_PLACEHOLDER));

/// Most room that is used: what the kernel takes without its NUL.
const MOST: usize = KERNEL_LIMIT - 1;

/// A place in an ISO where a command line goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IsoRoom {
    /// Offset of its first byte in the ISO.
    pub offset: u64,
    /// Bytes: the placeholder, and the spaces behind it but for the last.
    pub length: usize,
}

/// The bytes that take the place of a placeholder with this room: the line, then spaces.
///
/// # Errors
/// The line is longer than the room: writing it would destroy what follows. Or it holds a character that GRUB, which
/// reads the configuration in the ISO, takes as its own.
pub fn iso_cmdline(facts: &Facts, cmdline: &Cmdline, room: usize) -> Result<Vec<u8>, BootError> {
    for (argument, shown) in cmdline.iter().zip(cmdline.masked_arguments()) {
        if argument.contains(|c| "\"'\\$;|&<>{}#".contains(c)) {
            return Err(BootError::IsoSyntax { machine: facts.who(), argument: shown.to_owned() });
        }
    }
    let mut patch = cmdline.to_string().into_bytes();
    if patch.len() > room {
        return Err(BootError::IsoFull { machine: facts.who(), length: patch.len(), room });
    }
    patch.resize(room, b' ');
    Ok(patch)
}

/// Finds the placeholders of an ISO that is read piece by piece, of whatever size the pieces are.
#[derive(Debug, Default)]
pub struct IsoSearch {
    /// What was read and may be the beginning of a placeholder, or of the spaces behind one.
    kept: Vec<u8>,
    /// Offset of its first byte.
    at: u64,
    rooms: Vec<IsoRoom>,
}

impl IsoSearch {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        self.look(false);
    }

    /// The places, in order, when all bytes were looked at.
    pub fn finish(mut self) -> Vec<IsoRoom> {
        self.look(true);
        self.rooms
    }

    fn look(&mut self, ended: bool) {
        let mut from = 0;
        while let Some(found) = FINDER.find(&self.kept[from..]).map(|found| from + found) {
            let tail = &self.kept[found + ISO_PATCH_SIZE..];
            let most = MOST + 1 - ISO_PATCH_SIZE;
            if tail.len() < most && !ended {
                return self.forget(found);
            }
            let spaces = tail.iter().take(most).take_while(|byte| **byte == b' ').count();
            // One space stays: something may follow on the line.
            let length = ISO_PATCH_SIZE + spaces.saturating_sub(1);
            self.rooms.push(IsoRoom { offset: self.at + found as u64, length });
            from = found + length;
        }
        self.forget(from.max(self.kept.len().saturating_sub(ISO_PATCH_SIZE - 1)));
    }

    fn forget(&mut self, count: usize) {
        self.kept.drain(..count);
        self.at += count as u64;
    }
}

#[cfg(test)]
mod tests;
