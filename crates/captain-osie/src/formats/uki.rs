//! The unified kernel image: systemd's EFI stub with kernel, initramfs, command line and os-release as sections
//! (UAPI.5, "Unified Kernel Image").

use captain_model::Arch;

use super::media::Media;
use super::pe::{self, Section};
use super::{Body, Source};
use crate::error::Error;
use crate::output::Output;

/// Writes the UKI.
pub(super) fn write(source: &Source, media: &Media, mut out: Output) -> Result<Output, Error> {
    let program = pe::append(&media.stub(source.arch)?, machine(source.arch), sections(source)?)?;
    program.write(&mut out).map_err(Error::io("the UKI"))?;
    Ok(out)
}

/// The machine type in EFI programs.
const fn machine(arch: Arch) -> u16 {
    match arch {
        Arch::Amd64 => 0x8664,
        Arch::Arm64 => 0xaa64,
    }
}

/// The stub has `.sbat` of its own.
fn sections(source: &Source) -> Result<Vec<Section>, Error> {
    let text = |name, text: &str| Section { name, body: Body::Bytes(text.into()), memory: 0 };
    Ok(vec![
        text(".osrel", &source.os_release),
        text(".cmdline", &source.cmdline.to_string()),
        text(".uname", &source.version),
        Section { name: ".initrd", body: source.initramfs.clone(), memory: 0 },
        // Last: the kernel unpacks itself where it lies, into the memory behind it.
        Section { name: ".linux", body: source.kernel.clone(), memory: memory(&source.kernel)? },
    ])
}

/// SizeOfImage of a kernel that is an EFI program.
fn memory(kernel: &Body) -> Result<u64, Error> {
    let head = kernel.head(4096)?;
    let field =
        |at: usize| head.get(at..at + 4).and_then(|field| field.try_into().ok()).map(u32::from_le_bytes);
    let pe = field(0x3c).filter(|_| head.starts_with(b"MZ")).map(|at| at as usize);
    let image = pe.filter(|at| head.get(*at..at + 4) == Some(b"PE\0\0")).and_then(|at| field(at + 24 + 56));
    image.map(u64::from).ok_or_else(|| {
        Error::malformed("the kernel", "it is no EFI program: build it with CONFIG_EFI_STUB for a UKI")
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::source;
    use super::*;

    fn kernel(size: u32) -> Body {
        let mut bytes = vec![0; 512];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x40;
        bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
        bytes[0x40 + 80..0x40 + 84].copy_from_slice(&size.to_le_bytes());
        Body::Bytes(bytes)
    }

    #[test]
    fn the_kernel_comes_last_with_the_memory_that_it_unpacks_into() {
        let source = Source { kernel: kernel(0x12_3456), ..source(Arch::Amd64) };
        let sections = sections(&source).unwrap();
        let names: Vec<_> = sections.iter().map(|section| section.name).collect();
        assert_eq!(names, [".osrel", ".cmdline", ".uname", ".initrd", ".linux"]);
        assert_eq!(sections[4].memory, 0x12_3456);
        let Body::Bytes(cmdline) = &sections[1].body else { panic!("a text") };
        assert_eq!(cmdline, b"console=ttyS0 quiet");
    }

    #[test]
    fn a_kernel_without_an_efi_stub_is_refused() {
        let error = sections(&source(Arch::Amd64)).unwrap_err().to_string();
        assert!(error.contains("CONFIG_EFI_STUB"), "{error}");
    }
}
