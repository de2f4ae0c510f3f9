//! Any ISO in pieces of any size, any arguments: the placeholders are found wherever the borders are, and what is
//! written over them has their very length.
//!
//! The input is a byte for the size of the pieces, two for the length of the arguments, the arguments, then the ISO;
//! each `P` in it stands for a placeholder and `S` for many spaces, which no mutation would come upon.

use captain_boot::{
    Facts, ISO_PATCH_SIZE, ISO_PLACEHOLDER, IsoRoom, IsoSearch, ServerFacts, Via, iso_cmdline,
};
use captain_model::{Arch, Cmdline, Inventory, Mac};

/// Characters that are written out: enough for three placeholders, what is around them and two borders.
const WRITTEN: usize = 16;
/// Pieces that an ISO is read in; with more, an input would take milliseconds and little would be explored.
const PIECES: usize = 64;

/// One input.
pub(crate) fn run(input: &[u8]) {
    let [piece, high, low, rest @ ..] = input else { return };
    let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
    let (arguments, iso) = rest.split_at(length);
    let mut iso = written_out(&iso[..iso.len().min(WRITTEN)]);
    let rooms = search(&iso, (usize::from(*piece) * 7 + 1).max(iso.len() / PIECES));
    assert_eq!(rooms, search(&iso, iso.len().max(1)), "the borders of the pieces matter");
    let cmdline = Cmdline::parse_line(&String::from_utf8_lossy(arguments)).unwrap_or_default();
    let size = iso.len();
    let mut end = 0;
    for room in rooms {
        let from = usize::try_from(room.offset).expect("small");
        assert!(from >= end && room.length >= ISO_PATCH_SIZE, "rooms lie apart");
        end = from + room.length;
        assert_eq!(iso[from..][..ISO_PATCH_SIZE], ISO_PLACEHOLDER[..]);
        assert!(
            iso[from + ISO_PATCH_SIZE..end].iter().all(|byte| *byte == b' '),
            "only spaces are written over"
        );
        if let Some(patch) = patch(&cmdline, room.length) {
            iso[from..end].copy_from_slice(&patch);
        }
    }
    assert_eq!(iso.len(), size);
}

fn written_out(short: &[u8]) -> Vec<u8> {
    let mut iso = Vec::new();
    for byte in short {
        match byte {
            b'P' => iso.extend_from_slice(ISO_PLACEHOLDER),
            b'H' => iso.extend_from_slice(&ISO_PLACEHOLDER[..ISO_PATCH_SIZE / 2]),
            b'S' => iso.extend_from_slice(&[b' '; 300]),
            other => iso.push(*other),
        }
    }
    iso
}

fn search(iso: &[u8], piece: usize) -> Vec<IsoRoom> {
    let mut search = IsoSearch::new();
    for piece in iso.chunks(piece) {
        search.push(piece);
    }
    search.finish()
}

fn patch(cmdline: &Cmdline, room: usize) -> Option<Vec<u8>> {
    let inventory = Inventory::empty();
    let mac = Mac::new([0x52, 0x54, 0, 0, 0, 1]);
    let server =
        ServerFacts { http_base: "http://192.168.50.1:7080".to_owned(), syslog: None, registry_mirror: None };
    let identity = inventory.identify(mac);
    let facts = Facts { mac, identity, arch: Arch::Amd64, boot: None, server: &server, via: Via::Iso };
    let patch = iso_cmdline(&facts, cmdline, room).ok()?;
    assert_eq!(patch.len(), room);
    assert!(patch.starts_with(cmdline.to_string().as_bytes()) && !patch.contains(&b'\n'), "{patch:?}");
    Some(patch)
}
