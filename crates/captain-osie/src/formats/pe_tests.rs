//! Sections added to a small EFI program, and programs that cannot take them.

use super::*;

const AMD64: u16 = 0x8664;

/// A program with one section, `.text`, of 512 bytes at 0x1000; headers of 1024 bytes.
fn program() -> Vec<u8> {
    let mut bytes = vec![0; 1536];
    bytes[..2].copy_from_slice(b"MZ");
    put_u32(&mut bytes, 0x3c, 0x80);
    bytes[0x80..0x84].copy_from_slice(b"PE\0\0");
    bytes[0x84..0x86].copy_from_slice(&AMD64.to_le_bytes());
    bytes[0x86..0x88].copy_from_slice(&1u16.to_le_bytes());
    bytes[0x94..0x96].copy_from_slice(&240u16.to_le_bytes());
    let optional = 0x98;
    bytes[optional..optional + 2].copy_from_slice(&0x20bu16.to_le_bytes());
    for (field, value) in
        [(8, 0x200), (32, 0x1000), (36, 0x200), (56, 0x2000), (60, 1024), (64, 77), (108, 16)]
    {
        put_u32(&mut bytes, optional + field, value);
    }
    let row = optional + 240;
    bytes[row..row + 5].copy_from_slice(b".text");
    for (field, value) in [(8, 0x234), (12, 0x1000), (16, 512), (20, 1024)] {
        put_u32(&mut bytes, row + field, value);
    }
    bytes[1024..].fill(9);
    bytes
}

fn section(name: &'static str, content: &[u8], memory: u64) -> Section {
    Section { name, body: Body::Bytes(content.to_vec()), memory }
}

#[test]
fn new_sections_follow_the_old_aligned_in_memory_and_in_the_file() {
    let sections = vec![section(".cmdline", b"quiet", 0), section(".linux", &[5; 700], 0x1800)];
    let whole = append(&program(), AMD64, sections).unwrap();
    let mut bytes = Vec::new();
    whole.write(&mut bytes).unwrap();
    assert_eq!(bytes.len(), 3072);
    let headers = Headers::of(&bytes, AMD64).unwrap();
    assert_eq!(headers.sections, 3);
    let row = |number: usize| {
        let row = headers.row(number);
        let fields = [8, 12, 16, 20, 36].map(|field| u32_at(&bytes, row + field).unwrap());
        (String::from_utf8_lossy(&bytes[row..row + 8]).into_owned(), fields)
    };
    assert_eq!(row(1), (".cmdline".to_owned(), [5, 0x2000, 512, 1536, DATA]));
    assert_eq!(row(2), (".linux\0\0".to_owned(), [0x1800, 0x3000, 1024, 2048, DATA]));
    assert_eq!(&bytes[1536..1541], b"quiet");
    assert_eq!((&bytes[2048..2748], &bytes[2748..]), (&[5; 700][..], &[0; 324][..]));
    let optional = |field| u32_at(&bytes, headers.optional + field).unwrap();
    assert_eq!((optional(8), optional(56), optional(64)), (0x200 + 512 + 1024, 0x5000, 0));
    assert_eq!(bytes[1024..1536], program()[1024..], "the program itself stays as it was");
}

#[test]
fn a_program_that_cannot_take_more_sections_says_why() {
    let one = || vec![section(".linux", b"x", 0)];
    let refused = |bytes: &[u8], sections| append(bytes, AMD64, sections).unwrap_err().to_string();
    let full = (0..20).map(|_| section(".x", b"x", 0)).collect();
    assert!(refused(&program(), full).contains("no room for 20"));
    let mut signed = program();
    put_u32(&mut signed, 0x98 + 112 + 36, 8);
    assert!(refused(&signed, one()).contains("signed"));
    assert!(refused(&program(), vec![section(".text", b"x", 0)]).contains(".text already"));
    assert!(refused(b"MZ", one()).contains("ends within"));
    assert!(refused(&vec![0; 1536], one()).contains("no EFI program"));
    assert!(append(&program(), 0xaa64, one()).unwrap_err().to_string().contains("machine type 0x8664"));
    let huge = Section { memory: 1 << 32, ..section(".linux", b"x", 0) };
    assert!(refused(&program(), vec![huge]).contains("4 GiB"));
}
