//! Makes .debs: `ar` around two tars.

use std::io::Write;

/// How `data.tar` is packed.
#[derive(Clone, Copy)]
pub(crate) enum Packing {
    None,
    Gzip,
    Xz,
    Zstd,
}

impl Packing {
    pub(crate) fn ending(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Xz => ".xz",
            Self::Zstd => ".zst",
        }
    }

    pub(crate) fn pack(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::None => bytes.to_vec(),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Self::Zstd => zstd::encode_all(bytes, 1).unwrap(),
        }
    }
}

/// One tar entry, with a name that may be as evil as the test wants.
pub(crate) fn add(
    tar: &mut tar::Builder<Vec<u8>>,
    kind: tar::EntryType,
    path: &str,
    link: &str,
    content: &[u8],
) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(if kind.is_dir() { 0o755 } else { 0o4644 });
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1_700_000_000);
    header.set_size(content.len() as u64);
    header.set_device_major(4).unwrap();
    header.set_device_minor(64).unwrap();
    // Not set_path: that one refuses what some tests need.
    header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
    header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
    header.set_cksum();
    tar.append(&header, content).unwrap();
}

/// An `ar` of these members.
pub(crate) fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut file = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(file, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100_644, content.len()).unwrap();
        file.extend_from_slice(content);
        file.resize(file.len() + content.len() % 2, b'\n');
    }
    file
}

/// A package with this data tar, and some control files.
pub(crate) fn deb(name: &str, packing: Packing, data: tar::Builder<Vec<u8>>) -> Vec<u8> {
    let mut control = tar::Builder::new(Vec::new());
    let text = format!("Package: {name}\nVersion: 1.0\nArchitecture: amd64\nDescription: test\n");
    for (path, content) in [
        ("./control", text.as_str()),
        ("./conffiles", "/etc/a.conf\n/etc/b.conf\n"),
        ("./postinst", "#!/bin/sh\n"),
        ("./triggers", "# made by dh\nactivate-noawait ldconfig\n"),
    ] {
        add(&mut control, tar::EntryType::Regular, path, "", content.as_bytes());
    }
    let control = Packing::Xz.pack(&control.into_inner().unwrap());
    let data = packing.pack(&data.into_inner().unwrap());
    let data_name = format!("data.tar{}", packing.ending());
    ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", &control), (&data_name, &data)])
}

/// A package with one file of `size` bytes that do not compress.
pub(crate) fn deb_of_size(name: &str, size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ size as u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    })
    .take(size)
    .collect();
    let mut data = tar::Builder::new(Vec::new());
    add(&mut data, tar::EntryType::Directory, "./usr/", "", b"");
    add(&mut data, tar::EntryType::Regular, &format!("./usr/{name}"), "", &noise);
    deb(name, Packing::None, data)
}
