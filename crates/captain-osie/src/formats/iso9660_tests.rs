//! Discs read back record by record.

use super::*;

fn file(path: &'static str, content: &[u8], alignment: u64) -> File {
    File { path, body: Body::Bytes(content.to_vec()), alignment }
}

fn disc() -> Disc {
    let files = vec![
        file(".disk/info", b"captaind", SECTOR),
        file("boot/grub/grub.cfg", b"configuration", 32 << 10),
        file("boot/vmlinuz", &[7; 5000], SECTOR),
    ];
    Disc::layout("CAPTAIND", files, 1 << 20, 1_700_000_000).unwrap()
}

fn written(disc: &Disc) -> Vec<u8> {
    let mut bytes = Vec::new();
    disc.write(b"system", b"catalog", &mut bytes).unwrap();
    bytes
}

fn number(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// Plain name, Rock Ridge name, content's place and length of each record of the folder at `sector`.
fn records(bytes: &[u8], sector: usize) -> Vec<(String, String, usize, usize)> {
    let (mut at, mut rows) = (sector * 2048, Vec::new());
    while bytes[at] != 0 {
        let record = &bytes[at..at + usize::from(bytes[at])];
        let name = &record[33..33 + usize::from(record[32])];
        let rock = record.windows(2).position(|two| two == b"NM").map(|start| {
            let length = usize::from(record[start + 2]);
            String::from_utf8(record[start + 5..start + length].to_vec()).unwrap()
        });
        let name = String::from_utf8_lossy(name).into_owned();
        rows.push((name, rock.unwrap_or_default(), number(record, 2), number(record, 10)));
        at += record.len();
    }
    rows
}

#[test]
fn files_are_found_by_both_names_where_the_records_say() {
    let (disc, bytes) = (disc(), written(&disc()));
    assert_eq!(bytes.len(), 1 << 20, "a multiple of the unit");
    assert_eq!(&bytes[16 * 2048..][..6], b"\x01CD001");
    assert_eq!(number(&bytes, 16 * 2048 + 80), 512);
    let root = records(&bytes, number(&bytes, 16 * 2048 + 158));
    let names: Vec<_> = root.iter().map(|row| (row.0.as_str(), row.1.as_str())).collect();
    assert_eq!(names, [("\0", ""), ("\x01", ""), ("BOOT", "boot"), ("_DISK", ".disk")]);
    let boot = records(&bytes, root[2].2);
    let (name, rock, sector, size) = &boot[3];
    assert_eq!((name.as_str(), rock.as_str(), *size), ("VMLINUZ.;1", "vmlinuz", 5000));
    assert_eq!(bytes[sector * 2048..][..5000], [7; 5000]);
    let grub = records(&bytes, boot[2].2);
    let (name, rock, sector, _) = &grub[2];
    assert_eq!((name.as_str(), rock.as_str()), ("GRUB.CFG;1", "grub.cfg"));
    assert_eq!(sector * 2048 % (32 << 10), 0, "as aligned as it asked for");
    assert_eq!(disc.place("boot/grub/grub.cfg"), Some((*sector as u64, 13)));
    assert_eq!(&bytes[sector * 2048..][..13], b"configuration");
}

#[test]
fn the_path_table_names_every_folder_after_its_parent() {
    let bytes = written(&disc());
    let descriptor = &bytes[16 * 2048..];
    let (mut at, end) = (number(descriptor, 140) * 2048, number(descriptor, 132));
    let end = at + end;
    let mut rows = Vec::new();
    while at < end {
        let length = usize::from(bytes[at]);
        let parent = u16::from_le_bytes([bytes[at + 6], bytes[at + 7]]);
        rows.push((String::from_utf8_lossy(&bytes[at + 8..at + 8 + length]).into_owned(), parent));
        at += 8 + length + length % 2;
    }
    let want = [("\0", 1), ("_DISK", 1), ("BOOT", 1), ("GRUB", 3)];
    assert_eq!(rows, want.map(|(name, parent)| (name.to_owned(), parent)));
}

#[test]
fn the_root_says_that_rock_ridge_follows_and_el_torito_where_its_catalog_is() {
    let bytes = written(&disc());
    let root = &bytes[22 * 2048..][..2048];
    assert!(root.windows(7).any(|bytes| bytes == b"SP\x07\x01\xbe\xef\0"));
    assert!(root.windows(10).any(|bytes| bytes == b"RRIP_1991A"));
    let record = &bytes[17 * 2048..];
    assert_eq!(&record[7..30], b"EL TORITO SPECIFICATION");
    assert_eq!(&bytes[number(record, 71) * 2048..][..7], b"catalog");
    assert_eq!(&bytes[..6], b"system");
}

#[test]
fn a_file_that_is_too_large_or_a_folder_that_is_too_full_is_refused() {
    let body = Body::File { path: "/nowhere".into(), size: 1 << 32 };
    let large = vec![File { path: "large", body, alignment: SECTOR }];
    let error = Disc::layout("X", large, SECTOR, 0).unwrap_err().to_string();
    assert!(error.contains("large is larger than 4 GiB"), "{error}");
    let many = (0..40).map(|_| file("one-and-the-same-name", b"", SECTOR)).collect();
    // Files of one name are one record; with names of their own they are not.
    assert!(Disc::layout("X", many, SECTOR, 0).unwrap().write(b"", b"", &mut Vec::new()).is_ok());
    let names: Vec<&'static str> = (0..40).map(|n| &*format!("a-name-of-some-length-{n}").leak()).collect();
    let many = names.into_iter().map(|name| file(name, b"", SECTOR)).collect();
    let error = Disc::layout("X", many, SECTOR, 0).unwrap().write(b"", b"", &mut Vec::new());
    assert!(error.unwrap_err().to_string().contains("too many files"));
}
