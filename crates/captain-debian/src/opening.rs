//! From mirrors to verified indices: what [`crate::Archive::open`] does.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use futures_util::future::try_join_all;

use crate::archive::{Options, Release};
use crate::error::Error;
use crate::fetch::{Fetcher, Item};
use crate::hash::Sha256;
use crate::index::Index;
use crate::keyring::Keyring;
use crate::package::Origin;
use crate::progress::Progress;
use crate::release::ReleaseFile;
use crate::tarball;

/// The largest InRelease is some 250 kB.
const LARGEST_RELEASE: usize = 16 << 20;
/// Bound for an index whose unpacked size the release does not list; Debian's largest is some 60 MB.
const LARGEST_INDEX: u64 = 1 << 30;
/// Suites that never have updates of their own.
const ROLLING: [&str; 3] = ["sid", "unstable", "experimental"];

/// One archive being opened.
pub(crate) struct Opening<'a> {
    pub(crate) options: &'a Options,
    pub(crate) fetcher: &'a Fetcher,
    pub(crate) keyring: &'a Keyring,
    pub(crate) progress: &'a dyn Progress,
}

/// A suite to look for.
struct Wanted<'a> {
    suite: String,
    mirrors: &'a [String],
    /// Whether it is an error when the mirror does not have it.
    required: bool,
    /// Whether every component must be there: smaller suites need not have all.
    complete: bool,
}

/// A suite whose release file was verified.
pub(crate) struct Suite {
    pub(crate) release: Release,
    file: ReleaseFile,
    /// Base URLs, the one that answered first.
    mirrors: Vec<String>,
    complete: bool,
}

/// One index of a suite.
struct Wish {
    url: String,
    path: String,
    unpacked: u64,
    item: Item,
    origin: Origin,
}

impl Opening<'_> {
    /// The suite itself, its updates and its security fixes, as far as there are any.
    pub(crate) async fn suites(&self) -> Result<Vec<Suite>, Error> {
        let wanted = self.wanted();
        let task = self.progress.begin(&format!("verify {}", self.options.suite), None);
        let found = try_join_all(wanted.iter().map(|wanted| self.suite(wanted))).await;
        let suites: Result<Vec<Suite>, _> = found.map(|found| found.into_iter().flatten().collect());
        task.done(&match &suites {
            Ok(suites) => {
                let names: Vec<_> = suites.iter().map(|suite| suite.release.suite.as_str()).collect();
                format!("verified {}", names.join(", "))
            }
            Err(error) => error.to_string(),
        });
        suites
    }

    fn wanted(&self) -> Vec<Wanted<'_>> {
        let Options { suite, mirrors, .. } = self.options;
        let mut wanted =
            vec![Wanted { suite: suite.clone(), mirrors: &mirrors.main, required: true, complete: true }];
        // A suite such as `trixie-backports` stands for itself.
        if ROLLING.contains(&suite.as_str()) || suite.contains('-') {
            return wanted;
        }
        let updates = format!("{suite}-updates");
        wanted.push(Wanted { suite: updates, mirrors: &mirrors.main, required: false, complete: false });
        if !mirrors.security.is_empty() {
            let suite = format!("{suite}-security");
            wanted.push(Wanted { suite, mirrors: &mirrors.security, required: true, complete: false });
        }
        wanted
    }

    /// The suite from the first mirror that has a good copy; nothing where it is not there and need not be.
    async fn suite(&self, wanted: &Wanted<'_>) -> Result<Option<Suite>, Error> {
        let mut failed = None;
        for at in 0..wanted.mirrors.len() {
            match self.suite_of_mirror(wanted, at).await {
                Ok(Some(suite)) => return Ok(Some(suite)),
                // A mirror that is down says less than one that answers.
                Ok(None) => failed = failed.filter(|error| !matches!(error, Error::Download { .. })),
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error),
            None if wanted.required && wanted.mirrors.is_empty() => {
                Err(Error::Download { url: wanted.suite.clone(), why: "no mirror is given".to_owned() })
            }
            None => Ok(None),
        }
    }

    async fn suite_of_mirror(&self, wanted: &Wanted<'_>, at: usize) -> Result<Option<Suite>, Error> {
        let url = format!("{}/dists/{}/InRelease", wanted.mirrors[at], wanted.suite);
        let Some(bytes) = self.in_release(&url, wanted.required).await? else {
            if wanted.required {
                let what = format!("the mirror has no suite `{}`", wanted.suite);
                return Err(Error::NotCarried { url, what });
            }
            return Ok(None);
        };
        let (file, release) = self.accepted(&bytes, &url, wanted)?;
        let mut mirrors = wanted.mirrors.to_vec();
        mirrors.rotate_left(at);
        Ok(Some(Suite { release, file, mirrors, complete: wanted.complete }))
    }

    /// The release file's bytes, not verified; nothing where there is no such suite.
    async fn in_release(&self, url: &str, required: bool) -> Result<Option<Vec<u8>>, Error> {
        if let Some(client) = &self.fetcher.client {
            return client.get(url, LARGEST_RELEASE).await;
        }
        let path = self.fetcher.store.release(url);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // What need not be there online may be absent offline for that reason.
                if required { Err(Error::Offline { url: url.to_owned(), path }) } else { Ok(None) }
            }
            Err(error) => Err(Error::io(&path, error)),
        }
    }

    /// The release that is used, now that `bytes` came from `url`: those, once they are found good, or the copy
    /// that is kept where that is newer. Without this, a suite that has no `Valid-Until` could be set back to
    /// any state that it once had.
    fn accepted(
        &self,
        bytes: &[u8],
        url: &str,
        wanted: &Wanted<'_>,
    ) -> Result<(ReleaseFile, Release), Error> {
        let came = self.verified(bytes, url, wanted)?;
        if self.options.offline {
            return Ok(came);
        }
        came.0.check_dates(self.options.now, self.options.snapshot)?;
        let path = self.fetcher.store.release(url);
        if let Ok(kept) = fs::read(&path)
            && let Ok(kept) = self.verified(&kept, url, wanted)
            && kept.0.date > came.0.date
            && kept.0.check_dates(self.options.now, self.options.snapshot).is_ok()
        {
            return Ok(kept);
        }
        self.fetcher.store.write(&path, bytes)?;
        Ok(came)
    }

    fn verified(
        &self,
        bytes: &[u8],
        url: &str,
        wanted: &Wanted<'_>,
    ) -> Result<(ReleaseFile, Release), Error> {
        let verified = self.keyring.verify(bytes, url, self.options.now)?;
        let file = ReleaseFile::parse(&verified.text, url)?;
        file.check_suite(&wanted.suite)?;
        let release = Release {
            suite: wanted.suite.clone(),
            url: url.to_owned(),
            date: file.date,
            sha256: Sha256::of(bytes),
            signed_by: verified.signed_by,
        };
        Ok((file, release))
    }

    /// The indices of all `suites`, each component of one after the other.
    pub(crate) async fn indices(&self, suites: &[Suite]) -> Result<Vec<(Index, Origin)>, Error> {
        let mut wishes = Vec::new();
        for suite in suites {
            for component in &self.options.components {
                match self.wish(suite, component) {
                    Ok(wish) => wishes.push(wish),
                    Err(_) if !suite.complete => {}
                    Err(error) => return Err(error),
                }
            }
        }
        try_join_all(wishes.into_iter().map(|wish| self.index(wish))).await
    }

    fn wish(&self, suite: &Suite, component: &str) -> Result<Wish, Error> {
        let name = &suite.release.suite;
        let (path, listed) = suite.file.index(component, self.options.arch.debian())?;
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let mut urls = Vec::new();
        // By its hash the index stays to be had while the mirror changes to the next state.
        if suite.file.by_hash {
            let by_hash = |mirror| format!("{mirror}/dists/{name}/{folder}/by-hash/SHA256/{}", listed.sha256);
            urls.extend(suite.mirrors.iter().map(by_hash));
        }
        urls.extend(suite.mirrors.iter().map(|mirror| format!("{mirror}/dists/{name}/{path}")));
        let label = format!("{name}/{path}");
        Ok(Wish {
            url: format!("{}/dists/{label}", suite.mirrors[0]),
            unpacked: suite.file.unpacked_size(&path).unwrap_or(LARGEST_INDEX),
            item: Item { name: label, urls, size: Some(listed.size), sha256: listed.sha256 },
            origin: Origin {
                mirrors: suite.mirrors.clone(),
                suite: name.clone(),
                component: component.to_owned(),
            },
            path,
        })
    }

    async fn index(&self, wish: Wish) -> Result<(Index, Origin), Error> {
        let arch = self.options.arch.debian();
        let compact = self.fetcher.store.index(&wish.origin.suite, &wish.origin.component, arch);
        let kept = fs::read(&compact).ok();
        if let Some(index) = kept.and_then(|bytes| Index::of_bytes(bytes, &wish.item.sha256, &wish.url)) {
            return Ok((index, wish.origin));
        }
        let packed = self.fetcher.fetch(std::slice::from_ref(&wish.item), self.progress).await?;
        let (path, url, unpacked) = (packed[0].path.clone(), wish.url.clone(), wish.unpacked);
        let name = wish.path.clone();
        let task = self.progress.begin(&format!("read {}", wish.item.name), None);
        let parsed =
            tokio::task::spawn_blocking(move || read_index(&path, &name, &url, unpacked, arch)).await;
        let index = parsed.map_err(|error| Error::malformed(&wish.url, error))??;
        self.fetcher.store.write(&compact, &index.to_bytes(&wish.item.sha256))?;
        task.done(&format!("{}: {} packages", wish.item.name, index.len()));
        Ok((index, wish.origin))
    }
}

/// Unpacks and parses the index at `path`; `name` tells how it is packed, `unpacked` how large it may grow.
fn read_index(path: &Path, name: &str, url: &str, unpacked: u64, arch: &str) -> Result<Index, Error> {
    let file = fs::File::open(path).map_err(|error| Error::io(path, error))?;
    let mut reader =
        tarball::decoder(name, file).map_err(|why| Error::malformed(url, why))?.take(unpacked + 1);
    let mut text = String::new();
    reader.read_to_string(&mut text).map_err(|error| Error::malformed(url, error))?;
    if text.len() as u64 > unpacked {
        return Err(Error::malformed(
            url,
            format!("it unpacks to more than the {unpacked} bytes it should have"),
        ));
    }
    Index::parse(&text, url, arch)
}
