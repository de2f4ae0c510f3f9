//! `[server]`, `[tftp]`, `[syslog]` and `[registry]`.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::reader::{Table, Value};
use crate::words;
use crate::{Https, RegistryConfig, ServerConfig, SyslogConfig, TftpConfig};

const PORTS: std::ops::RangeInclusive<u16> = 1..=u16::MAX;

pub(crate) fn server(table: Table) -> ServerConfig {
    let default = ServerConfig::default();
    let http_port = table.number("http_port", PORTS).unwrap_or(default.http_port);
    let config = ServerConfig {
        interfaces: table.list("interfaces", |value| value.parsed(interface)).unwrap_or_default(),
        address: table.address("address"),
        listen_everywhere: table.parsed("listen", listen).unwrap_or(false),
        http_port,
        https: https(&table, http_port),
        state_dir: table.path("state_dir"),
        cache_dir: table.path("cache_dir"),
        loaders: table.path("loaders"),
        scripts: table.path("scripts"),
        user: table.parsed("user", words::word),
        trusted_proxies: table.list("trusted_proxies", proxy).unwrap_or_default(),
    };
    table.finish();
    config
}

/// IFNAMSIZ is 16 with the NUL, and a name is a folder's in sysfs.
fn interface(name: &str) -> Result<String, String> {
    let word = words::word(name)?;
    if word.len() > 15 || word.contains('/') {
        return Err(format!("`{name}` is not the name of an interface: it has at most 15 bytes and no `/`"));
    }
    Ok(word)
}

fn listen(text: &str) -> Result<bool, String> {
    match text {
        "all" => Ok(true),
        "interfaces" => Ok(false),
        _ => Err(format!("`{text}` is neither `interfaces` nor `all`")),
    }
}

fn proxy(value: &Value) -> Option<IpNet> {
    value.parsed(|text| {
        text.parse::<IpNet>()
            .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
            .map_err(|_| format!("`{text}` is not a network: write 10.0.0.0/8 or one address"))
    })
}

fn https(table: &Table, http_port: u16) -> Option<Https> {
    let (port, cert, key) = (table.get("https_port"), table.get("tls_cert"), table.get("tls_key"));
    let number = port.as_ref().and_then(|value| value.number(PORTS)).unwrap_or(Https::DEFAULT_PORT);
    match (&cert, &key) {
        (Some(one), None) => one.fault("needs `tls_key` beside it: name the file with the private key"),
        (None, Some(one)) => {
            one.fault("needs `tls_cert` beside it: name the file with the certificate chain")
        }
        (None, None) => {
            if let Some(port) = &port {
                port.fault("HTTPS needs a certificate: add `tls_cert` and `tls_key`, or remove this key");
            }
        }
        (Some(cert), Some(_)) if number == http_port => {
            port.as_ref().unwrap_or(cert).fault(format!("HTTP and HTTPS cannot both have port {number}"));
        }
        (Some(_), Some(_)) => {}
    }
    let (cert, key) = (cert.and_then(|value| value.path()), key.and_then(|value| value.path()));
    Some(Https { port: number, cert: cert?, key: key? })
}

pub(crate) fn tftp(table: Table) -> TftpConfig {
    let default = TftpConfig::default();
    let config = TftpConfig {
        enabled: table.boolean("enabled").unwrap_or(default.enabled),
        port: table.number("port", PORTS).unwrap_or(default.port),
        // RFC 2348: 8 to 65464 bytes; RFC 7440: 1 to 65535 blocks.
        block_size: table.number("block_size", 8..=65464).unwrap_or(default.block_size),
        window_size: table.number("window_size", 1..=u16::MAX).unwrap_or(default.window_size),
        root: table.path("root"),
        single_port: table.boolean("single_port").unwrap_or(default.single_port),
    };
    table.finish();
    config
}

pub(crate) fn syslog(table: Table) -> SyslogConfig {
    let default = SyslogConfig::default();
    let config = SyslogConfig {
        enabled: table.boolean("enabled").unwrap_or(default.enabled),
        port: table.number("port", PORTS).unwrap_or(default.port),
        host: table.parsed("host", |text| words::argument_value(&words::word(text)?)),
    };
    table.finish();
    config
}

pub(crate) fn registry(table: Table) -> RegistryConfig {
    let config = RegistryConfig {
        enabled: table.boolean("enabled").unwrap_or(true),
        mirror: table.boolean("mirror").unwrap_or(false),
    };
    table.finish();
    config
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn https_needs_both_files_and_a_port_of_its_own() {
        let keys = |text: &str| {
            let result = crate::parse(&format!("[server]\n{text}"), Path::new(""));
            result.map_or_else(
                |faults| faults.faults.into_iter().map(|fault| fault.key).collect(),
                |_| Vec::new(),
            )
        };
        let files = "tls_cert = \"c\"\ntls_key = \"k\"\n";
        assert_eq!(keys(files), [""; 0]);
        assert_eq!(keys("tls_cert = \"c\""), ["server.tls_cert"]);
        assert_eq!(keys("tls_key = \"k\""), ["server.tls_key"]);
        assert_eq!(keys("https_port = 7443"), ["server.https_port"]);
        assert_eq!(keys(&format!("{files}https_port = 7080")), ["server.https_port"]);
        assert_eq!(keys(&format!("{files}http_port = 7443")), ["server.tls_cert"]);
        assert_eq!(keys("http_port = 0"), ["server.http_port"]);
    }
}
