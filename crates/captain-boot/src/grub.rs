//! How text gets through GRUB's shell and its `linux` command unchanged.

use captain_model::Cmdline;

use crate::{BootError, Facts};

/// The line as arguments of GRUB's `linux`.
///
/// # Errors
/// An argument with a quote or a backslash: `grub_create_loader_cmdline` (grub-core/lib/cmdline.c) puts
/// backslashes before them in some versions and not in others, so no spelling arrives unchanged in all.
pub(crate) fn arguments(facts: &Facts, cmdline: &Cmdline) -> Result<String, BootError> {
    let mut out = Vec::new();
    for (argument, shown) in cmdline.iter().zip(cmdline.masked_arguments()) {
        if argument.contains(['"', '\'', '\\']) {
            return Err(BootError::GrubQuote { machine: facts.who(), argument: shown.to_owned() });
        }
        out.push(quote(argument));
    }
    Ok(out.join(" "))
}

/// `text` for GRUB's `echo`, on one line.
pub(crate) fn text(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() || c == '\'' { ' ' } else { c }).collect();
    format!("'{plain}'")
}

/// One word of GRUB's script language: in single quotes where a character could mean something to it.
fn quote(argument: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    if argument.chars().all(plain) { argument.to_owned() } else { format!("'{argument}'") }
}

/// Host and port of `http://host:port`, for GRUB's `(http,host:port)` and `(tftp,host)`.
pub(crate) fn authority(http_base: &str) -> (&str, &str) {
    let rest = http_base.split_once("://").map_or(http_base, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (authority, "80"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_grub_would_read_something_into_it() {
        assert_eq!(quote("console=ttyS0,115200"), "console=ttyS0,115200");
        assert_eq!(quote("a=$b"), "'a=$b'");
        assert_eq!(quote("a=b;reboot"), "'a=b;reboot'");
    }

    #[test]
    fn host_and_port_come_out_of_the_base_url() {
        assert_eq!(authority("http://192.168.50.1:7080"), ("192.168.50.1", "7080"));
        assert_eq!(authority("http://boot.example"), ("boot.example", "80"));
    }
}
