//! What is known when a machine asks.

use captain_model::{Arch, BootTicket, Identity, Mac, Profile};

const SYSLOG_PORT: u16 = 514;

/// What captaind knows about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerFacts {
    /// Where this machine reaches captaind over plain HTTP, without a slash at the end:
    /// `http://192.168.50.1:7080`.
    pub http_base: String,
    /// Host and UDP port that syslog is announced with, where it is.
    pub syslog: Option<(String, u16)>,
    /// Registry (host:port) that machines ask first for every image, where captaind's own is to be one.
    pub registry_mirror: Option<String>,
}

/// The path that a command line takes to the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// An iPXE script: EFI kernels look up `initrd=` among iPXE's images.
    Ipxe,
    /// A GRUB configuration: GRUB hands the initramfs over itself, and an EFI kernel that found `initrd=`
    /// would look for that file on GRUB's device and stop.
    Grub,
    /// A patched ISO, which boots by GRUB or ISOLINUX: as for GRUB.
    Iso,
}

/// One machine that is about to boot.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The address it boots from.
    pub mac: Mac,
    /// Who that is.
    pub identity: Identity<'a>,
    /// Its CPU.
    pub arch: Arch,
    /// This boot's id and its proof; none where nothing boots (`captaind explain`).
    pub boot: Option<BootTicket>,
    /// The server.
    pub server: &'a ServerFacts,
    /// How the command line gets there.
    pub via: Via,
}

impl<'a> Facts<'a> {
    /// The profile in force.
    pub fn profile(&self) -> &'a Profile {
        self.identity.profile()
    }

    /// What an operator calls it: `r1-u07 (52:54:00:00:00:01)`, or the MAC alone.
    pub fn who(&self) -> String {
        match self.identity.machine().and_then(|machine| machine.name.as_deref()) {
            Some(name) => format!("{name} ({})", self.mac),
            None => self.mac.to_string(),
        }
    }

    /// `vmlinuz-x86_64`.
    pub fn kernel_name(&self) -> String {
        format!("vmlinuz-{}", self.arch.linux())
    }

    /// `initramfs-x86_64`.
    pub fn initrd_name(&self) -> String {
        format!("initramfs-{}", self.arch.linux())
    }

    /// Path of the kernel on captaind's HTTP server: `/osie/default/vmlinuz-x86_64`.
    pub fn kernel_path(&self) -> String {
        self.artifact(&self.kernel_name())
    }

    /// Path of the initramfs on captaind's HTTP server.
    pub fn initrd_path(&self) -> String {
        self.artifact(&self.initrd_name())
    }

    /// Where an iPXE script gets the kernel: from captaind, or straight from the server that the profile names, as not
    /// every client follows a redirect.
    pub fn kernel_url(&self) -> String {
        self.url(&self.kernel_name())
    }

    /// Where an iPXE script gets the initramfs.
    pub fn initrd_url(&self) -> String {
        self.url(&self.initrd_name())
    }

    /// Where this machine is told to send its syslog: its own or its profile's word before the server's, and
    /// nowhere where `syslog = false`. A host that is named without a port has syslog's own (RFC 5426).
    pub(crate) fn syslog(&self) -> Option<(String, u16)> {
        let agent = self.identity.agent();
        if agent.syslog == Some(false) {
            return None;
        }
        let (host, port) = match agent.syslog_host {
            Some(host) => (host, SYSLOG_PORT),
            None => self.server.syslog.clone()?,
        };
        Some((host, agent.syslog_port.unwrap_or(port)))
    }

    fn url(&self, file: &str) -> String {
        let osie = self.profile().osie.trim_end_matches('/');
        if osie.contains("://") {
            format!("{}/{file}", url(osie))
        } else {
            format!("{}{}", self.server.http_base, self.artifact(file))
        }
    }

    fn artifact(&self, file: &str) -> String {
        format!("/osie/{}/{file}", path_segment(&self.profile().name))
    }
}

/// A URL of an operator as one word of a script: what RFC 3986 has no place for (spaces, control characters, quotes,
/// the braces of `${`) as `%XX`.
fn url(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !b"\"'\\<>^`{|}".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `text` as one segment of a URL's path: everything but RFC 3986 section 2.3's unreserved characters as `%XX`.
pub(crate) fn path_segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// The kernel's CPU for what iPXE's `${buildarch}` says. A BIOS iPXE is a 32-bit program (`i386`) on what is,
/// today, always a 64-bit machine.
pub fn arch_of_buildarch(buildarch: &str) -> Option<Arch> {
    match buildarch {
        "i386" | "x86_64" => Some(Arch::Amd64),
        "arm32" | "arm64" => Some(Arch::Arm64),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bios_ipxe_gets_the_64_bit_kernel() {
        assert_eq!(arch_of_buildarch("i386"), Some(Arch::Amd64));
        assert_eq!(arch_of_buildarch("arm64"), Some(Arch::Arm64));
        assert_eq!(arch_of_buildarch("riscv64"), None);
    }

    #[test]
    fn a_url_is_one_word_of_a_script() {
        assert_eq!(url("https://[::1]:8/a_b?c=%20&d=$e"), "https://[::1]:8/a_b?c=%20&d=$e");
        assert_eq!(url("http://x/a\nboot ${b}\0'\""), "http://x/a%0Aboot%20$%7Bb%7D%00%27%22");
    }

    #[test]
    fn a_path_segment_holds_nothing_that_ends_it() {
        assert_eq!(path_segment("rack-1_a.b~c"), "rack-1_a.b~c");
        assert_eq!(path_segment("a b/../c?d#${e}ä"), "a%20b%2F..%2Fc%3Fd%23%24%7Be%7D%C3%A4");
    }
}
