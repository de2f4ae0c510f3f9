//! Downloads: parallel, resumed, verified, kept by content.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::PathBuf;

use futures_util::{StreamExt, TryStreamExt, stream};

use crate::deb::Deb;
use crate::error::Error;
use crate::hash::Sha256;
use crate::package::Package;
use crate::part::Part;
use crate::progress::Progress;
use crate::store::Store;
use crate::transfer::{Client, News, Tuning};

/// A file to be had, known by its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it is called in messages and in the manifest: `bash_5.2.37-2_amd64.deb`.
    pub name: String,
    /// Where it can be had, in the order to try.
    pub urls: Vec<String>,
    /// Bytes, where they are known beforehand.
    pub size: Option<u64>,
    /// SHA-256.
    pub sha256: Sha256,
}

impl Item {
    /// The .deb of `package`.
    pub fn of(package: &Package) -> Self {
        Self {
            name: package.file_name().to_owned(),
            urls: package.urls(),
            size: Some(package.size),
            sha256: package.sha256,
        }
    }
}

/// A file that lies in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// As [`Item::name`].
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Bytes.
    pub size: u64,
    /// SHA-256.
    pub sha256: Sha256,
}

impl Fetched {
    /// Opens it as a .deb, after all of it was read and found to have its sum. One that has not is taken out
    /// of the cache, so that the next run fetches it again.
    ///
    /// # Errors
    /// [`Error::Rotten`], and as [`Deb::open`].
    pub fn open(&self) -> Result<Deb, Error> {
        let opened = Deb::open_verified(&self.path, &self.name, &self.sha256);
        if let Err(Error::Rotten { .. }) = opened {
            fs::remove_file(&self.path).map_err(|error| Error::io(&self.path, error))?;
        }
        opened
    }
}

/// Gets files whose content is known into a cache folder.
#[derive(Clone, Debug)]
pub struct Fetcher {
    pub(crate) store: Store,
    /// None where nothing may be downloaded.
    pub(crate) client: Option<Client>,
}

impl Fetcher {
    /// Over the cache at `cache`; one that never downloads where `offline`.
    ///
    /// # Errors
    /// [`Error::Download`] where no HTTP client can be set up (such as without any CA certificates).
    pub fn new(cache: impl Into<PathBuf>, offline: bool, tuning: Tuning) -> Result<Self, Error> {
        let cache = cache.into();
        let client = || {
            let why = |why| Error::Download { url: "anything".to_owned(), why };
            Client::new(tuning).map_err(why)
        };
        Ok(Self { store: Store::new(&cache), client: if offline { None } else { Some(client()?) } })
    }

    /// Downloads `items`, or finds them in the cache; the answer is in the order of `items`.
    ///
    /// # Errors
    /// [`Error::Download`], [`Error::Tampered`], [`Error::Offline`], [`Error::Io`].
    pub async fn fetch(&self, items: &[Item], progress: &dyn Progress) -> Result<Vec<Fetched>, Error> {
        // Two downloads of one file would wait for each other.
        let distinct: BTreeMap<_, _> = items.iter().map(|item| (item.sha256, item)).collect();
        let missing: Vec<_> = distinct
            .into_values()
            .filter(|item| self.store.find(&item.sha256, item.size).is_none())
            .collect();
        if !missing.is_empty() {
            self.download(&missing, progress).await?;
        }
        items.iter().map(|item| self.found(item)).collect()
    }

    /// Downloads what `url` names, whatever that is: for whoever wants to know its SHA-256 before asking for it by that.
    /// It stays in the cache.
    ///
    /// # Errors
    /// [`Error::Download`], [`Error::Gone`], [`Error::Io`]; [`Error::Offline`] where nothing may be downloaded.
    pub async fn learn(&self, url: &str, progress: &dyn Progress) -> Result<Fetched, Error> {
        let Some(client) = &self.client else {
            return Err(Error::Offline { url: url.to_owned(), path: self.store.root().to_owned() });
        };
        let task = progress.begin(&format!("download {url}"), None);
        let heard = |news| match news {
            News::Came(bytes) => task.advance(bytes),
            News::Total(bytes) => task.total(bytes),
        };
        let learnt = client.learn(url, &self.store, &heard).await;
        task.done(&match &learnt {
            Ok(sum) => format!("SHA-256 {sum}"),
            Err(error) => error.to_string(),
        });
        self.found(&Item { name: url.to_owned(), urls: Vec::new(), size: None, sha256: learnt? })
    }

    /// Takes a file out of the cache that is needed no more.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn forget(&self, fetched: &Fetched) -> Result<(), Error> {
        fs::remove_file(&fetched.path).map_err(|error| Error::io(&fetched.path, error))
    }

    /// The file of `item` in the cache.
    ///
    /// # Errors
    /// [`Error::Io`] where it is not there in its size.
    pub fn found(&self, item: &Item) -> Result<Fetched, Error> {
        let (name, sha256) = (item.name.clone(), item.sha256);
        match self.store.find(&sha256, item.size) {
            Some((path, size)) => Ok(Fetched { name, path, size, sha256 }),
            None => Err(Error::io(&self.store.file(&sha256), std::io::ErrorKind::NotFound.into())),
        }
    }

    /// Takes `item` in from elsewhere than a mirror: from a bundle. It is checked as a download is.
    ///
    /// # Errors
    /// [`Error::Tampered`] where `content` is another file, [`Error::Io`].
    pub fn put(&self, item: &Item, content: &mut dyn Read) -> Result<Fetched, Error> {
        if let Ok(fetched) = self.found(item) {
            return Ok(fetched);
        }
        let path = self.store.file(&item.sha256);
        let mut part = Part::open(&self.store.part(&item.sha256))?;
        part.clear()?;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            match content.read(&mut buffer).map_err(|error| Error::io(&path, error))? {
                0 => break,
                read => part.append(&buffer[..read])?,
            }
            if item.size.is_some_and(|size| part.length() > size) {
                break;
            }
        }
        let (length, sum) = (part.length(), part.sum());
        let size = item.size.unwrap_or(length);
        if length == size && sum == item.sha256 {
            part.finish(&path)?;
            return self.found(item);
        }
        part.discard();
        if length != size {
            return Err(Error::size(&item.name, size, length));
        }
        Err(Error::sum(&item.name, &item.sha256, &sum))
    }

    async fn download(&self, missing: &[&Item], progress: &dyn Progress) -> Result<(), Error> {
        let Some(client) = &self.client else {
            let item = missing[0];
            let url = item.urls.first().unwrap_or(&item.name).clone();
            return Err(Error::Offline { url, path: self.store.file(&item.sha256) });
        };
        let total: Option<u64> = missing.iter().map(|item| item.size).sum();
        let what = match missing {
            [only] => only.name.clone(),
            several => format!("{} files", several.len()),
        };
        let task = progress.begin(&format!("download {what}"), total);
        let alone = missing.len() == 1;
        let heard = |news| match news {
            News::Came(bytes) => task.advance(bytes),
            // Of several files one alone says nothing of the whole.
            News::Total(bytes) if alone => task.total(bytes),
            News::Total(_) => {}
        };
        let downloads = missing.iter().map(|item| client.download(item, &self.store, &heard));
        let done: Result<Vec<_>, _> =
            stream::iter(downloads).buffer_unordered(client.tuning.parallel.max(1)).try_collect().await;
        task.done(&match &done {
            Ok(_) => match total {
                Some(total) => format!("downloaded {what}, {total} bytes"),
                None => format!("downloaded {what}"),
            },
            Err(error) => error.to_string(),
        });
        done.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(content: &[u8]) -> Item {
        let sha256 = Sha256::of(content);
        Item { name: "x.deb".to_owned(), urls: Vec::new(), size: Some(content.len() as u64), sha256 }
    }

    #[test]
    fn only_the_file_that_was_asked_for_gets_into_the_cache() {
        let folder = tempfile::tempdir().unwrap();
        let fetcher = Fetcher::new(folder.path(), true, Tuning::default()).unwrap();
        let wanted = item(b"right");
        for wrong in [&b"wrong"[..], b"righ", b"right and more"] {
            let error = fetcher.put(&wanted, &mut &*wrong).unwrap_err();
            assert!(matches!(error, Error::Tampered { .. }), "{error}");
            assert!(fetcher.store.find(&wanted.sha256, wanted.size).is_none());
        }
        let put = fetcher.put(&wanted, &mut &b"right"[..]).unwrap();
        assert_eq!(fs::read(&put.path).unwrap(), b"right");
        assert_eq!(fs::read_dir(put.path.parent().unwrap()).unwrap().count(), 1, "nothing else stays");
    }
}
