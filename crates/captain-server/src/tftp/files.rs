//! What TFTP clients may read: loaders, scripts that are made for them, and the operator's own folder.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use captain_boot::discover_script;
use captain_model::{EventKind, Mac};
use captain_tftp::{Handler, HandlerError};
use futures_util::io::{AsyncRead, Cursor, Sink, sink};

use crate::appliance::{Appliance, v4};
use crate::files::Confined;
use crate::files::blocks::{Blocks, Reader};
use crate::http::without_traceparent;
use crate::tell::grub_of;

/// Serves files to the engine; says who asked for what.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    appliance: Arc<Appliance>,
    root: Option<Confined>,
}

/// A file's content and its length in bytes.
type Content = (Pin<Box<dyn AsyncRead + Send>>, Option<u64>);

/// What a name asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted<'a> {
    /// A boot loader, by its base name.
    Loader(&'a str),
    /// iPXE's script before all others.
    Autoexec,
    /// GRUB's configuration for one machine.
    Grub(Mac),
    /// Something in the operator's folder, or nothing.
    Other,
}

impl Files {
    /// Serves from `appliance`, and from `root` what is not made here.
    pub(crate) fn new(appliance: Arc<Appliance>, root: Option<Confined>) -> Self {
        Self { appliance, root }
    }

    fn open(&self, client: SocketAddr, name: &str) -> Result<Content, String> {
        let named = mac_in(name);
        if let (Some(mac), Some(address)) = (named, v4(client.ip())) {
            self.appliance.leases.learn(address, mac);
        }
        let mac = named.or_else(|| self.appliance.who(client.ip()));
        let shelf = self.appliance.shelf.load();
        let wanted = wanted(name, |loader| shelf.loader(loader).is_some());
        if let (Some(mac), true) = (mac, wanted != Wanted::Other) {
            self.check(mac)?;
        }
        match wanted {
            Wanted::Loader(loader) => {
                let file = shelf.loader(loader).ok_or_else(|| format!("no boot loader {loader}"))?;
                let blocks = Blocks::new(file.file.clone(), 0, file.artifact.size);
                Ok((Box::pin(Reader::new(blocks)), Some(file.artifact.size)))
            }
            Wanted::Autoexec => Ok(text(discover_script(&self.appliance.facts(self.local(client))))),
            Wanted::Grub(mac) => grub_of(&self.appliance, mac, self.local(client)).map(text),
            Wanted::Other => self.in_root(name),
        }
    }

    fn check(&self, mac: Mac) -> Result<(), String> {
        let Some(why) = self.appliance.loader_refusal(mac) else { return Ok(()) };
        self.appliance.tell(mac, EventKind::NetbootRefused { why: why.clone() });
        Err(why)
    }

    fn in_root(&self, name: &str) -> Result<Content, String> {
        let root = self.root.as_ref().ok_or_else(|| format!("no file {name}"))?;
        let file = root.open(name).map_err(|error| format!("no file {name} ({error})"))?;
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        Ok((Box::pin(Reader::new(Blocks::new(Arc::new(file), 0, size))), Some(size)))
    }

    fn local(&self, client: SocketAddr) -> std::net::Ipv4Addr {
        v4(client.ip())
            .map_or(self.appliance.settings.listen, |peer| self.appliance.settings.address_towards(peer))
    }
}

impl Handler for Files {
    type Reader = Pin<Box<dyn AsyncRead + Send>>;
    type Writer = Sink;

    async fn read_req_open(&mut self, client: &SocketAddr, path: &Path) -> Result<Content, HandlerError> {
        let name = path.to_string_lossy();
        self.open(*client, &name).map_err(HandlerError::Msg)
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

fn text(text: String) -> Content {
    let length = text.len() as u64;
    (Box::pin(Cursor::new(text.into_bytes())), Some(length))
}

/// The first part of `name` that is a MAC: loaders are advertised as `MAC/loader`.
pub(super) fn mac_in(name: &str) -> Option<Mac> {
    name.split('/').find_map(|part| part.parse().ok())
}

fn wanted(name: &str, is_loader: impl Fn(&str) -> bool) -> Wanted<'_> {
    let base = without_traceparent(name.rsplit('/').next().unwrap_or(name));
    let grub = base.strip_prefix("grub.cfg-01-").and_then(|mac| mac.parse().ok());
    match grub {
        Some(mac) => Wanted::Grub(mac),
        None if base == "autoexec.ipxe" => Wanted::Autoexec,
        None if is_loader(base) => Wanted::Loader(base),
        None => Wanted::Other,
    }
}

#[cfg(test)]
mod tests;
