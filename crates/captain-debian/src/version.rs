//! Debian version numbers and their order (Debian policy section 5.6.12).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A version such as `1:2.3~rc1-4+b2`. Ordered as dpkg orders; `1.0` and `0:1.0-0` are equal.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(String);

impl Version {
    /// The text, as the archive wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Epoch, upstream version and Debian revision; revision `0` where there is none.
    fn parts(&self) -> (u32, &str, &str) {
        let (epoch, rest) = match self.0.split_once(':') {
            Some((epoch, rest)) => (epoch.parse().unwrap_or(0), rest),
            None => (0, self.0.as_str()),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, "0"));
        (epoch, upstream, revision)
    }
}

impl FromStr for Version {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("`{text}` is not a Debian version: {why}"));
        let rest = match text.split_once(':') {
            Some((epoch, _)) if epoch.parse::<u32>().is_err() => return wrong("its epoch is not a number"),
            Some((_, rest)) => rest,
            None => text,
        };
        if rest.is_empty() || rest.starts_with('-') || rest.ends_with('-') {
            return wrong("a part of it is empty");
        }
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b".+-~:".contains(&byte);
        if !rest.bytes().all(known) {
            return wrong("only letters, digits and . + - ~ : may be in one");
        }
        Ok(Self(text.to_owned()))
    }
}

/// dpkg's `verrevcmp`: runs of non-digits and of digits in turn, `~` before everything, even the end.
fn compare_part(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|c| !c.is_ascii_digit()) || b.first().is_some_and(|c| !c.is_ascii_digit())
        {
            match weight(a).cmp(&weight(b)) {
                Ordering::Equal => (a, b) = (&a[1..], &b[1..]),
                unequal => return unequal,
            }
        }
        let (left, right) = (take_number(&mut a), take_number(&mut b));
        match left.len().cmp(&right.len()).then_with(|| left.cmp(right)) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    Ordering::Equal
}

/// Where the next character sorts: `~`, then the end or a digit, then letters, then the rest.
fn weight(text: &[u8]) -> i32 {
    match text.first() {
        None => 0,
        Some(b'~') => -1,
        Some(c) if c.is_ascii_digit() => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    }
}

/// The leading digits without their zeros, so that numbers of any length compare by length, then text.
fn take_number<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    *text = rest;
    let zeros = digits.iter().take_while(|c| **c == b'0').count();
    &digits[zeros..]
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let (epoch, upstream, revision) = self.parts();
        let (other_epoch, other_upstream, other_revision) = other.parts();
        epoch
            .cmp(&other_epoch)
            .then_with(|| compare_part(upstream, other_upstream))
            .then_with(|| compare_part(revision, other_revision))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Version {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Version {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    #[test]
    fn versions_sort_as_dpkg_sorts_them() {
        // Each line ascends; checked with `dpkg --compare-versions`.
        for line in [
            "1.0~~ 1.0~~a 1.0~ 1.0~rc1 1.0 1.0-1 1.0a 1.0+dfsg 1.0.1 1.1 1.10 1:0.1 2:0",
            "1.0-1~bpo12+1 1.0-1 1.0-1+b1 1.0-1+deb12u1 1.0-1.1 1.0-2 1.0-10",
            "0 0a 0+ 0.",
            "1.2.3-1 1.2.3-a",
            "257~rc1-1 257.7-1 257.9-1~deb13u1 257.9-1",
            "9 99999999999999999999999999999999 100000000000000000000000000000000",
            "1~ 1 1a~ 1a 1ab",
            "2.41-12 2.41-12+deb13u1 2.42-1",
            "1-1-1 1-1-2 1-2-1",
        ] {
            let list: Vec<_> = line.split(' ').map(version).collect();
            for (at, one) in list.iter().enumerate() {
                for (other_at, other) in list.iter().enumerate() {
                    assert_eq!(one.cmp(other), at.cmp(&other_at), "{one} against {other}");
                }
            }
        }
    }

    #[test]
    fn spellings_of_one_version_are_equal() {
        for (a, b) in [("1.0", "0:1.0"), ("1.0", "1.0-0"), ("1.01", "1.1"), ("1.0", "1.00-000"), ("0", "0-0")]
        {
            assert_eq!(version(a), version(b), "{a} {b}");
        }
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in ["", ":1", "a:1", "1:", "1_2", "1 2", "1-", "-1", "1:-1", "4294967296:1", "1\n", "é"] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
    }
}
