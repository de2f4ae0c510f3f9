//! The archive that installations of Hook and CaptainOS unpack into the folder that their web server shows
//! (`misc/osie/current`): kernel and initramfs under the names that boot scripts ask for, and their sums.

use std::fs::File;
use std::io::{self, Read};

use flate2::{Compression, GzBuilder};
use tar::{EntryType, Header};

use super::{Body, Source};
use crate::error::Error;
use crate::output::Output;

/// Writes the archive, gzipped as those installations expect it.
pub(super) fn write(source: &Source, out: Output) -> Result<Output, Error> {
    let [kernel, initramfs] = source.names();
    // Both files are compressed already.
    let gzip = GzBuilder::new().mtime(0).write(out, Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    let sums = source.sums.iter().zip([&kernel, &initramfs]);
    let sums: String = sums.map(|(sum, name)| format!("{sum}  {name}\n")).collect();
    let sums_name = format!("sha256sums-{}.txt", source.arch.linux());
    let sums = Body::Bytes(sums.into_bytes());
    for (name, body) in [(&kernel, &source.kernel), (&initramfs, &source.initramfs), (&sums_name, &sums)] {
        append(&mut tar, name, body, source.date).map_err(Error::io(name))?;
    }
    tar.into_inner().and_then(flate2::write::GzEncoder::finish).map_err(Error::io("the archive"))
}

fn append<W: io::Write>(tar: &mut tar::Builder<W>, name: &str, body: &Body, date: u64) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_size(body.size());
    header.set_mtime(date);
    header.set_uid(0);
    header.set_gid(0);
    match body {
        Body::Bytes(bytes) => tar.append_data(&mut header, name, &bytes[..]),
        Body::File { path, size } => tar.append_data(&mut header, name, File::open(path)?.take(*size)),
    }
}

#[cfg(test)]
mod tests {
    use captain_model::Arch;

    use super::super::testing::source;
    use super::*;
    use crate::output::output;

    #[test]
    fn it_holds_kernel_initramfs_and_sums_side_by_side_and_is_always_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let made = |name| output(folder.path(), name, |out| write(&source(Arch::Arm64), out)).unwrap();
        assert_eq!(made("one").sha256, made("two").sha256);
        let file = File::open(folder.path().join("one")).unwrap();
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(file));
        let members: Vec<_> = tar
            .entries()
            .unwrap()
            .map(|entry| {
                let mut entry = entry.unwrap();
                let (mut content, header) = (Vec::new(), entry.header().clone());
                entry.read_to_end(&mut content).unwrap();
                (entry.path().unwrap().display().to_string(), header.mtime().unwrap(), content)
            })
            .collect();
        let names: Vec<_> = members.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["vmlinuz-aarch64", "initramfs-aarch64", "sha256sums-aarch64.txt"]);
        assert_eq!((members[0].1, &members[0].2[..]), (1_700_000_000, &b"the kernel"[..]));
        assert_eq!(members[1].2, vec![7; 5000]);
        assert_eq!(members[2].2, b"aa  vmlinuz-aarch64\nbb  initramfs-aarch64\n");
    }
}
