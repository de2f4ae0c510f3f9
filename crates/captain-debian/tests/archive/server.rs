//! A tiny HTTP server with bad manners on demand: it cuts connections, ignores ranges, answers errors.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How one request for a file is answered; after the last one, honestly.
#[derive(Clone, Debug)]
pub(crate) enum Manner {
    /// Body bytes after which the connection is closed.
    CutAfter(usize),
    /// This status and no body.
    Status(u16),
    /// All bytes and status 200, even if a range was asked for.
    IgnoreRange,
    /// A range that begins elsewhere than was asked for.
    WrongRange,
}

/// What was asked for, and how many bytes of a body went out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) from: Option<usize>,
    pub(crate) if_range: Option<String>,
    pub(crate) sent: usize,
}

#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    manners: BTreeMap<String, VecDeque<Manner>>,
    /// Without it the client has nothing to send as If-Range.
    etag: Option<String>,
    log: Vec<Request>,
}

/// A running server. Files can be changed while it runs.
#[derive(Clone)]
pub(crate) struct Server {
    pub(crate) base: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub(crate) async fn start(files: BTreeMap<String, Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let etag = Some("\"one\"".to_owned());
        let state = Arc::new(Mutex::new(State { files, etag, ..State::default() }));
        let server = Self { base, state: state.clone() };
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, state.clone()));
            }
        });
        server
    }

    pub(crate) fn behave(&self, path: &str, manners: impl IntoIterator<Item = Manner>) {
        self.state.lock().unwrap().manners.insert(path.to_owned(), manners.into_iter().collect());
    }

    pub(crate) fn change(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(self.state.lock().unwrap().files.get_mut(path).expect("the file to change is there"));
    }

    pub(crate) fn remove(&self, path: &str) {
        self.state.lock().unwrap().files.remove(path).expect("the file to remove is there");
    }

    pub(crate) fn replace_all(&self, files: BTreeMap<String, Vec<u8>>) {
        self.state.lock().unwrap().files = files;
    }

    pub(crate) fn set_etag(&self, etag: Option<&str>) {
        self.state.lock().unwrap().etag = etag.map(str::to_owned);
    }

    /// Requests whose path ends so, in order.
    pub(crate) fn requests(&self, ending: &str) -> Vec<Request> {
        let log = &self.state.lock().unwrap().log;
        log.iter().filter(|request| request.path.ends_with(ending)).cloned().collect()
    }

    pub(crate) fn sent(&self, ending: &str) -> usize {
        self.requests(ending).iter().map(|request| request.sent).sum()
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let (answer, body) = answer(&head, &mut state.lock().unwrap());
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.write_all(&body).await;
    let _ = stream.shutdown().await;
}

fn answer(head: &str, state: &mut State) -> (String, Vec<u8>) {
    let path = head.split(' ').nth(1).unwrap().to_owned();
    let header = |name: &str| {
        let mut lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    let from = header("range").map(|range| range[6..range.len() - 1].parse::<usize>().unwrap());
    let mut request = Request { path: path.clone(), from, if_range: header("if-range"), sent: 0 };
    let manner = state.manners.get_mut(&path).and_then(VecDeque::pop_front);
    let (status, mut body, extra) = match (&manner, state.files.get(&path)) {
        (Some(Manner::Status(status)), _) => (*status, Vec::new(), String::new()),
        (_, None) => (404, Vec::new(), String::new()),
        (manner, Some(file)) => content(file, &request, manner.as_ref(), state.etag.as_deref()),
    };
    let length = body.len();
    if let Some(Manner::CutAfter(end)) = manner {
        body.truncate(end);
    }
    request.sent = body.len();
    state.log.push(request);
    (format!("HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n{extra}\r\n"), body)
}

fn content(
    file: &[u8],
    request: &Request,
    manner: Option<&Manner>,
    etag: Option<&str>,
) -> (u16, Vec<u8>, String) {
    let tag = etag.map(|etag| format!("ETag: {etag}\r\n")).unwrap_or_default();
    let current = request.if_range.is_none() || request.if_range.as_deref() == etag;
    match request.from {
        Some(from) if current && !matches!(manner, Some(Manner::IgnoreRange)) => {
            let from = if matches!(manner, Some(Manner::WrongRange)) { from - 1 } else { from };
            if from >= file.len() {
                return (416, Vec::new(), tag);
            }
            let range = format!("{tag}Content-Range: bytes {from}-{}/{}\r\n", file.len() - 1, file.len());
            (206, file[from..].to_vec(), range)
        }
        _ => (200, file.to_vec(), tag),
    }
}
