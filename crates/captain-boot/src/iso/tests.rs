use super::*;
use crate::{ServerFacts, Via};
use captain_model::{Arch, Inventory, Mac};

fn patch(arguments: &[&str], room: usize) -> Result<Vec<u8>, BootError> {
    let inventory = Inventory::empty();
    let mac = Mac::new([0x52, 0x54, 0, 0, 0, 1]);
    let server =
        ServerFacts { http_base: "http://192.0.2.1:7080".into(), syslog: None, registry_mirror: None };
    let identity = inventory.identify(mac);
    let facts = Facts { mac, identity, arch: Arch::Amd64, boot: None, server: &server, via: Via::Iso };
    iso_cmdline(&facts, &Cmdline::parse(arguments).unwrap(), room)
}

#[test]
fn the_placeholder_is_the_one_of_smee_hook_and_captainos() {
    assert!(ISO_PLACEHOLDER.starts_with(b"464vn90e7rbj08xbwdjejmdf4it17c5zfzjyfhthbh19eij2"));
    assert!(ISO_PLACEHOLDER.iter().all(|byte| byte.is_ascii_alphanumeric()));
}

#[test]
fn the_patch_is_the_line_and_spaces_and_never_more_than_its_room() {
    let bytes = patch(&["a=1", "b=2"], ISO_PATCH_SIZE).unwrap();
    assert_eq!((bytes.len(), &bytes[..8]), (ISO_PATCH_SIZE, b"a=1 b=2 ".as_slice()));
    assert!(bytes[7..].iter().all(|byte| *byte == b' '));
    assert!(patch(&["x".repeat(ISO_PATCH_SIZE).as_str()], ISO_PATCH_SIZE).is_ok());
    let over = patch(&["x".repeat(ISO_PATCH_SIZE + 1).as_str()], ISO_PATCH_SIZE).unwrap_err();
    let text = over.to_string();
    assert!(text.contains("is 1025 bytes and the ISO has room for 1024"), "{text}");
}

#[test]
fn what_grub_would_take_as_its_own_is_refused_and_no_secret_is_told() {
    for bad in ["a=$b", "a;reboot", "a=\"b\"", "a={b}", "a#b", "a\\b", "a'b", "a|b", "a&b", "a<b", "a>b"] {
        assert!(matches!(patch(&[bad], ISO_PATCH_SIZE), Err(BootError::IsoSyntax { .. })), "{bad}");
    }
    let text = patch(&["registry_password=p$w"], ISO_PATCH_SIZE).unwrap_err().to_string();
    assert!(text.contains("registry_password=***") && !text.contains("p$w"), "{text}");
}

/// An ISO with a placeholder at each of `places`, and `spaces` behind each.
fn iso(size: usize, places: &[usize], spaces: usize) -> Vec<u8> {
    let mut iso: Vec<u8> = (0..size).map(|n| (n % 251) as u8 | 0x80).collect();
    for place in places {
        iso[*place..place + ISO_PATCH_SIZE].copy_from_slice(ISO_PLACEHOLDER);
        iso[place + ISO_PATCH_SIZE..place + ISO_PATCH_SIZE + spaces].fill(b' ');
    }
    iso
}

fn rooms(iso: &[u8], piece: usize) -> Vec<IsoRoom> {
    let mut search = IsoSearch::new();
    iso.chunks(piece).for_each(|bytes| search.push(bytes));
    search.finish()
}

#[test]
fn placeholders_are_found_however_the_reads_cut_them() {
    let iso = iso(10_000, &[0, 1024, 5000, 10_000 - ISO_PATCH_SIZE], 0);
    let expected: Vec<IsoRoom> =
        [0, 1024, 5000, 8976].map(|offset| IsoRoom { offset, length: ISO_PATCH_SIZE }).to_vec();
    for piece in [1, 7, 512, 1023, 1024, 1025, 2047, 2048, 4096, 5500, 10_000, 20_000] {
        assert_eq!(rooms(&iso, piece), expected, "read {piece} bytes at a time");
    }
}

#[test]
fn spaces_behind_it_are_room_up_to_what_the_kernel_takes_and_the_last_one_stays() {
    for (spaces, length) in [(0, 1024), (1, 1024), (2, 1025), (1000, 2023), (1024, 2047), (3000, 2047)] {
        let iso = iso(6000, &[900], spaces);
        for piece in [1, 1000, 6000] {
            assert_eq!(rooms(&iso, piece), [IsoRoom { offset: 900, length }], "{spaces} spaces, {piece}");
        }
    }
}

#[test]
fn a_placeholder_that_is_not_whole_is_none() {
    let mut iso = iso(4000, &[100], 0);
    iso[100 + 1023] ^= 1;
    assert_eq!(rooms(&iso, 777), []);
    assert_eq!(rooms(&ISO_PLACEHOLDER[..1023], 100), []);
    assert_eq!(rooms(&[], 1), []);
}
