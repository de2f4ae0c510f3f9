//! One log line per event, in one place.
//!
//! warn = degraded; info = a machine moved; debug = ignored, and why. Events hold no secrets.

use captain_model::{Event, EventKind};
use tracing::{debug, info, warn};

/// Writes the line of `event`.
pub(crate) fn line(event: &Event) {
    let mac = event.mac.map_or_else(|| "-".to_owned(), |mac| mac.to_string());
    let boot = event.boot.map_or_else(|| "-".to_owned(), |boot| boot.to_string());
    let text = describe(&event.kind);
    match &event.kind {
        EventKind::TftpFailed { .. }
        | EventKind::Failed { .. }
        | EventKind::LeaseDeclined { .. }
        | EventKind::AddressInUse { .. }
        | EventKind::NetbootRefused { .. } => warn!(mac, boot, "{text}"),
        EventKind::DhcpReply { .. }
        | EventKind::LeaseReleased { .. }
        | EventKind::DhcpMode { .. }
        | EventKind::TftpDone { .. }
        | EventKind::Stage { .. }
        | EventKind::Report { .. }
        | EventKind::AgentStarted { .. }
        | EventKind::Done => info!(mac, boot, "{text}"),
        EventKind::Http { status, .. } if *status >= 400 => warn!(mac, boot, "{text}"),
        EventKind::Http { .. } => info!(mac, boot, "{text}"),
        EventKind::Ignored { .. } | EventKind::TftpProbe { .. } => debug!(mac, boot, "{text}"),
    }
}

/// The event in words: also what the dashboard shows.
pub fn describe(kind: &EventKind) -> String {
    match kind {
        EventKind::DhcpReply { message, address, firmware, file, .. } => {
            let address = address.map_or_else(String::new, |address| format!(" {address}"));
            let firmware = firmware.map_or_else(String::new, |firmware| format!(" to {firmware}"));
            let file = file.as_ref().map_or_else(String::new, |file| format!(", boot file {file}"));
            format!("DHCP {message}{address}{firmware}{file}")
        }
        EventKind::Ignored { why } => format!("ignored: {why}"),
        EventKind::LeaseReleased { address } => format!("gave back {address}"),
        EventKind::LeaseDeclined { address } => format!("found {address} in use by somebody else"),
        EventKind::AddressInUse { address, by } => {
            let by = by.map_or_else(|| "somebody else".to_owned(), |mac| mac.to_string());
            format!(
                "its address {address} is used by {by}: free it there, or give the machine another `address`"
            )
        }
        EventKind::DhcpMode { mode, why } => format!("DHCP mode {mode}: {why}"),
        EventKind::NetbootRefused { why } => format!("may not netboot: {why}"),
        EventKind::TftpDone { file, bytes, millis } => format!("TFTP {file}: {bytes} bytes in {millis} ms"),
        EventKind::TftpProbe { file } => format!("TFTP {file}: asked for its size"),
        EventKind::TftpFailed { file, why } => format!("TFTP {file} failed: {why}"),
        EventKind::Http { method, path, status, bytes, millis, .. } => {
            format!("{method} {path}: {status}, {bytes} bytes in {millis} ms")
        }
        EventKind::Stage { stage } => format!("reached {stage}"),
        EventKind::Report { step, detail } if detail.is_empty() => format!("OSIE: {step}"),
        EventKind::Report { step, detail } => format!("OSIE: {step}: {detail}"),
        EventKind::AgentStarted { args, .. } => format!("agent started: {}", args.join(" ")),
        EventKind::Failed { stage, why } => format!("stopped after {stage}: {why}"),
        EventKind::Done => "done".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_what_was_given_and_to_what() {
        let kind = EventKind::DhcpReply {
            message: "offer".into(),
            address: Some(std::net::Ipv4Addr::new(192, 168, 50, 100)),
            firmware: Some(captain_model::Firmware::Uefi),
            arch: None,
            file: Some("snponly.efi".into()),
            secs: 0,
        };
        assert_eq!(describe(&kind), "DHCP offer 192.168.50.100 to uefi, boot file snponly.efi");
    }
}
