//! The rows: what the client does, over which path, and where it is written that this must go well.

use crate::air::Fate::{Again, Late, Lost, Twice};
use crate::air::Of::{Ack, Ask, Data, Error, Oack};
use crate::air::{CALM, Of, Rule, Weather};
use crate::receiver::Manner;

/// What a client does, and what must come of it.
#[derive(Clone, Copy)]
pub(crate) enum Act {
    /// Reads the file, and gets it whole.
    Get,
    /// Asks this, and gets an ERROR with this code and these words.
    Refused(&'static [u8], u16, &'static str),
    /// Wants the size only, and ends it with ERROR 8: not a failure.
    Probe,
    /// Ends it with an ERROR after so many blocks, and hears no more.
    Abort(usize),
    /// Starts again after so many blocks, from the same port, with another file, and gets that one whole.
    Anew(usize),
    /// Is gone after so many blocks: its place becomes free.
    Gone(usize),
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) source: &'static str,
    pub(crate) act: Act,
    pub(crate) size: usize,
    pub(crate) options: &'static str,
    pub(crate) manner: Manner,
    pub(crate) rules: &'static [Rule],
    pub(crate) weather: Weather,
    /// How often such a datagram is sent: at least, at most.
    pub(crate) seen: &'static [(Of, usize, usize)],
    /// Blocks that are sent at most, of those that are needed.
    pub(crate) most_percent: usize,
}

/// Bytes of the file that a client asks for which starts again.
pub(crate) const OTHER: usize = 12_345;

const MANY: usize = usize::MAX;
const LOSS: Weather = Weather { loss: 5, ..CALM };
const DOUBLES: Weather = Weather { twice: 30, ..CALM };
const MIXED: Weather = Weather { late: 20, ..CALM };
const AWFUL: Weather = Weather { loss: 8, twice: 8, late: 12 };

const BLK: &str = "blksize 1468 ";
const W4: &str = "blksize 512 windowsize 4 ";
const W16: &str = "blksize 512 windowsize 16 tsize 0 ";
const W64: &str = "blksize 1468 windowsize 64 ";
const TINY: &str = "blksize 8 windowsize 64 ";
/// Blocks of 8 bytes until the number is 65535.
const WRAP: usize = 65_535 * 8;

const fn get(name: &'static str, source: &'static str, size: usize, options: &'static str) -> Case {
    let (act, manner, most_percent) = (Act::Get, Manner::Plain, 200);
    Case { name, source, act, size, options, manner, rules: &[], weather: CALM, seen: &[], most_percent }
}

const fn refused(
    name: &'static str,
    source: &'static str,
    request: &'static [u8],
    code: u16,
    words: &'static str,
) -> Case {
    get(name, source, OTHER, "").doing(Act::Refused(request, code, words))
}

impl Case {
    const fn doing(mut self, act: Act) -> Self {
        self.act = act;
        self
    }

    const fn by(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    const fn over(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    /// Windows begin again at each gap (RFC 7440 section 4), which costs about half a window each time.
    const fn through(mut self, weather: Weather, most_percent: usize) -> Self {
        self.weather = weather;
        self.most_percent = most_percent;
        self
    }

    const fn seen(mut self, seen: &'static [(Of, usize, usize)]) -> Self {
        self.seen = seen;
        self
    }
}

#[rustfmt::skip]
pub(crate) const CASES: &[Case] = &[
    // Where a file ends.
    get("an empty file is one empty block", "RFC 1350 section 6", 0, "").seen(&[(Data(1), 1, MANY), (Data(2), 0, 0)]),
    get("an empty file with a size", "RFC 2349", 0, "tsize 0 "),
    get("an empty file in a window", "RFC 7440 section 4", 0, W16),
    get("one byte", "RFC 1350 section 6", 1, ""),
    get("one less than a block", "RFC 1350 section 6", 511, "").seen(&[(Data(2), 0, 0)]),
    get("exactly a block ends with an empty one", "RFC 1350 section 6; PyPXE#160", 512, "").seen(&[(Data(2), 1, MANY), (Data(3), 0, 0)]),
    get("one more than a block", "RFC 1350 section 6", 513, ""),
    get("exactly twenty blocks", "RFC 1350 section 6", 20 * 512, "").seen(&[(Data(21), 1, MANY)]),
    get("exactly twenty large blocks", "RFC 2348", 20 * 1468, BLK).seen(&[(Data(21), 1, MANY)]),
    get("exactly two windows", "RFC 7440 section 4", 8 * 512, W4).seen(&[(Data(9), 1, MANY)]),
    get("less than a window", "RFC 7440 section 4", 2 * 512 + 3, W4),
    // Options.
    get("no options, no OACK", "RFC 2347; PyPXE#125", 3000, "").seen(&[(Oack, 0, 0)]),
    get("an unknown option alone is none", "RFC 2347", 3000, "multicast 1 ").seen(&[(Oack, 0, 0)]),
    get("an unknown option beside a known one", "RFC 2347", 3000, "blksize 700 x-y 1 ").seen(&[(Oack, 1, MANY)]),
    get("options in capitals", "RFC 2347: case-insensitive", 3000, "BLKSIZE 700 TSIZE 0 ").seen(&[(Oack, 1, MANY), (Data(5), 1, MANY), (Data(6), 0, 0)]),
    get("the smallest block", "RFC 2348: 8 bytes", 1000, "blksize 8 ").seen(&[(Data(126), 1, MANY)]),
    get("the largest block", "RFC 2348: 65464 bytes", 200_000, "blksize 65464 ").seen(&[(Data(4), 1, MANY), (Data(5), 0, 0)]),
    get("PXELINUX's block", "syslinux core/fs/pxe: 1408", 50_000, "tsize 0 blksize 1408 "),
    get("a Raspberry Pi's block", "rpi-eeprom#25: 1024 at most", 50_000, "tsize 0 blksize 1024 "),
    get("a chosen timeout", "RFC 2349", 5000, "timeout 1 "),
    get("a window alone", "RFC 7440 section 3", 20_000, "windowsize 8 "),
    get("a window beyond the server's", "RFC 7440 section 3: the server may lower it", 60_000, "windowsize 65535 "),
    // One thing lost, in lock-step.
    get("the request is lost twice", "RFC 1350 section 4", OTHER, "").over(&[(Ask, 2, Lost)]).seen(&[(Ask, 3, MANY)]),
    get("the request comes twice", "RFC 1350 section 4: one transfer", OTHER, "").over(&[(Ask, 1, Twice)]),
    get("the OACK is lost", "RFC 2347", OTHER, BLK).over(&[(Oack, 1, Lost)]).seen(&[(Oack, 2, MANY)]),
    get("the OACK is lost twice", "RFC 2347", OTHER, BLK).over(&[(Oack, 2, Lost)]).seen(&[(Oack, 3, MANY)]),
    get("the OACK comes twice", "RFC 2347", OTHER, BLK).over(&[(Oack, 1, Twice)]),
    get("the OACK's acknowledgement is lost", "RFC 2347: ACK of block 0", OTHER, BLK).over(&[(Ack(0), 1, Lost)]).seen(&[(Ack(0), 2, MANY)]),
    get("the first block is lost", "RFC 1350 section 2", OTHER, "").over(&[(Data(1), 1, Lost)]).seen(&[(Data(1), 2, MANY)]),
    get("the first acknowledgement is lost", "RFC 1350 section 2", OTHER, "").over(&[(Ack(1), 1, Lost)]),
    get("a block is lost three times", "RFC 1350 section 2", OTHER, "").over(&[(Data(9), 3, Lost)]).seen(&[(Data(9), 4, MANY)]),
    get("a block is lost and the client waits in silence", "RFC 1350 section 2; many ROMs", OTHER, "").by(Manner::Passive).over(&[(Data(9), 1, Lost)]),
    get("the last block is lost", "RFC 1350 section 6", 10 * 512 + 1, "").over(&[(Data(11), 1, Lost)]).seen(&[(Data(11), 2, MANY)]),
    get("the last acknowledgement is lost", "RFC 1350 section 6: dallying", 10 * 512 + 1, "").over(&[(Ack(11), 1, Lost)]).seen(&[(Ack(11), 2, MANY)]),
    get("the last, empty block is lost", "RFC 1350 section 6; PyPXE#150", 10 * 512, "").over(&[(Data(11), 1, Lost)]).seen(&[(Data(11), 2, MANY)]),
    get("the last, empty block's acknowledgement is lost", "RFC 1350 section 6", 10 * 512, "").over(&[(Ack(11), 1, Lost)]),
    get("a block is late, after its repetition", "RFC 1123 section 4.2.3.1", OTHER, "").over(&[(Data(4), 1, Late(500))]),
    get("an acknowledgement is late, after its repetition", "RFC 1123 section 4.2.3.1", OTHER, "").over(&[(Ack(4), 1, Late(500))]),
    get("an acknowledgement comes again and again while its block is under way", "RFC 1123 section 4.2.3.1: the Sorcerer's Apprentice", OTHER, "").over(&[(Ack(4), 1, Again), (Data(5), 9, Late(110))]).seen(&[(Data(5), 1, 2)]),
    get("everything comes twice, and nothing is sent twice", "RFC 1123 section 4.2.3.1: the Sorcerer's Apprentice", 60 * 512, "").through(Weather { twice: 100, ..CALM }, 110),
    // One thing lost, in windows.
    get("the first block of a window is lost", "RFC 7440 section 4", OTHER, W4).over(&[(Data(5), 1, Lost)]).seen(&[(Data(5), 2, MANY)]),
    get("a block inside a window is lost", "RFC 7440 section 4", OTHER, W4).over(&[(Data(6), 1, Lost)]).seen(&[(Data(6), 2, MANY)]),
    get("the last block of a window is lost", "RFC 7440 section 4", OTHER, W4).over(&[(Data(8), 1, Lost)]).seen(&[(Data(8), 2, MANY)]),
    get("a whole window is lost", "RFC 7440 section 4", OTHER, W4).over(&[(Data(5), 1, Lost), (Data(6), 1, Lost), (Data(7), 1, Lost), (Data(8), 1, Lost)]),
    get("a window's acknowledgement is lost", "RFC 7440 section 4", OTHER, W4).over(&[(Ack(8), 1, Lost)]).seen(&[(Ack(8), 2, MANY)]),
    get("the first acknowledgement of a window is lost", "RFC 7440 section 4", OTHER, W16).over(&[(Ack(0), 1, Lost)]),
    get("the last, short window's last block is lost", "RFC 7440 section 4", 9 * 512 + 7, W4).over(&[(Data(10), 1, Lost)]),
    get("the last window's acknowledgement is lost", "RFC 7440 section 4", 9 * 512 + 7, W4).over(&[(Ack(10), 1, Lost)]).seen(&[(Ack(10), 2, MANY)]),
    get("the empty block behind exact windows is lost", "RFC 7440 section 4", 8 * 512, W4).over(&[(Data(9), 1, Lost)]).seen(&[(Data(9), 2, MANY)]),
    get("two gaps in one window", "RFC 7440 section 4", 20_000, W16).over(&[(Data(3), 1, Lost), (Data(9), 1, Lost)]).through(CALM, 300),
    get("the same gap twice", "RFC 7440 section 4", 20_000, W16).over(&[(Data(7), 2, Lost)]).seen(&[(Data(7), 3, MANY)]),
    get("a block overtaken inside its window", "RFC 7440 section 4", 20_000, W16).over(&[(Data(5), 1, Late(5)), (Data(22), 1, Late(20))]).through(CALM, 300),
    get("a gap that the client is silent about", "RFC 7440 section 4; many ROMs", 20_000, W16).by(Manner::Passive).over(&[(Data(16), 1, Lost)]),
    get("a gap that the client complains of again and again", "RFC 7440 section 4", 20_000, W16).by(Manner::Chatty).over(&[(Data(3), 1, Lost)]).through(CALM, 300),
    // A path that is bad throughout.
    get("loss in lock-step", "issue 3", 20_000, "").through(LOSS, 200),
    get("loss in lock-step, large blocks", "issue 3", 60_000, BLK).through(LOSS, 200),
    get("loss in windows of 4", "issue 3", 60_000, W4).through(LOSS, 300),
    get("loss in windows of 16", "issue 3", 100_000, W16).through(LOSS, 500),
    get("loss in windows of 64", "issue 3", 300_000, W64).through(LOSS, 600),
    get("loss and a client that acknowledges every block", "issue 3", 60_000, W4).by(Manner::EveryBlock).through(LOSS, 400),
    get("reordering in lock-step", "issue 3", 20_000, "").through(MIXED, 200),
    get("reordering in windows of 4", "issue 3", 60_000, W4).through(MIXED, 300),
    get("reordering in windows of 16", "issue 3", 60_000, W16).through(MIXED, 600),
    get("doubles in windows of 4", "issue 3", 60_000, W4).through(DOUBLES, 300),
    get("doubles in windows of 16, every block acknowledged", "issue 3", 60_000, W16).by(Manner::EveryBlock).through(DOUBLES, 500),
    get("everything wrong in lock-step", "issue 3", 10_000, "").through(AWFUL, 300),
    get("everything wrong in windows of 4", "issue 3", 30_000, W4).through(AWFUL, 400),
    get("everything wrong in windows of 16, a chatty client", "issue 3", 30_000, W16).by(Manner::Chatty).through(AWFUL, 900),
    get("everything wrong in windows of 16, a passive client", "issue 3", 20_000, W16).by(Manner::Passive).through(AWFUL, 900),
    // The block number wraps.
    get("the number wraps in lock-step", "PyPXE#160; rpi-eeprom#375", WRAP + 4000, "blksize 8 "),
    get("the number wraps in windows", "RFC 7440 section 4; PyPXE#160", WRAP + 4000, TINY),
    get("block 65535 is lost", "PyPXE#160", WRAP + 4000, TINY).over(&[(Data(65_535), 1, Lost)]).seen(&[(Data(65_535), 2, MANY)]),
    get("block 0 behind 65535 is lost", "PyPXE#160", WRAP + 4000, TINY).over(&[(Data(0), 1, Lost)]).seen(&[(Data(0), 2, MANY)]),
    get("the last block is 65535", "PyPXE#160", WRAP - 3, TINY).seen(&[(Data(0), 0, 0)]),
    get("the last, empty block is 0", "PyPXE#160", WRAP, TINY).seen(&[(Data(0), 1, MANY)]),
    // Ends that are not the file's.
    get("a size probe", "EDK2 PxeBcTftpGetFileSize; pin/tftp#125", OTHER, "tsize 0 blksize 1468 ").doing(Act::Probe),
    get("a size probe whose OACK was lost", "EDK2; pin/tftp#125", OTHER, "tsize 0 ").doing(Act::Probe).over(&[(Oack, 1, Lost)]),
    get("a size probe that is ended twice", "EDK2; pin/tftp#125", OTHER, "tsize 0 ").doing(Act::Probe).over(&[(Error, 1, Twice)]),
    get("an ERROR ends a transfer", "RFC 1350 section 7", OTHER, "").doing(Act::Abort(3)),
    get("an ERROR ends a window", "RFC 1350 section 7; RFC 7440", OTHER, W4).doing(Act::Abort(4)),
    get("an ERROR is lost and the client is silent", "RFC 1350 section 7: not repeated", OTHER, "").doing(Act::Abort(3)).over(&[(Error, 1, Lost)]),
    get("a new request from the port of an old one", "power off and on: the ROM's port is the same", OTHER + 1, "").doing(Act::Anew(3)),
    get("a new request from the port of an old window", "power off and on", OTHER + 1, W4).doing(Act::Anew(4)),
    get("a new request whose OACK is lost", "power off and on", OTHER + 1, BLK).doing(Act::Anew(2)).over(&[(Oack, 2, Lost)]),
    get("a client that is gone", "RFC 1350 section 7: timeouts", OTHER, "").doing(Act::Gone(2)),
    get("a client that is gone in a window", "RFC 1350 section 7: timeouts", OTHER, W4).doing(Act::Gone(4)),
    get("a client that is gone after the OACK", "RFC 1350 section 7: timeouts", OTHER, BLK).doing(Act::Gone(0)),
    // Requests that are refused.
    refused("no such file", "RFC 1350 appendix: error 1", b"\0\x01none\0octet\0", 1, "not found"),
    refused("no such file, and the ERROR is lost", "RFC 1350 section 7: ask again", b"\0\x01none\0octet\0", 1, "not found").over(&[(Error, 1, Lost)]),
    refused("a name outside", "FIRMWARE: paths", b"\0\x01../../etc/passwd\0octet\0", 2, "outside"),
    refused("a write", "smee: read only", b"\0\x02file-1\0octet\0", 2, "written"),
    refused("mail", "RFC 1350 section 1: obsolete", b"\0\x01file-1\0mail\0", 4, "mail"),
];
