//! Who holds a port: socket table -> inode -> file descriptors of processes.

use std::fmt;
use std::fs;
use std::path::Path;

/// The process that has a port open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// This one.
    Process {
        /// Process id.
        pid: u32,
        /// Name, from `/proc/PID/comm`.
        name: String,
    },
    /// It exists, but its file descriptors may not be read.
    Unknown,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process { pid, name } => write!(f, "{name} (pid {pid})"),
            Self::Unknown => f.write_str("an unknown process (run as root to see which)"),
        }
    }
}

/// Who holds `port` of `transport` (`UDP` or `TCP`), IPv4 or IPv6.
pub fn holder_of(transport: &str, port: u16) -> Holder {
    let table = transport.to_lowercase();
    let inodes: Vec<u64> = [table.clone(), format!("{table}6")]
        .iter()
        .filter_map(|name| fs::read_to_string(format!("/proc/net/{name}")).ok())
        .flat_map(|text| inodes_of(&text, port, table == "tcp"))
        .collect();
    inodes.iter().find_map(|inode| process_with(*inode)).unwrap_or(Holder::Unknown)
}

/// Inodes of the sockets bound to `port` in a `/proc/net/{udp,tcp}` table; `listening` keeps state 0A only.
fn inodes_of(table: &str, port: u16, listening: bool) -> Vec<u64> {
    table.lines().skip(1).filter_map(|line| inode_of(line, port, listening)).collect()
}

fn inode_of(line: &str, port: u16, listening: bool) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (_, local) = fields.get(1)?.rsplit_once(':')?;
    let state = *fields.get(3)?;
    if u16::from_str_radix(local, 16) != Ok(port) || (listening && state != "0A") {
        return None;
    }
    fields.get(9)?.parse().ok()
}

fn process_with(inode: u64) -> Option<Holder> {
    let wanted = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()).find_map(|pid| {
        let folder = Path::new("/proc").join(pid.to_string());
        let mut open = fs::read_dir(folder.join("fd")).ok()?.flatten();
        open.any(|fd| fs::read_link(fd.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str()))
            .then(|| Holder::Process { pid, name: name_of(&folder) })
    })
}

fn name_of(folder: &Path) -> String {
    fs::read_to_string(folder.join("comm")).map_or_else(|_| "?".to_owned(), |name| name.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const UDP: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n 1042: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 31337 2 0000000000000000 0\n";

    #[test]
    fn the_socket_table_gives_the_inode_of_a_port() {
        assert_eq!(inodes_of(UDP, 67, false), [31337]);
        assert_eq!(inodes_of(UDP, 68, false), [0_u64; 0]);
    }

    #[test]
    fn the_holder_of_a_port_of_this_process_is_this_process() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let holder = holder_of("UDP", socket.local_addr().unwrap().port());
        assert!(matches!(holder, Holder::Process { pid, .. } if pid == std::process::id()), "{holder}");
    }

    #[test]
    fn only_listening_tcp_sockets_hold_a_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let holder = holder_of("TCP", listener.local_addr().unwrap().port());
        assert!(matches!(holder, Holder::Process { .. }), "{holder}");
        assert_eq!(holder_of("TCP", 1), Holder::Unknown);
    }
}
