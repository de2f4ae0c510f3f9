//! The files behind the TFTP engine.

use std::fs::File;
use std::net::SocketAddrV4;
use std::pin::Pin;
use std::sync::Arc;

use captain_model::EventKind;
use captain_tftp::{Handler, OpenError};
use futures_util::io::{AsyncRead, Cursor};

use super::desk::{self, Asker, Found};
use super::names::{Wanted, wanted};
use crate::appliance::Appliance;
use crate::files::blocks::Reader;
use crate::tell::Denied;

/// The boot loader of a Raspberry Pi reads 65,535 blocks of 1,024 bytes and takes that for the whole file
/// (rpi-eeprom#375, #563).
const PI_READS: u64 = 65_535 * 1024;

/// Serves files to the engine.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    appliance: Arc<Appliance>,
}

/// A file's content and its length in bytes.
type Content = (Pin<Box<dyn AsyncRead + Send>>, Option<u64>);

impl Files {
    /// Serves from `appliance`.
    pub(crate) fn new(appliance: Arc<Appliance>) -> Self {
        Self { appliance }
    }

    fn find(&self, client: SocketAddrV4, name: &str) -> Result<Content, OpenError> {
        let local = self.appliance.settings.address_towards(*client.ip());
        let asker = Asker { remote: (*client.ip()).into(), local, quiet: false };
        match desk::open(&self.appliance, asker, name)? {
            Found::Served(file) => Ok(whole(file.file.clone(), file.artifact.size)),
            Found::Made(text) => {
                let length = text.len() as u64;
                Ok((Box::pin(Cursor::new(text.into_bytes())), Some(length)))
            }
            Found::Own(file) => {
                let size =
                    file.metadata().map_err(|error| OpenError::Failed(format!("{name}: {error}")))?.len();
                if size > PI_READS {
                    self.warn(asker, name, size);
                }
                Ok(whole(file, size))
            }
        }
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

    async fn open(&mut self, client: SocketAddrV4, name: &str) -> Result<Content, OpenError> {
        self.find(client, name)
    }
}

impl From<Denied> for OpenError {
    fn from(why: Denied) -> Self {
        match why {
            Denied::Refused(why) => Self::Refused(why),
            Denied::Absent(why) => Self::Absent(why),
            Denied::Awaited(why) | Denied::Broken(why) => Self::Failed(why),
        }
    }
}

fn whole(file: Arc<File>, size: u64) -> Content {
    (Box::pin(Reader::new(file, 0, size)), Some(size))
}

#[cfg(test)]
mod tests;
