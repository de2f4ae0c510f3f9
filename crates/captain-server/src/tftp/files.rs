//! What TFTP clients may read: loaders, scripts that are made for them, and the operator's own folder.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use captain_model::{EventKind, Mac};
use captain_tftp::{Handler, HandlerError};
use futures_util::io::{AsyncRead, Cursor, Sink, sink};

use super::names::{Wanted, mac_in, wanted};
use crate::appliance::{Appliance, v4};
use crate::files::blocks::Reader;
use crate::files::{Confined, ServedFile};
use crate::http::readable;
use crate::tell::{cmdline_of, foreign, grub_of, pxelinux_of};

/// Serves files to the engine; says who asked for what.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    appliance: Arc<Appliance>,
    root: Option<Confined>,
}

/// A file's content and its length in bytes.
type Content = (Pin<Box<dyn AsyncRead + Send>>, Option<u64>);

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
        if let Some(mac) = mac {
            self.check(mac, client, &wanted)?;
        }
        match wanted {
            Wanted::Loader(loader) => {
                let file = shelf.loader(loader).ok_or_else(|| self.absent(loader))?;
                Ok(whole(file))
            }
            Wanted::Osie { profile, file } => {
                let found = shelf.osie(&readable(profile)).and_then(|osie| osie.file(file));
                found.map(|file| whole(file)).ok_or_else(|| self.absent(name))
            }
            Wanted::Autoexec => {
                let facts = self.appliance.facts(self.local(client));
                Ok(text(self.appliance.templates.load().discover_script(&facts)))
            }
            Wanted::Grub(config) => self.config(name, config.or(mac), client, grub_of),
            Wanted::Pxelinux(mac) => self.config(name, Some(mac), client, pxelinux_of),
            Wanted::Own { rest: "cmdline.txt" } => {
                self.in_folder_or_root(name, "cmdline.txt").or_else(|why| match mac {
                    Some(mac) => cmdline_of(&self.appliance, mac, self.local(client)).map(text),
                    None => Err(why),
                })
            }
            Wanted::Own { rest } => self.in_folder_or_root(name, rest),
            Wanted::Other => self.in_root(name),
        }
    }

    /// The operator's own file of this name, else the one that `make` makes for `mac`.
    fn config(
        &self,
        name: &str,
        mac: Option<Mac>,
        client: SocketAddr,
        make: fn(&Appliance, Mac, Ipv4Addr) -> Result<String, String>,
    ) -> Result<Content, String> {
        self.in_root(name).or_else(|why| make(&self.appliance, mac.ok_or(why)?, self.local(client)).map(text))
    }

    /// `<serial>/start4.elf`: the file in a folder of that name, else the one that all such machines share.
    fn in_folder_or_root(&self, name: &str, rest: &str) -> Result<Content, String> {
        self.in_root(name).or_else(|_| self.in_root(rest))
    }

    /// A machine that must not netboot gets nothing that boots, and is told why; nobody gets another's password.
    fn check(&self, mac: Mac, client: SocketAddr, wanted: &Wanted<'_>) -> Result<(), String> {
        let personal = matches!(wanted, Wanted::Grub(_) | Wanted::Pxelinux(_) | Wanted::Own { .. });
        if let Some(other) = self.appliance.spies_on(mac, client.ip()).filter(|_| personal) {
            return Err(foreign(other, mac));
        }
        let why = match wanted {
            Wanted::Loader(_) | Wanted::Autoexec => self.appliance.loader_refusal(mac),
            Wanted::Grub(_) | Wanted::Pxelinux(_) | Wanted::Osie { .. } | Wanted::Own { .. } => {
                self.appliance.refusal(mac)
            }
            Wanted::Other => None,
        };
        let Some(why) = why else { return Ok(()) };
        self.appliance.tell(mac, EventKind::NetbootRefused { why: why.clone() });
        Err(why)
    }

    fn in_root(&self, name: &str) -> Result<Content, String> {
        let root = self.root.as_ref().ok_or_else(|| self.absent(name))?;
        let file = root.open(name).map_err(|error| format!("{} ({error})", self.absent(name)))?;
        let size = file.metadata().map_err(|error| error.to_string())?.len();
        Ok((Box::pin(Reader::new(Arc::new(file), 0, size)), Some(size)))
    }

    /// That `name` is not here; while it may be on its way, that too.
    fn absent(&self, name: &str) -> String {
        match self.appliance.awaited.load_full() {
            Some(what) => format!("no file {name}: {what}"),
            None => format!("no file {name}"),
        }
    }

    fn local(&self, client: SocketAddr) -> Ipv4Addr {
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

fn whole(file: &ServedFile) -> Content {
    let reader = Reader::new(file.file.clone(), 0, file.artifact.size);
    (Box::pin(reader), Some(file.artifact.size))
}

#[cfg(test)]
mod tests;
