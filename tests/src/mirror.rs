//! A package mirror made of the tests' own cache: real packages over real HTTP, with bad manners on demand.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::Value;

/// How it answers for a file, until told otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It has no such file.
    Gone,
    /// It closes the connection in the middle of the file, every time.
    DiesHalfWay,
}

#[derive(Debug, Default)]
struct State {
    /// Where the file of each path below the mirror lies.
    files: BTreeMap<String, PathBuf>,
    manners: BTreeMap<String, Manner>,
    /// Paths and first bytes that were asked for.
    log: Vec<(String, usize)>,
}

/// A running mirror. It ends with the test's process.
#[derive(Clone, Debug)]
pub struct Mirror {
    /// What `mirror` under `[osie]` is set to.
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Mirror {
    /// Serves every package that the lock file at `lock` names, out of `cache`.
    ///
    /// # Panics
    /// Where the lock cannot be read or loopback has no port left.
    pub fn of_lock(lock: &Path, cache: &Path) -> Self {
        let lock: Value = serde_json::from_slice(&std::fs::read(lock).expect("a lock")).expect("JSON");
        let packages = lock["locks"].as_array().into_iter().flatten();
        let packages = packages.flat_map(|one| one["packages"].as_array().expect("a list of packages"));
        let files = packages
            .map(|package| {
                let text = |key: &str| package[key].as_str().expect("a text").to_owned();
                let sum = text("sha256");
                (text("path"), cache.join("debian/by-sha256").join(&sum[..2]).join(&sum))
            })
            .collect();
        Self::of_files(files)
    }

    /// Serves these files: path below the mirror -> where it lies.
    ///
    /// # Panics
    /// Where loopback has no port left.
    pub fn of_files(files: BTreeMap<String, PathBuf>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let url = format!("http://{}/debian", listener.local_addr().expect("an address"));
        let state = Arc::new(Mutex::new(State { files, ..State::default() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                // Who hangs up has what he wanted.
                std::thread::spawn(move || drop(answer(&stream, &state)));
            }
        });
        Self { url, state }
    }

    /// The path of the package called `name`.
    ///
    /// # Panics
    /// Where the lock names no such package.
    pub fn path_of(&self, name: &str) -> String {
        let state = self.state.lock().expect("nobody panicked");
        let found = state.files.keys().find(|path| path.contains(&format!("/{name}_")));
        found.expect("the lock names the package").clone()
    }

    /// From now on the file at `path` is answered like this; `None`: honestly.
    ///
    /// # Panics
    /// Never, but where a thread of the mirror did.
    pub fn behave(&self, path: &str, manner: Option<Manner>) {
        let manners = &mut self.state.lock().expect("nobody panicked").manners;
        match manner {
            Some(manner) => manners.insert(path.to_owned(), manner),
            None => manners.remove(path),
        };
    }

    /// The first byte of each request for `path`, in order.
    ///
    /// # Panics
    /// Never, but where a thread of the mirror did.
    pub fn asked(&self, path: &str) -> Vec<usize> {
        let state = self.state.lock().expect("nobody panicked");
        state.log.iter().filter(|(of, _)| of == path).map(|(_, from)| *from).collect()
    }
}

/// One request on one connection.
fn answer(mut stream: &TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    let path = first.split(' ').nth(1).and_then(|path| path.strip_prefix("/debian/")).unwrap_or_default();
    let mut from = 0;
    for line in lines {
        let line = line?.to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(range) = line.strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap_or(0);
        }
    }
    let (file, manner) = {
        let mut state = state.lock().expect("nobody panicked");
        state.log.push((path.to_owned(), from));
        (state.files.get(path).cloned(), state.manners.get(path).copied())
    };
    let bytes = match (file, manner) {
        (Some(file), None | Some(Manner::DiesHalfWay)) => std::fs::read(file)?,
        (None, _) | (_, Some(Manner::Gone)) => {
            return stream.write_all(b"HTTP/1.1 404 x\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    };
    let (total, rest) = (bytes.len(), &bytes[from.min(bytes.len())..]);
    let status = if from > 0 { 206 } else { 200 };
    let head = format!(
        "HTTP/1.1 {status} x\r\netag: \"{total}\"\r\ncontent-range: bytes {from}-{}/{total}\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n",
        total.saturating_sub(1),
        rest.len(),
    );
    stream.write_all(head.as_bytes())?;
    let end = if manner.is_some() { (total / 2).saturating_sub(from).min(rest.len()) } else { rest.len() };
    stream.write_all(&rest[..end])
}
