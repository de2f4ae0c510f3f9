//! An appliance for tests: on the loopback interface, on free ports, in a folder of its own.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use captain_model::{DhcpMode, Inventory, Machine, Profile, UnknownMachines};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::appliance::Appliance;
use crate::state::{Loaded, Store, Writer};
use crate::{Handle, InterfaceSpec, ServeError, Settings, SyslogSettings, TftpSettings};

/// What the kernel and the initramfs of the test OSIE hold.
pub(crate) const KERNEL: &[u8] = b"kernel of the test";
pub(crate) const INITRAMFS: &[u8] = b"initramfs of the test";
/// What every loader holds.
pub(crate) const LOADER: &[u8] = b"loader of the test";

/// Settings on loopback with loaders and an OSIE in a folder that lives as long as the first value.
pub(crate) fn settings(machines: Vec<Machine>, unknown: UnknownMachines) -> (TempDir, Settings) {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("loaders/undionly.kpxe", LOADER),
        ("loaders/snponly.efi", LOADER),
        ("osie/default/vmlinuz-x86_64", KERNEL),
        ("osie/default/initramfs-x86_64", INITRAMFS),
    ] {
        put(&folder.path().join(name), content);
    }
    let profiles = BTreeMap::from([("default".to_owned(), Profile::new("default"))]);
    let inventory = Arc::new(Inventory::new(machines, profiles, unknown));
    let mut settings = Settings::new(folder.path().join("state"), folder.path(), inventory);
    settings.interfaces = vec![InterfaceSpec::find("lo", None).unwrap()];
    settings.listen = Ipv4Addr::LOCALHOST;
    settings.http_port = 0;
    settings.dhcp.mode = DhcpMode::Disabled;
    settings.tftp = Some(TftpSettings { port: 0, ..TftpSettings::default() });
    settings.syslog = SyslogSettings { port: 0, ..SyslogSettings::default() };
    (folder, settings)
}

/// Writes a file and the folders above it.
pub(crate) fn put(path: &Path, content: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// An appliance whose state is on `disk`, and which serves nothing.
pub(crate) fn on_disk(folder: &TempDir, settings: Settings, disk: &Disk) -> Arc<Appliance> {
    let writer = Writer::new(Store::on(folder.path(), disk.clone()).unwrap());
    let appliance = Arc::new(Appliance::new(settings, Loaded::default(), writer));
    appliance.state.start().unwrap();
    appliance
}

/// A running appliance. Dropping it ends it.
pub(crate) struct Daemon {
    pub(crate) folder: TempDir,
    pub(crate) settings: Settings,
    pub(crate) handle: Handle,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServeError>>,
}

/// An answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Daemon {
    /// Binds and runs.
    pub(crate) fn start(machines: Vec<Machine>, unknown: UnknownMachines) -> Self {
        let (folder, settings) = settings(machines, unknown);
        Self::with(folder, settings)
    }

    /// Binds and runs with these settings.
    pub(crate) fn with(folder: TempDir, settings: Settings) -> Self {
        let bound = crate::bind(settings).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let (settings, handle) = (bound.settings().clone(), bound.handle());
        let task = tokio::spawn(bound.run(async {
            let _dropped = stopped.await;
        }));
        Self { folder, settings, handle, stop: Some(stop), task }
    }

    /// Stops it; what it returned.
    pub(crate) async fn stop(mut self) -> (TempDir, Settings, Result<(), ServeError>) {
        drop(self.stop.take());
        let result = self.task.await.unwrap();
        (self.folder, self.settings, result)
    }

    /// Sends a request as the machine at 127.0.0.2 and reads the answer.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        self.ask_from("127.0.0.2", method, path, headers, body).await
    }

    /// As [`Daemon::ask`], from another address of the loopback network.
    pub(crate) async fn ask_from(
        &self,
        from: &str,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Answer {
        let mut stream = self.connect(from).await;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n"
        );
        stream.write_all(format!("{head}{headers}\r\n{body}").as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).await.unwrap();
        Answer::parse(&raw)
    }

    /// A connection from `from`.
    pub(crate) async fn connect(&self, from: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
        socket.connect((Ipv4Addr::LOCALHOST, self.settings.http_port).into()).await.unwrap()
    }

    /// GET without anything else.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", "").await
    }

    /// GET of JSON.
    pub(crate) async fn json(&self, path: &str) -> serde_json::Value {
        serde_json::from_slice(&self.get(path).await.body).unwrap()
    }
}

impl Answer {
    fn parse(raw: &[u8]) -> Self {
        let end = raw.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = std::str::from_utf8(&raw[..end]).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers =
            lines.map(|line| line.split_once(": ").unwrap()).map(|(k, v)| (k.to_owned(), v.to_owned()));
        Self { status, headers: headers.collect(), body: raw[end + 4..].to_vec() }
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// A disk in memory that can be slow to sync, or broken.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Arc<DiskState>);

#[derive(Debug, Default)]
struct DiskState {
    bytes: Mutex<Vec<u8>>,
    syncing: Mutex<()>,
    writes: AtomicUsize,
    broken: AtomicBool,
    stalled: AtomicBool,
    once: Mutex<Option<Once>>,
}

/// What the next sync does.
#[derive(Debug)]
enum Once {
    Fails,
    Panics,
}

impl Disk {
    /// Until this is dropped, no sync returns.
    pub(crate) fn hold(&self) -> MutexGuard<'_, ()> {
        self.0.writes.store(0, Ordering::SeqCst);
        self.0.syncing.lock().unwrap()
    }

    /// Writes since it was held.
    pub(crate) fn writes(&self) -> usize {
        self.0.writes.load(Ordering::SeqCst)
    }

    /// Whether syncs do not return until told otherwise.
    pub(crate) fn stall(&self, stalled: bool) {
        self.0.stalled.store(stalled, Ordering::SeqCst);
    }

    /// The next sync fails, or panics.
    pub(crate) fn fail_once(&self, panics: bool) {
        *self.0.once.lock().unwrap() = Some(if panics { Once::Panics } else { Once::Fails });
    }

    /// Whether syncs fail from now on.
    pub(crate) fn fail(&self, broken: bool) {
        self.0.broken.store(broken, Ordering::SeqCst);
    }
}

impl redb::StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.bytes.lock().unwrap().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let bytes = self.0.bytes.lock().unwrap();
        let from = usize::try_from(offset).unwrap();
        let read = bytes.get(from..from + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(read);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.bytes.lock().unwrap().resize(usize::try_from(length).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let once = self.0.once.lock().unwrap().take();
        match once {
            Some(Once::Panics) => panic!("a defect of the test"),
            Some(Once::Fails) => return Err(io::Error::other("a bad cable")),
            None => {}
        }
        while self.0.stalled.load(Ordering::SeqCst) {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let _held = self.0.syncing.lock().unwrap();
        match self.0.broken.load(Ordering::SeqCst) {
            true => Err(io::Error::other("the disk is full")),
            false => Ok(()),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.writes.fetch_add(1, Ordering::SeqCst);
        let from = usize::try_from(offset).unwrap();
        self.0.bytes.lock().unwrap()[from..from + data.len()].copy_from_slice(data);
        Ok(())
    }
}
