//! What a TFTP name asks for: pure reading of names.

use captain_model::Mac;

use crate::http::without_traceparent;

/// What a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// A boot loader, by its base name, whatever folder firmware puts in front.
    Loader(&'a str),
    /// iPXE's script before all others.
    Autoexec,
    /// GRUB's configuration: of one machine, or of whoever asks.
    Grub(Option<Mac>),
    /// The configuration of U-Boot and PXELINUX for one machine.
    Pxelinux(Mac),
    /// Kernel or initramfs, for a GRUB without HTTP and for U-Boot.
    Osie {
        /// As in the path, escaped.
        profile: &'a str,
        /// Its name.
        file: &'a str,
    },
    /// A file of the operator's, asked for by a machine that puts its own serial number or MAC in front, as the
    /// Raspberry Pi's boot loader does.
    Own {
        /// What stands behind that.
        rest: &'a str,
    },
    /// Something in the operator's folder, or nothing.
    Other,
}

/// Reads `name`; `is_loader` says which base names are boot loaders.
pub(super) fn wanted(name: &str, is_loader: impl Fn(&str) -> bool) -> Wanted<'_> {
    let name = name.trim_start_matches('/');
    let base = without_traceparent(name.rsplit('/').next().unwrap_or(name));
    if let Some(mac) = base.strip_prefix("grub.cfg-01-").and_then(written) {
        return Wanted::Grub(Some(mac));
    }
    if let Some(mac) = pxelinux(name) {
        return Wanted::Pxelinux(mac);
    }
    let osie = name.strip_prefix("osie/").and_then(|rest| rest.split_once('/'));
    match (osie, name.split_once('/')) {
        (Some((profile, file)), _) => Wanted::Osie { profile, file },
        _ if base == "grub.cfg" => Wanted::Grub(None),
        _ if base == "autoexec.ipxe" => Wanted::Autoexec,
        _ if is_loader(base) => Wanted::Loader(base),
        (None, Some((first, rest))) if is_serial(first) || written(first).is_some() => Wanted::Own { rest },
        (None, _) => Wanted::Other,
    }
}

/// The machine that `name` names: loaders are advertised as `MAC/loader`, and configurations are asked for by MAC.
pub(super) fn mac_in(name: &str) -> Option<Mac> {
    let of_part = |part: &str| {
        let bare = part.strip_prefix("grub.cfg-").unwrap_or(part);
        written(part).or_else(|| written(bare.strip_prefix("01-")?))
    };
    name.split('/').find_map(of_part)
}

/// `pxelinux.cfg/01-52-54-00-00-00-01`, below any folder: both U-Boot and PXELINUX put that of their boot file in
/// front. 01 is the type of Ethernet's addresses.
fn pxelinux(name: &str) -> Option<Mac> {
    let (folder, file) = name.rsplit_once('/')?;
    let folder = folder.rsplit('/').next()?;
    if folder != "pxelinux.cfg" {
        return None;
    }
    written(file.strip_prefix("01-")?)
}

/// A machine's MAC as names have it: of captaind, smee, PXELINUX, GRUB, U-Boot and the Raspberry Pi, with colons or dashes.
/// Twelve bare digits may as well be a date or a part of a hash.
fn written(part: &str) -> Option<Mac> {
    let apart = part.len() == 17 && matches!(part.as_bytes()[2], b':' | b'-');
    part.parse().ok().filter(|mac: &Mac| apart && mac.is_unicast())
}

/// The last eight hex digits of a Raspberry Pi's serial number.
fn is_serial(part: &str) -> bool {
    part.len() == 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac::new([0x52, 0x54, 0, 0, 0, 1]);

    #[test]
    fn a_name_says_what_is_wanted() {
        let trace = "snponly.efi-00-23b1e307bb35484f535a1f772c06910e-d887dc3912240434-01";
        for (name, expected) in [
            ("snponly.efi", Wanted::Loader("snponly.efi")),
            ("/52:54:00:00:00:01/snponly.efi", Wanted::Loader("snponly.efi")),
            (trace, Wanted::Loader("snponly.efi")),
            ("52-54-00-00-00-01/autoexec.ipxe", Wanted::Autoexec),
            ("grub/grub.cfg-01-52-54-00-00-00-01", Wanted::Grub(Some(MAC))),
            ("/grub/grub.cfg", Wanted::Grub(None)),
            ("EFI/debian/grub.cfg-01-52:54:00:00:00:01", Wanted::Grub(Some(MAC))),
            ("grub/grub.cfg-C0A83214", Wanted::Other),
            ("pxelinux.cfg/01-52-54-00-00-00-01", Wanted::Pxelinux(MAC)),
            ("boot/pxelinux.cfg/01-52-54-00-00-00-01", Wanted::Pxelinux(MAC)),
            ("pxelinux.cfg/01-nonsense", Wanted::Other),
            ("pxelinux.cfg/default", Wanted::Other),
            ("01-52-54-00-00-00-01", Wanted::Other),
            ("/osie/rack%201/vmlinuz-x86_64", Wanted::Osie { profile: "rack%201", file: "vmlinuz-x86_64" }),
            ("osie/vmlinuz-x86_64", Wanted::Other),
            ("1a2b3c4d/start4.elf", Wanted::Own { rest: "start4.elf" }),
            ("1a2b3c4d/overlays/a.dtbo", Wanted::Own { rest: "overlays/a.dtbo" }),
            ("202611220000/config.txt", Wanted::Other),
            ("dc-a6-32-00-00-01/config.txt", Wanted::Own { rest: "config.txt" }),
            ("start4.elf", Wanted::Other),
            ("abcdefgh/start4.elf", Wanted::Other),
            ("", Wanted::Other),
        ] {
            assert_eq!(wanted(name, |base| base == "snponly.efi"), expected, "{name}");
        }
    }

    #[test]
    fn the_machine_is_read_from_wherever_it_stands() {
        for name in [
            "52:54:00:00:00:01/snponly.efi",
            "a/52-54-00-00-00-01/b",
            "pxelinux.cfg/01-52-54-00-00-00-01",
            "grub/grub.cfg-01-52-54-00-00-00-01",
        ] {
            assert_eq!(mac_in(name), Some(MAC), "{name}");
        }
        for nobody in [
            "1a2b3c4d/start4.elf",
            "202611220000/x",
            "images/9f86d081884c/vmlinuz",
            "2026.1122.0000/x",
            "01-00-5e-00-00-01/x",
            "00:00:00:00:00:00/x",
            "pxelinux.cfg/01-525400000001",
            "grub.cfg-01-ff-ff-ff-ff-ff-ff",
        ] {
            assert_eq!(mac_in(nobody), None, "{nobody}");
        }
    }
}
