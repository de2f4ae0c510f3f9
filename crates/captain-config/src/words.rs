//! Checks of single texts: each gives the text or says why not.

use captain_model::{Arch, BootPolicy, Cmdline, DhcpMode, LocalBoot, Mac, UnknownMachines};

use crate::reader::{Table, Value};

pub(crate) const MODES: &[(&str, DhcpMode)] = &[
    ("auto", DhcpMode::Auto),
    ("dynamic", DhcpMode::Dynamic),
    ("reservation", DhcpMode::Reservation),
    ("proxy", DhcpMode::Proxy),
    ("auto-proxy", DhcpMode::AutoProxy),
    ("disabled", DhcpMode::Disabled),
];

pub(crate) const UNKNOWN: &[(&str, UnknownMachines)] = &[
    ("boot", UnknownMachines::Boot),
    ("lease-only", UnknownMachines::LeaseOnly),
    ("ignore", UnknownMachines::Ignore),
];

pub(crate) const BOOT: &[(&str, BootPolicy)] = &[
    ("always", BootPolicy::Always),
    ("once", BootPolicy::Once),
    ("until-done", BootPolicy::UntilDone),
    ("never", BootPolicy::Never),
];

pub(crate) const LOCAL_BOOT: &[(&str, LocalBoot)] = &[
    ("exit", LocalBoot::Exit),
    ("sanboot", LocalBoot::Sanboot),
    ("silence", LocalBoot::Silence),
    ("poweroff", LocalBoot::Poweroff),
];

/// Any text with something in it and no control character.
pub(crate) fn text(text: &str) -> Result<String, String> {
    match text {
        "" => Err("is empty: give it a value, or leave the key out".to_owned()),
        _ if text.chars().any(char::is_control) => {
            Err("holds a control character (newline, NUL, ...): remove it".to_owned())
        }
        _ => Ok(text.to_owned()),
    }
}

/// A text without spaces either.
pub(crate) fn word(word: &str) -> Result<String, String> {
    match text(word)? {
        ok if !ok.contains(char::is_whitespace) => Ok(ok),
        _ => Err(format!("`{word}` holds a space: remove it")),
    }
}

/// The value of a kernel argument. The message never shows the value: it may be a password.
pub(crate) fn argument_value(value: &str) -> Result<String, String> {
    let value = text(value)?;
    if value.contains('"') {
        return Err("holds a double quote, which cannot be in a kernel argument: remove it".to_owned());
    }
    if value.contains("${") {
        return Err("holds `${`, which iPXE would replace by one of its settings: remove it".to_owned());
    }
    Ok(value)
}

/// The name of a profile or an OSIE: it is a part of URLs and of folder names.
pub(crate) fn name(name: &str) -> Result<&str, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && name.chars().all(fits) && name.len() <= 64 {
        return Ok(name);
    }
    Err(format!(
        "`{}` cannot be a name: use letters, digits, `.`, `_` and `-`, at most 64",
        name.escape_debug()
    ))
}

/// A boot loader: a file of the loaders folder itself.
pub(crate) fn loader(file: &str) -> Result<String, String> {
    let file = word(file)?;
    if file.contains(['/', '\\']) || file.starts_with('.') {
        return Err(format!("`{file}` is not a loader: name a file of the loaders folder, without a path"));
    }
    Ok(file)
}

/// The address of one station.
pub(crate) fn mac(text: &str) -> Result<Mac, String> {
    let mac: Mac = text.parse().map_err(|error: captain_model::mac::MacError| error.to_string())?;
    if mac.is_unicast() {
        return Ok(mac);
    }
    Err(format!(
        "{mac} is a group address or zero: a machine's own MAC has an even first byte and is not zero"
    ))
}

/// A URL of one of these schemes, with a host.
pub(crate) fn url(text: &str, schemes: &[&str]) -> Result<String, String> {
    let text = word(text)?;
    let fits = text.split_once("://").is_some_and(|(scheme, rest)| {
        schemes.contains(&scheme) && (scheme == "file" || !rest.is_empty() && !rest.starts_with('/'))
    });
    if fits {
        Ok(text)
    } else {
        Err(format!("`{text}` is not a URL: it starts with {}", schemes.join(":// or ") + "://"))
    }
}

/// Host and port.
pub(crate) fn authority(text: &str) -> Result<String, String> {
    let text = argument_value(&word(text)?)?;
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains('/'));
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(1..) => Ok(text),
        _ => Err(format!("`{text}` has no port: write host:port, such as 192.168.50.1:42113")),
    }
}

/// CPU.
pub(crate) fn arch(text: &str) -> Result<Arch, String> {
    text.parse()
}

/// The kernel arguments of a profile or machine; a wrong one is named by its index.
pub(crate) fn cmdline(table: &Table) -> Option<Cmdline> {
    let arguments = table.list("cmdline", argument)?;
    // Each was checked by itself, so together they are right as well.
    Cmdline::parse(arguments).ok()
}

fn argument<'a>(value: &Value<'a>) -> Option<&'a str> {
    value.parsed(|text| {
        Cmdline::new().push(text).map_err(|error| error.to_string())?;
        if text.contains("${") {
            return Err("holds `${`, which iPXE would replace by one of its settings: remove it".to_owned());
        }
        Ok(text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loader_is_a_file_and_no_path() {
        assert_eq!(loader("snponly.efi").as_deref(), Ok("snponly.efi"));
        for bad in ["", "a/b.efi", "/b.efi", "..", "a\\b", "a b"] {
            assert!(loader(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_url_has_a_known_scheme_and_a_host() {
        assert!(url("https://mirror.example/debian", &["http", "https"]).is_ok());
        assert!(url("file:///srv/debian", &["http", "file"]).is_ok());
        for bad in ["mirror.example", "ftp://mirror.example", "http://", "http:///x", "http://a b"] {
            assert!(url(bad, &["http", "https"]).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_authority_has_a_port() {
        assert!(authority("tink.example:42113").is_ok());
        for bad in ["tink.example", "tink.example:", ":42113", "tink:0", "tink:99999", "http://tink:1"] {
            assert!(authority(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_are_safe_in_urls_and_folders() {
        for good in ["default", "rack-1", "a.b_c", "9"] {
            assert_eq!(name(good), Ok(good));
        }
        for bad in ["", "..", ".a", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }
}
