//! What a verified release file says: which suite, from when, and the sum of each index.

use std::collections::BTreeMap;
use std::time::Duration;

use captain_model::Timestamp;
use deb822_fast::Paragraph;

use crate::date;
use crate::error::Error;
use crate::hash::Sha256;

/// How far a release may be in the future: clocks differ, and mirrors' clocks are the better ones.
const CLOCK_SKEW: Duration = Duration::from_secs(3600);

/// The signed text of an InRelease, parsed.
#[derive(Clone, Debug)]
pub(crate) struct ReleaseFile {
    url: String,
    pub(crate) suite: String,
    pub(crate) codename: String,
    pub(crate) date: Timestamp,
    pub(crate) valid_until: Option<Timestamp>,
    pub(crate) by_hash: bool,
    pub(crate) components: Vec<String>,
    pub(crate) architectures: Vec<String>,
    pub(crate) files: BTreeMap<String, Listed>,
}

/// One file that the release vouches for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) size: u64,
    pub(crate) sha256: Sha256,
}

impl ReleaseFile {
    /// Reads `text`, which must be the signed text only. `url` is for messages.
    pub(crate) fn parse(text: &str, url: &str) -> Result<Self, Error> {
        let wrong = |why: &str| Error::malformed(url, why);
        let paragraph: Paragraph = text.parse().map_err(|error| Error::malformed(url, error))?;
        let field = |name: &str| paragraph.get(name).unwrap_or_default().trim().to_owned();
        let words = |name: &str| field(name).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let date = date::parse(&field("Date")).ok_or_else(|| wrong("it has no Date that can be read"))?;
        let valid_until = match paragraph.get("Valid-Until") {
            Some(text) => Some(date::parse(text).ok_or_else(|| wrong("its Valid-Until cannot be read"))?),
            None => None,
        };
        // The security archive lists its components as `updates/main`, the indices as `main`.
        let components = words("Components").iter().map(|word| last_part(word)).collect();
        let files = listed(paragraph.get("SHA256").unwrap_or_default());
        Ok(Self {
            files: files.ok_or_else(|| wrong("its SHA256 list cannot be read"))?,
            suite: field("Suite"),
            codename: field("Codename"),
            by_hash: field("Acquire-By-Hash") == "yes",
            architectures: words("Architectures"),
            url: url.to_owned(),
            components,
            date,
            valid_until,
        })
    }

    /// Whether it is what was asked for: a release of another suite may be old, or anyone's.
    pub(crate) fn check_suite(&self, wanted: &str) -> Result<(), Error> {
        if self.suite == wanted || self.codename == wanted {
            return Ok(());
        }
        let (url, wanted) = (self.url.clone(), wanted.to_owned());
        Err(Error::WrongSuite { url, wanted, suite: self.suite.clone(), codename: self.codename.clone() })
    }

    /// Whether it holds at `now`: a mirror that stays behind hides fixes, unless it is a `snapshot` on purpose.
    pub(crate) fn check_dates(&self, now: Timestamp, snapshot: bool) -> Result<(), Error> {
        let stale = |why: String| Err(Error::Stale { url: self.url.clone(), why });
        if self.date > now.after(CLOCK_SKEW) {
            let ahead = self.date.since(now).as_secs() / 60;
            return stale(format!("it was made {ahead} minutes in the future: set this machine's clock"));
        }
        match self.valid_until {
            Some(end) if end < now && !snapshot => {
                let hours = now.since(end).as_secs() / 3600;
                stale(format!(
                    "it expired {hours} hours ago (Valid-Until): the mirror is behind, or this machine's \
                     clock is wrong; use another mirror or set the clock"
                ))
            }
            _ => Ok(()),
        }
    }

    /// The best form of the index of `component` for `arch`: its path below the suite's folder.
    pub(crate) fn index(&self, component: &str, arch: &str) -> Result<(String, Listed), Error> {
        let base = format!("{component}/binary-{arch}/Packages");
        for ending in [".xz", ".gz", ""] {
            let path = format!("{base}{ending}");
            if let Some(listed) = self.files.get(&path) {
                return Ok((path, *listed));
            }
        }
        let what = format!(
            "it lists no {base}.xz; it carries the components {} for {}",
            self.components.join(", "),
            self.architectures.join(", ")
        );
        Err(Error::NotCarried { url: self.url.clone(), what })
    }

    /// Size of the unpacked form of the index at `path`, where it is listed.
    pub(crate) fn unpacked_size(&self, path: &str) -> Option<u64> {
        let plain = path.trim_end_matches(".xz").trim_end_matches(".gz");
        self.files.get(plain).map(|listed| listed.size)
    }
}

fn last_part(word: &str) -> String {
    word.rsplit('/').next().unwrap_or(word).to_owned()
}

/// Lines of `sum size path`.
fn listed(field: &str) -> Option<BTreeMap<String, Listed>> {
    let lines = field.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let sha256 = words.next()?.parse().ok()?;
            let size = words.next()?.parse().ok()?;
            Some((words.next()?.to_owned(), Listed { size, sha256 }))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Suite: stable-security\nCodename: trixie-security\n\
        Date: Sat, 06 Sep 2025 10:00:00 UTC\nValid-Until: Sat, 13 Sep 2025 10:00:00 UTC\n\
        Acquire-By-Hash: yes\nArchitectures: amd64 arm64\nComponents: updates/main updates/contrib\n\
        MD5Sum:\n d41d8cd98f00b204e9800998ecf8427e 0 main/binary-amd64/Packages\nSHA256:\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        7 main/binary-amd64/Packages\n \
        e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855        3 main/binary-amd64/Packages.xz\n";

    fn release() -> ReleaseFile {
        ReleaseFile::parse(TEXT, "http://test/InRelease").unwrap()
    }

    fn at(text: &str) -> Timestamp {
        date::parse(text).unwrap()
    }

    #[test]
    fn a_release_lists_its_indices() {
        let (path, listed) = release().index("main", "amd64").unwrap();
        assert_eq!((path.as_str(), listed.size), ("main/binary-amd64/Packages.xz", 3));
        assert_eq!(release().unpacked_size(&path), Some(7));
        assert!(release().by_hash);
        let error = release().index("main", "riscv64").unwrap_err().to_string();
        assert!(error.ends_with("carries the components main, contrib for amd64, arm64"), "{error}");
    }

    #[test]
    fn a_release_is_known_by_suite_and_by_codename() {
        assert!(release().check_suite("trixie-security").is_ok());
        assert!(release().check_suite("stable-security").is_ok());
        let error = release().check_suite("trixie").unwrap_err().to_string();
        assert!(error.contains("asked for suite `trixie`") && error.contains("trixie-security"), "{error}");
    }

    #[test]
    fn a_release_holds_between_its_dates() {
        for (now, fine) in [
            ("Sat, 06 Sep 2025 08:00:00 UTC", false),
            ("Sat, 06 Sep 2025 09:30:00 UTC", true),
            ("Sat, 13 Sep 2025 10:00:00 UTC", true),
            ("Sat, 13 Sep 2025 10:00:01 UTC", false),
        ] {
            assert_eq!(release().check_dates(at(now), false).is_ok(), fine, "{now}");
        }
        assert!(
            release().check_dates(at("Sat, 13 Sep 2031 10:00:01 UTC"), true).is_ok(),
            "a snapshot is old"
        );
    }

    #[test]
    fn a_release_that_cannot_be_read_says_why() {
        for (from, to, why) in [
            ("Sat, 06 Sep 2025 10:00:00 UTC", "soon", "Date"),
            ("Sat, 13 Sep 2025 10:00:00 UTC", "never", "Valid-Until"),
            ("        7 main", "  seven main", "SHA256"),
        ] {
            let error =
                ReleaseFile::parse(&TEXT.replace(from, to), "http://test/InRelease").unwrap_err().to_string();
            assert!(error.starts_with("http://test/InRelease: ") && error.contains(why), "{error}");
        }
    }
}
