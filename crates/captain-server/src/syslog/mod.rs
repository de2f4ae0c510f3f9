//! Log lines that machines send (RFC 3164, RFC 5424 over UDP): kept per machine, shown by `captaind logs`.

mod message;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use captain_model::Timestamp;
use serde::Serialize;
use tokio::net::UdpSocket;

use crate::appliance::Appliance;
use crate::clock::now;

pub use message::Message;
use message::parse;

/// Lines kept for each machine.
const KEPT: usize = 1000;
/// Machines (by MAC, or by address where the MAC is unknown) that lines are kept for.
const MACHINES: usize = 4096;
/// Longest line kept, bytes.
const LONGEST: usize = 2048;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// When it arrived.
    pub at: Timestamp,
    /// What it says.
    #[serde(flatten)]
    pub message: Message,
}

/// The last lines of every machine.
#[derive(Debug, Default)]
pub(crate) struct Logs {
    by_machine: Mutex<HashMap<String, VecDeque<Line>>>,
}

impl Logs {
    /// Keeps `line` of `machine`. Lines of ever more senders are not kept: the address can be forged.
    pub(crate) fn keep(&self, machine: &str, line: Line) {
        let mut all = self.by_machine.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MACHINES && !all.contains_key(machine) {
            return;
        }
        let own = all.entry(machine.to_owned()).or_default();
        if own.len() == KEPT {
            own.pop_front();
        }
        own.push_back(line);
    }

    /// The lines of `machine`, oldest first.
    pub(crate) fn of(&self, machine: &str) -> Vec<Line> {
        let all = self.by_machine.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(machine).map(|own| own.iter().cloned().collect()).unwrap_or_default()
    }
}

/// Receives lines until the appliance stops.
///
/// # Errors
/// The socket's.
pub(crate) async fn serve(appliance: Arc<Appliance>, socket: std::net::UdpSocket) -> io::Result<()> {
    let socket = UdpSocket::from_std(socket)?;
    let mut buffer = vec![0; 8192];
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            () = appliance.stopping.cancelled() => return Ok(()),
        };
        let (length, from) = match received {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            Err(error) => return Err(error),
        };
        let machine = name_of(&appliance, from.ip());
        let message = parse(&buffer[..length.min(LONGEST)]);
        tracing::trace!(machine, severity = message.severity, "{}", message.text);
        appliance.logs.keep(&machine, Line { at: now(), message });
    }
}

fn name_of(appliance: &Appliance, address: IpAddr) -> String {
    appliance.who(address).map_or_else(|| address.to_string(), |mac| mac.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_each_machine_are_kept() {
        let logs = Logs::default();
        for n in 0..KEPT + 5 {
            let message = parse(format!("<13>app: line {n}").as_bytes());
            logs.keep("a", Line { at: Timestamp::from_millis(n as u64), message });
        }
        assert_eq!(logs.of("a").len(), KEPT);
        assert_eq!(logs.of("a")[0].message.text, "line 5");
        assert_eq!(logs.of("b"), []);
    }
}
