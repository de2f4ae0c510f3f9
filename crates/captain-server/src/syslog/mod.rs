//! Log lines that machines send (RFC 3164, RFC 5424 over UDP): kept per machine, shown by `captaind logs`.

mod message;

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use captain_model::{Mac, Secret, Timestamp};
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
/// Bytes of all lines together.
const ALL: usize = 64 << 20;
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
pub(crate) struct Logs(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_machine: HashMap<String, VecDeque<Line>>,
    bytes: usize,
}

impl Line {
    /// What it takes of [`ALL`].
    fn size(&self) -> usize {
        size_of::<Self>() + self.message.text.len() + self.message.program.as_ref().map_or(0, String::len)
    }
}

impl Logs {
    /// Keeps `line` of `machine`. Senders can be made up: beyond a number of them the quietest is forgotten, and
    /// beyond a number of bytes the oldest line of who has most.
    pub(crate) fn keep(&self, machine: &str, line: Line) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.by_machine.len() >= MACHINES && !kept.by_machine.contains_key(machine) {
            kept.forget_the_quietest();
        }
        kept.bytes += line.size();
        let own = kept.by_machine.entry(machine.to_owned()).or_default();
        own.push_back(line);
        let gone = if own.len() > KEPT { own.pop_front() } else { None };
        kept.bytes -= gone.map_or(0, |line| line.size());
        while kept.bytes > ALL {
            kept.shorten_the_longest();
        }
    }

    /// The lines of `machine`, oldest first.
    pub(crate) fn of(&self, machine: &str) -> Vec<Line> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.by_machine.get(machine).map(|own| own.iter().cloned().collect()).unwrap_or_default()
    }
}

impl Kept {
    fn forget_the_quietest(&mut self) {
        let heard = |lines: &VecDeque<Line>| lines.back().map(|line| line.at);
        let quietest = self.by_machine.iter().min_by_key(|(_, lines)| heard(lines));
        let Some(machine) = quietest.map(|(machine, _)| machine.clone()) else { return };
        let gone = self.by_machine.remove(&machine).unwrap_or_default();
        self.bytes -= gone.iter().map(Line::size).sum::<usize>();
    }

    fn shorten_the_longest(&mut self) {
        let longest = self.by_machine.values_mut().max_by_key(|lines| lines.len());
        match longest.and_then(VecDeque::pop_front) {
            Some(line) => self.bytes -= line.size(),
            None => self.bytes = 0,
        }
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
        let mac = appliance.who(from.ip());
        let machine = mac.map_or_else(|| from.ip().to_string(), |mac| mac.to_string());
        let mut message = parse(&buffer[..length.min(LONGEST)]);
        message.text = masked(message.text, mac.and_then(|mac| password_of(&appliance, mac)));
        tracing::trace!(machine, severity = message.severity, "{}", message.text);
        appliance.logs.keep(&machine, Line { at: now(), message });
    }
}

fn password_of(appliance: &Appliance, mac: Mac) -> Option<Secret> {
    appliance.inventory.load().identify(mac).agent().registry_password
}

/// `text` without the machine's registry password: logs are read by more people than the configuration is.
fn masked(text: String, secret: Option<Secret>) -> String {
    match secret.as_ref().map(Secret::expose).filter(|secret| !secret.is_empty()) {
        Some(secret) => text.replace(secret, "***"),
        None => text,
    }
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

    #[test]
    fn made_up_senders_cost_neither_memory_nor_the_lines_of_a_machine_that_is_alive() {
        let logs = Logs::default();
        let line = |n: usize| Line {
            at: Timestamp::from_millis(n as u64),
            message: parse(format!("<13>app: {}", "x".repeat(LONGEST)).as_bytes()),
        };
        logs.keep("alive", line(0));
        for n in 1..=MACHINES * 12 {
            logs.keep(&format!("forged {}", n % (MACHINES + 7)), line(n));
            if n % 1000 == 0 {
                logs.keep("alive", line(n));
            }
        }
        let kept = logs.0.lock().unwrap();
        let bytes: usize = kept.by_machine.values().flatten().map(Line::size).sum();
        assert!(kept.bytes == bytes && bytes <= ALL, "{} counted, {bytes} there", kept.bytes);
        assert!(kept.by_machine.len() <= MACHINES);
        assert!(kept.by_machine.contains_key("alive"));
    }

    #[test]
    fn a_line_does_not_show_the_machines_password() {
        assert_eq!(masked("login u:hunter2".into(), Some(Secret::new("hunter2"))), "login u:***");
        assert_eq!(masked("login".into(), Some(Secret::new(""))), "login");
    }
}
