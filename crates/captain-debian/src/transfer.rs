//! One download over HTTP: resumed where it broke off, tried again a bounded number of times, checked.
//!
//! A file is known by its SHA-256, so a byte range is asked for even where no validator is at hand (after a
//! restart); within one run the server's validator goes along as `If-Range` (RFC 9110 section 13.1.5). When
//! the pieces do not give the sum, they are thrown away and the file is fetched once more in one go. Where nobody
//! knows the sum, only what a validator holds together is pieced.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{IF_RANGE, RANGE};
use reqwest::{Response, StatusCode};

use crate::answer::{content_range, described, validator};

use crate::error::Error;
use crate::fetch::Item;
use crate::hash::Sha256;
use crate::part::Part;
use crate::store::{Store, make_parent};

/// How patient downloads are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tuning {
    /// Downloads at the same time.
    pub parallel: usize,
    /// Tries in a row that bring no new byte, before a download is given up.
    pub attempts: u32,
    /// Pause after the first failed try; doubled each time, up to 32 times as long.
    pub backoff: Duration,
    /// How long a connection may be silent.
    pub stall: Duration,
}

impl Default for Tuning {
    fn default() -> Self {
        let (backoff, stall) = (Duration::from_millis(250), Duration::from_secs(30));
        Self { parallel: 5, attempts: 5, backoff, stall }
    }
}

/// Tries in all, even if each brings a little.
const MOST_TRIES: u32 = 100;

/// The HTTP client and its patience. Proxies come from the environment (`http_proxy`, `no_proxy`).
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    pub(crate) tuning: Tuning,
}

/// What is heard of a download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// So many bytes are there that were not there before.
    Came(u64),
    /// So many bytes it will be, which nobody knew.
    Total(u64),
}

pub(crate) type Hearer<'a> = &'a (dyn Fn(News) + Sync);

/// Why a try failed.
enum Fault {
    /// May go better next time.
    Passing(String),
    /// This URL will never give the file.
    Lasting(Error),
    /// No URL will: the disk.
    Fatal(Error),
}

impl Client {
    pub(crate) fn new(tuning: Tuning) -> Result<Self, String> {
        // Whoever starts the program may have installed a provider already: then that one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(concat!("captaind/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(tuning.stall)
            .read_timeout(tuning.stall)
            .build();
        Ok(Self { http: http.map_err(|error| described(&error))?, tuning })
    }

    /// A small file in memory, at most `limit` bytes; nothing where the server says that it is not there.
    pub(crate) async fn get(&self, url: &str, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        let mut tries = 0;
        loop {
            let why = match self.try_get(url, limit).await {
                Ok(found) => return Ok(found),
                Err(Fault::Lasting(error) | Fault::Fatal(error)) => return Err(error),
                Err(Fault::Passing(why)) => why,
            };
            tries += 1;
            if tries >= self.tuning.attempts {
                return Err(Error::Download {
                    url: url.to_owned(),
                    why: format!("{why} (tried {tries} times)"),
                });
            }
            self.pause(tries).await;
        }
    }

    async fn try_get(&self, url: &str, limit: usize) -> Result<Option<Vec<u8>>, Fault> {
        let mut response = self.http.get(url).send().await.map_err(passing)?;
        if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Ok(None);
        }
        check_status(&response, url)?;
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(passing)? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > limit {
                let why = format!("it is larger than {limit} bytes, which such a file never is");
                return Err(Fault::Lasting(Error::Download { url: url.to_owned(), why }));
            }
        }
        Ok(Some(bytes))
    }

    /// Brings `item` into the store.
    pub(crate) async fn download(
        &self,
        item: &Item,
        store: &Store,
        heard: Hearer<'_>,
    ) -> Result<PathBuf, Error> {
        let path = store.file(&item.sha256);
        let part = opened(store.part(&item.sha256)).await?;
        if let Some((found, size)) = store.find(&item.sha256, item.size) {
            // Another process brought it while this one waited.
            part.discard();
            heard(News::Came(size));
            return Ok(found);
        }
        let mut download = Download::new(self, item, Some(item.sha256), part, heard);
        download.run().await?;
        download.part.finish(&path)?;
        Ok(path)
    }

    /// Brings what `url` names into the store, whatever that is; its sum.
    pub(crate) async fn learn(&self, url: &str, store: &Store, heard: Hearer<'_>) -> Result<Sha256, Error> {
        let (name, urls) = (url.to_owned(), vec![url.to_owned()]);
        let item = Item { name, urls, size: None, sha256: Sha256::of(url.as_bytes()) };
        let mut part = opened(store.part(&item.sha256)).await?;
        // Of an earlier run: nothing would tell that it is of the same file.
        part.clear()?;
        let mut download = Download::new(self, &item, None, part, heard);
        download.run().await?;
        let sum = download.part.sum();
        let path = store.file(&sum);
        make_parent(&path)?;
        download.part.finish(&path)?;
        Ok(sum)
    }

    async fn pause(&self, tries: u32) {
        tokio::time::sleep(self.tuning.backoff * 2_u32.pow(tries.saturating_sub(1).min(5))).await;
    }
}

async fn opened(path: PathBuf) -> Result<Part, Error> {
    let shown = path.clone();
    let part = tokio::task::spawn_blocking(move || Part::open(&path)).await;
    part.map_err(|error| Error::io(&shown, std::io::Error::other(error)))?
}

/// One file under way.
struct Download<'a> {
    client: &'a Client,
    item: &'a Item,
    /// What it has to be, where somebody knows that.
    wanted: Option<Sha256>,
    part: Part,
    /// Bytes of the whole: as the item says, or else as the server does.
    size: Option<u64>,
    heard: Hearer<'a>,
    /// Most bytes that were ever there: only what goes beyond is news.
    reached: u64,
    /// Whether the bytes are from more than one answer.
    pieced: bool,
    /// URL and what to send as `If-Range` for it.
    validator: Option<(String, String)>,
}

impl<'a> Download<'a> {
    fn new(
        client: &'a Client,
        item: &'a Item,
        wanted: Option<Sha256>,
        part: Part,
        heard: Hearer<'a>,
    ) -> Self {
        let pieced = part.length() > 0;
        Self { client, item, wanted, part, size: item.size, heard, reached: 0, pieced, validator: None }
    }

    async fn run(&mut self) -> Result<(), Error> {
        let mut urls: Vec<&str> = self.item.urls.iter().map(String::as_str).collect();
        let (mut idle, mut tries, mut tampered) = (0, 0, None);
        self.note();
        loop {
            let Some(url) = urls.first().copied() else {
                let why = "no mirror is known for it".to_owned();
                return Err(Error::Download { url: self.item.name.clone(), why });
            };
            let before = self.reached;
            let why = match self.attempt(url).await {
                Ok(()) => return Ok(()),
                Err(Fault::Fatal(error)) => return Err(error),
                // That one mirror changed the file says more than that another does not have it.
                Err(Fault::Lasting(error)) if urls.len() == 1 => return Err(tampered.unwrap_or(error)),
                Err(Fault::Lasting(error)) => {
                    tampered =
                        tampered.or(Some(error).filter(|error| matches!(error, Error::Tampered { .. })));
                    urls.remove(0);
                    continue;
                }
                Err(Fault::Passing(why)) => why,
            };
            tries += 1;
            idle = if self.reached > before { 0 } else { idle + 1 };
            if idle >= self.client.tuning.attempts || tries >= MOST_TRIES {
                return Err(self.given_up(url, &why, tries));
            }
            urls.rotate_left(1);
            self.client.pause(idle).await;
        }
    }

    fn given_up(&self, url: &str, why: &str, tries: u32) -> Error {
        let length = self.part.length();
        let of = self.size.map(|size| format!(" of {size}")).unwrap_or_default();
        let again = if self.wanted.is_some() { "run again to go on from there" } else { "run again" };
        let why = format!("{why}; {length}{of} bytes came in {tries} tries; {again}");
        Error::Download { url: url.to_owned(), why }
    }

    /// Asks for what is missing and takes in what comes.
    async fn attempt(&mut self, url: &str) -> Result<(), Fault> {
        if self.is_short() {
            let mut response = self.ask(url).await?;
            while let Some(chunk) = response.chunk().await.map_err(passing)? {
                self.take(&chunk, url)?;
            }
            // An answer that nobody said the length of ended as HTTP says that it should.
            self.size.get_or_insert(self.part.length());
        }
        if self.is_short() {
            return Err(Fault::Passing("the connection ended early".to_owned()));
        }
        self.check(url)
    }

    fn is_short(&self) -> bool {
        self.size.is_none_or(|size| self.part.length() < size)
    }

    async fn ask(&mut self, url: &str) -> Result<Response, Fault> {
        let mut request = self.client.http.get(url);
        let known = self.validator.as_ref().filter(|(of, _)| of == url).map(|(_, validator)| validator);
        if self.part.length() > 0 && (self.wanted.is_some() || known.is_some()) {
            request = request.header(RANGE, format!("bytes={}-", self.part.length()));
            request = known.into_iter().fold(request, |request, value| request.header(IF_RANGE, value));
        }
        let response = request.send().await.map_err(passing)?;
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            self.clear()?;
            return Err(Fault::Passing("the server has no such byte range".to_owned()));
        }
        check_status(&response, url)?;
        self.begin(&response, url)?;
        self.validator = validator(response.headers()).map(|validator| (url.to_owned(), validator));
        Ok(response)
    }

    /// Brings the partial file to where the answer begins.
    fn begin(&mut self, response: &Response, url: &str) -> Result<(), Fault> {
        if response.status() != StatusCode::PARTIAL_CONTENT {
            // The server cannot resume, or has another file now: from the start.
            self.clear()?;
            return self.be_of(response.content_length(), url);
        }
        match content_range(response.headers()) {
            Some((start, total)) if start == self.part.length() => {
                self.pieced |= start > 0;
                self.be_of(total, url)
            }
            _ => {
                self.clear()?;
                Err(Fault::Passing("the server sent another byte range than was asked for".to_owned()))
            }
        }
    }

    /// What the server says of the size has to be what is known of it.
    fn be_of(&mut self, told: Option<u64>, url: &str) -> Result<(), Fault> {
        match (self.size, told) {
            (Some(size), Some(told)) if told != size => Err(Fault::Lasting(Error::size(url, size, told))),
            (Some(_), _) => Ok(()),
            (None, told) => {
                self.size = told;
                told.into_iter().for_each(|told| (self.heard)(News::Total(told)));
                Ok(())
            }
        }
    }

    fn take(&mut self, chunk: &[u8], url: &str) -> Result<(), Fault> {
        let length = self.part.length() + chunk.len() as u64;
        if let Some(size) = self.size.filter(|size| length > *size) {
            self.clear()?;
            return Err(Fault::Lasting(Error::size(url, size, length)));
        }
        self.part.append(chunk).map_err(Fault::Fatal)?;
        self.note();
        Ok(())
    }

    /// All bytes are there: are they the right ones?
    fn check(&mut self, url: &str) -> Result<(), Fault> {
        let sum = self.part.sum();
        let Some(wanted) = self.wanted else { return Ok(()) };
        if sum == wanted && !self.is_short() {
            return Ok(());
        }
        let pieced = self.pieced;
        self.clear()?;
        if pieced {
            return Err(Fault::Passing("the pieces that came at different times do not fit".to_owned()));
        }
        Err(Fault::Lasting(Error::sum(url, &wanted, &sum)))
    }

    fn clear(&mut self) -> Result<(), Fault> {
        self.pieced = false;
        self.size = self.item.size;
        self.part.clear().map_err(Fault::Fatal)
    }

    fn note(&mut self) {
        let length = self.part.length().min(self.size.unwrap_or(u64::MAX));
        if length > self.reached {
            (self.heard)(News::Came(length - self.reached));
            self.reached = length;
        }
    }
}

fn check_status(response: &Response, url: &str) -> Result<(), Fault> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
        return Err(Fault::Lasting(Error::Gone { url: url.to_owned() }));
    }
    let why = format!("the server answered {status}");
    let passing = status.is_server_error()
        || matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS);
    Err(if passing {
        Fault::Passing(why)
    } else {
        Fault::Lasting(Error::Download { url: url.to_owned(), why })
    })
}

fn passing(error: reqwest::Error) -> Fault {
    Fault::Passing(described(&error))
}
