//! Counters in Prometheus' text format, fed by events. No label grows with the number of machines.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use captain_model::{BootStage, EventKind};

/// What has been counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    offers: AtomicU64,
    acks: AtomicU64,
    naks: AtomicU64,
    ignored: AtomicU64,
    refused: AtomicU64,
    declined: AtomicU64,
    tftp_done: AtomicU64,
    tftp_probes: AtomicU64,
    tftp_failed: AtomicU64,
    tftp_bytes: AtomicU64,
    http_ok: AtomicU64,
    http_failed: AtomicU64,
    http_bytes: AtomicU64,
    stages: [AtomicU64; BootStage::ALL.len()],
    failed: AtomicU64,
}

/// What is measured when asked, not counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gauges {
    /// Leases that have not expired.
    pub(crate) leases: usize,
    /// Machines of the inventory.
    pub(crate) machines: usize,
    /// Records that are not on disk yet.
    pub(crate) backlog: usize,
}

impl Counters {
    /// Counts one event.
    pub(crate) fn count(&self, kind: &EventKind) {
        match kind {
            EventKind::DhcpReply { message, .. } => add(self.of_message(message), 1),
            EventKind::Ignored { .. } => add(&self.ignored, 1),
            EventKind::NetbootRefused { .. } => add(&self.refused, 1),
            EventKind::LeaseDeclined { .. } | EventKind::AddressInUse { .. } => add(&self.declined, 1),
            EventKind::TftpDone { bytes, .. } => {
                add(&self.tftp_done, 1);
                add(&self.tftp_bytes, *bytes);
            }
            EventKind::TftpProbe { .. } => add(&self.tftp_probes, 1),
            EventKind::TftpFailed { .. } => add(&self.tftp_failed, 1),
            EventKind::Http { status, bytes, .. } => {
                add(if *status < 400 { &self.http_ok } else { &self.http_failed }, 1);
                add(&self.http_bytes, *bytes);
            }
            EventKind::Stage { stage } => add(&self.stages[*stage as usize], 1),
            EventKind::Failed { .. } => add(&self.failed, 1),
            EventKind::LeaseReleased { .. }
            | EventKind::DhcpMode { .. }
            | EventKind::Report { .. }
            | EventKind::AgentStarted { .. }
            | EventKind::Done => {}
        }
    }

    fn of_message(&self, message: &str) -> &AtomicU64 {
        match message {
            "offer" => &self.offers,
            "nak" => &self.naks,
            _ => &self.acks,
        }
    }

    /// All counters and `gauges` as text (Prometheus exposition format 0.0.4).
    pub(crate) fn render(&self, gauges: Gauges) -> String {
        let mut page = Page::default();
        page.family("captaind_dhcp_replies_total", "counter", "DHCP replies sent");
        page.line("captaind_dhcp_replies_total{message=\"offer\"}", get(&self.offers));
        page.line("captaind_dhcp_replies_total{message=\"ack\"}", get(&self.acks));
        page.line("captaind_dhcp_replies_total{message=\"nak\"}", get(&self.naks));
        page.counter("captaind_dhcp_ignored_total", "DHCP datagrams that got no answer", &self.ignored);
        page.counter("captaind_dhcp_declined_total", "Addresses found in use by clients", &self.declined);
        page.counter(
            "captaind_netboot_refused_total",
            "Machines told that they may not netboot",
            &self.refused,
        );
        page.family("captaind_tftp_transfers_total", "counter", "TFTP transfers by outcome");
        page.line("captaind_tftp_transfers_total{outcome=\"done\"}", get(&self.tftp_done));
        page.line("captaind_tftp_transfers_total{outcome=\"probe\"}", get(&self.tftp_probes));
        page.line("captaind_tftp_transfers_total{outcome=\"failed\"}", get(&self.tftp_failed));
        page.counter("captaind_tftp_bytes_total", "Bytes of completed TFTP transfers", &self.tftp_bytes);
        page.family("captaind_http_requests_total", "counter", "HTTP requests of machines by outcome");
        page.line("captaind_http_requests_total{outcome=\"ok\"}", get(&self.http_ok));
        page.line("captaind_http_requests_total{outcome=\"failed\"}", get(&self.http_failed));
        page.counter("captaind_http_bytes_total", "Body bytes sent to machines", &self.http_bytes);
        page.family("captaind_boot_stages_total", "counter", "Boot stages reached");
        for stage in BootStage::ALL {
            let name = format!("captaind_boot_stages_total{{stage=\"{stage}\"}}");
            page.line(&name, get(&self.stages[stage as usize]));
        }
        page.counter("captaind_boots_failed_total", "Boots that stopped", &self.failed);
        page.gauge("captaind_leases", "Leases that have not expired", gauges.leases);
        page.gauge("captaind_machines", "Machines of the inventory", gauges.machines);
        page.gauge("captaind_state_backlog", "Changes that are not on disk yet", gauges.backlog);
        page.0
    }
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, name: &str, value: u64) {
        let _ = writeln!(self.0, "{name} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: &AtomicU64) {
        self.family(name, "counter", help);
        self.line(name, get(value));
    }

    fn gauge(&mut self, name: &str, help: &str, value: usize) {
        self.family(name, "gauge", help);
        self.line(name, value as u64);
    }
}

fn add(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

fn get(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happened_is_counted() {
        let counters = Counters::default();
        counters.count(&EventKind::Stage { stage: BootStage::Agent });
        counters.count(&EventKind::TftpDone { file: "a".into(), bytes: 7, millis: 1 });
        counters.count(&EventKind::TftpDone { file: "a".into(), bytes: 5, millis: 1 });
        let text = counters.render(Gauges { leases: 3, ..Gauges::default() });
        for line in [
            "captaind_boot_stages_total{stage=\"agent\"} 1",
            "captaind_boot_stages_total{stage=\"dhcp\"} 0",
            "captaind_tftp_transfers_total{outcome=\"done\"} 2",
            "captaind_tftp_bytes_total 12",
            "captaind_leases 3",
        ] {
            assert!(text.lines().any(|own| own == line), "{line} is missing in\n{text}");
        }
    }
}
