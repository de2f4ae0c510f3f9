//! What a kernel image says of itself: for which architecture, and which version.

use std::io::Read;

use captain_model::Arch;

/// Most that is unpacked to look for a version.
const LARGEST: u64 = 256 << 20;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) arch: Arch,
    /// As `uname -r` says it, where the image tells.
    pub(crate) version: Option<String>,
}

/// Reads the header of a bzImage (the x86 boot protocol), an arm64 `Image` (plain or gzip), or an EFI zboot image.
///
/// # Errors
/// What else it is, in words.
pub(crate) fn read(image: &[u8]) -> Result<Header, String> {
    if slice(image, 0x202, 4) == Some(b"HdrS") {
        return bzimage(image);
    }
    if slice(image, 0x38, 4) == Some(b"ARM\x64") {
        return Ok(Header { arch: Arch::Arm64, version: banner(image) });
    }
    if slice(image, 4, 4) == Some(b"zimg") {
        return zboot(image);
    }
    if image.starts_with(&[0x1f, 0x8b]) {
        return read(&unpacked(flate2::read::GzDecoder::new(image)));
    }
    Err("it is no Linux kernel for amd64 (bzImage) or arm64 (Image, vmlinuz.efi)".to_owned())
}

/// Linux's Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
fn bzimage(image: &[u8]) -> Result<Header, String> {
    let word = |at| slice(image, at, 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    const XLF_KERNEL_64: u16 = 1;
    if word(0x206) < 0x20c || word(0x236) & XLF_KERNEL_64 == 0 {
        return Err("it is a kernel for 32-bit x86".to_owned());
    }
    let version = match usize::from(word(0x20e)) {
        0 => None,
        at => image.get(at + 0x200..).and_then(first_word),
    };
    Ok(Header { arch: Arch::Amd64, version })
}

/// Linux's drivers/firmware/efi/libstub/zboot-header.S: where the packed kernel lies, and how it is packed.
fn zboot(image: &[u8]) -> Result<Header, String> {
    let number = |at| {
        slice(image, at, 4).map_or(0, |bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
    };
    let (start, size) = (number(8) as usize, number(12) as usize);
    let packed = start.checked_add(size).and_then(|end| image.get(start..end));
    let packed = packed.ok_or_else(|| "its zboot header points outside of it".to_owned())?;
    // IMAGE_FILE_MACHINE of the PE header says which architecture the program is for.
    let machine = slice(image, number(0x3c) as usize + 4, 2);
    if machine != Some(&[0x64, 0xaa]) {
        return Err("it is an EFI zboot kernel, but not for arm64".to_owned());
    }
    let plain = match slice(image, 0x18, 4) {
        Some(b"gzip") => unpacked(flate2::read::GzDecoder::new(packed)),
        Some(b"zstd") => zstd::stream::read::Decoder::new(packed).map(unpacked).unwrap_or_default(),
        _ => Vec::new(),
    };
    Ok(Header { arch: Arch::Arm64, version: banner(&plain) })
}

/// What comes out, up to the first fault: zboot has four bytes behind the packed kernel.
fn unpacked(packed: impl Read) -> Vec<u8> {
    let mut plain = Vec::new();
    // A fault only means that less is found.
    let _ = packed.take(LARGEST).read_to_end(&mut plain);
    plain
}

/// The version in `Linux version 6.12.1 (...)`.
fn banner(kernel: &[u8]) -> Option<String> {
    const BANNER: &[u8] = b"Linux version ";
    let starts = kernel.windows(BANNER.len()).enumerate().filter(|(_, bytes)| *bytes == BANNER);
    let mut versions = starts.filter_map(|(at, _)| first_word(&kernel[at + BANNER.len()..]));
    versions.find(|version| version.starts_with(|c: char| c.is_ascii_digit()))
}

fn first_word(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().take(128).position(|byte| *byte == 0 || *byte == b' ')?;
    String::from_utf8(bytes[..end].to_vec()).ok().filter(|word| !word.is_empty())
}

fn slice(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

#[cfg(test)]
pub(crate) mod testing {
    /// The least that is a kernel for amd64 of this version.
    pub(crate) fn bzimage(version: &str) -> Vec<u8> {
        let mut image = vec![0; 0x400];
        image[0x202..0x206].copy_from_slice(b"HdrS");
        image[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
        image[0x20e..0x210].copy_from_slice(&0x100_u16.to_le_bytes());
        image[0x236] = 1;
        image[0x300..0x300 + version.len()].copy_from_slice(version.as_bytes());
        image
    }

    /// The least that is a kernel for arm64 of this version.
    pub(crate) fn image(version: &str) -> Vec<u8> {
        let mut image = vec![0; 0x40];
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        image.extend(format!("Linux version %s\0Linux version {version} (captaind)\0").bytes());
        image
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn header(arch: Arch, version: &str) -> Result<Header, String> {
        Ok(Header { arch, version: Some(version.to_owned()) })
    }

    #[test]
    fn a_kernel_tells_its_architecture_and_version() {
        assert_eq!(read(&testing::bzimage("6.12.1-x ")), header(Arch::Amd64, "6.12.1-x"));
        let plain = testing::image("6.12.1");
        assert_eq!(read(&plain), header(Arch::Arm64, "6.12.1"));
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain).unwrap();
        assert_eq!(read(&gzip.finish().unwrap()), header(Arch::Arm64, "6.12.1"));
    }

    #[test]
    fn a_zboot_image_tells_by_what_is_packed_in_it() {
        let packed = zstd::encode_all(&testing::image("6.12.1")[..], 3).unwrap();
        let mut image = vec![0; 0x200];
        image[4..8].copy_from_slice(b"zimg");
        image[8..12].copy_from_slice(&0x200_u32.to_le_bytes());
        image[12..16].copy_from_slice(&(packed.len() as u32).to_le_bytes());
        image[0x18..0x1e].copy_from_slice(b"zstd22");
        image[0x3c] = 0x80;
        image[0x84..0x86].copy_from_slice(&[0x64, 0xaa]);
        image.extend(&packed);
        assert_eq!(read(&image), header(Arch::Arm64, "6.12.1"));
        image[12] = 0xff;
        image[14] = 0xff;
        assert!(read(&image).unwrap_err().contains("outside"));
    }

    #[test]
    fn what_is_no_kernel_for_us_is_said() {
        let mut old = testing::bzimage("6");
        old[0x236] = 0;
        assert!(read(&old).unwrap_err().contains("32-bit"));
        for other in [&b""[..], b"\x7fELF", &[0x1f, 0x8b, 8]] {
            assert!(read(other).unwrap_err().contains("no Linux kernel"), "{other:?}");
        }
    }
}
