//! The files behind the TFTP engine.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::net::{IpAddr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use captain_model::EventKind;
use captain_tftp::{Handler, HandlerError, Reasons};
use futures_util::io::{AsyncRead, Cursor, Sink, sink};

use super::desk::{self, Asker, Found};
use super::names::{Wanted, wanted};
use crate::appliance::Appliance;
use crate::files::blocks::Reader;
use crate::once::{self, HeldReader, Kept};
use crate::tell::Denied;

/// The boot loader of a Raspberry Pi reads 65,535 blocks of 1,024 bytes and takes that for the whole file
/// (rpi-eeprom#375, #563).
const PI_READS: u64 = 65_535 * 1024;

/// Serves files to the engine.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    appliance: Arc<Appliance>,
    loads: Loads,
    /// Why the last file was not given.
    reason: Option<String>,
}

/// Marks of loads that use up `once`, by client, in the order in which they were begun.
#[derive(Clone, Debug, Default)]
pub(crate) struct Loads(Arc<Mutex<HashMap<SocketAddrV4, VecDeque<Kept>>>>);

impl Loads {
    fn begin(&self, client: SocketAddrV4, kept: Kept) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(client).or_default().push_back(kept);
    }

    /// The mark of the load of `client` that is over; it is to be dropped when its end was told.
    pub(crate) fn end(&self, client: SocketAddrV4) -> Option<Kept> {
        let mut loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = loads.get_mut(&client)?.pop_front();
        loads.retain(|_, own| !own.is_empty());
        kept
    }
}

/// A file's content and its length in bytes.
type Content = (Pin<Box<dyn AsyncRead + Send>>, Option<u64>);

impl Files {
    /// Serves from `appliance`.
    pub(crate) fn new(appliance: Arc<Appliance>) -> Self {
        Self { appliance, loads: Loads::default(), reason: None }
    }

    /// What is on its way.
    pub(crate) fn loads(&self) -> Loads {
        self.loads.clone()
    }

    fn find(&self, client: SocketAddrV4, name: &str) -> Result<Content, Denied> {
        let local = self.appliance.settings.address_towards(*client.ip());
        let asker = Asker { remote: (*client.ip()).into(), local, quiet: false };
        match desk::open(&self.appliance, asker, name)? {
            Found::Served(file) => Ok(self.whole(asker, client, name, file.file.clone(), file.artifact.size)),
            Found::Made(text) => {
                let length = text.len() as u64;
                Ok((Box::pin(Cursor::new(text.into_bytes())), Some(length)))
            }
            Found::Own(file) => {
                let size = file.metadata().map_err(|error| Denied::Broken(format!("{name}: {error}")))?.len();
                if size > PI_READS {
                    self.warn(asker, name, size);
                }
                Ok(self.whole(asker, client, name, file, size))
            }
        }
    }

    /// All of `file`; its end waits where the machine may have it once.
    fn whole(&self, asker: Asker, client: SocketAddrV4, name: &str, file: Arc<File>, size: u64) -> Content {
        // To ourselves we are no machine.
        let mac = desk::machine_of(&self.appliance, asker, name)
            .filter(|_| asker.remote != IpAddr::V4(asker.local));
        let kept = Kept::default();
        let held = once::hold(&self.appliance, mac, name, &kept);
        if held.is_some() {
            self.loads.begin(client, kept);
        }
        (Box::pin(HeldReader::new(Reader::new(file, 0, size), size, held)), Some(size))
    }

    /// Tells of a file that a Raspberry Pi will cut without a word.
    fn warn(&self, asker: Asker, name: &str, size: u64) {
        if !matches!(wanted(name, |_| false), Wanted::Own { .. }) {
            return;
        }
        let detail = format!(
            "{name} has {size} bytes, of which a Raspberry Pi may read {PI_READS} only by TFTP: let it boot by HTTP, \
             where the file is /tftp/{name}"
        );
        let report = EventKind::Report { step: "tftp".to_owned(), detail };
        self.appliance.tell(desk::machine_of(&self.appliance, asker, name), report);
    }
}

impl Handler for Files {
    type Reader = Pin<Box<dyn AsyncRead + Send>>;
    type Writer = Sink;

    async fn read_req_open(&mut self, client: &SocketAddr, path: &Path) -> Result<Content, HandlerError> {
        let SocketAddr::V4(client) = *client else { return Err(HandlerError::PermissionDenied) };
        self.find(client, &path.to_string_lossy()).map_err(|why| {
            self.reason = Some(why.to_string());
            code_of(why)
        })
    }

    async fn write_req_open(
        &mut self,
        _client: &SocketAddr,
        _path: &Path,
        _size: Option<u64>,
    ) -> Result<Sink, HandlerError> {
        let _never_written = sink();
        Err(HandlerError::PermissionDenied)
    }
}

impl Reasons for Files {
    fn reason(&mut self) -> Option<String> {
        self.reason.take()
    }
}

/// By the code firmware knows whether to ask again.
fn code_of(why: Denied) -> HandlerError {
    match why {
        Denied::Refused(_) => HandlerError::PermissionDenied,
        Denied::Absent(_) => HandlerError::FileNotFound,
        Denied::Awaited(why) | Denied::Broken(why) => HandlerError::Msg(why),
    }
}

#[cfg(test)]
mod tests;
