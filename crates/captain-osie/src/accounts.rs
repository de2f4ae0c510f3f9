//! Users and groups: what systemd-sysusers would make of the packages' `sysusers.d` (sysusers.d(5)), done at build
//! time with numbers that depend on nothing but those files.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::Serialize;

use crate::error::Error;

/// Dynamic numbers are given out downwards from here, as systemd does (`SYSTEM_UID_MAX`).
const HIGHEST_DYNAMIC: u32 = 999;
const NOLOGIN: &str = "/usr/sbin/nologin";

/// How root may log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum RootLogin {
    /// Not at all.
    Locked,
    /// By key only: no password fits, but sshd does not take the account for a locked one, which it refuses.
    Keys,
    /// Without a password, where somebody is asked for one: debug images.
    Open,
}

impl RootLogin {
    /// The second field of shadow(5).
    const fn password(self) -> &'static str {
        match self {
            Self::Locked => "!*",
            Self::Keys => "*",
            Self::Open => "",
        }
    }
}

/// The account database in the making.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    users: BTreeMap<String, User>,
    groups: BTreeMap<String, u32>,
    members: BTreeSet<(String, String)>,
}

#[derive(Clone, Debug)]
struct User {
    id: u32,
    group: u32,
    comment: String,
    home: String,
    shell: String,
}

/// A line of sysusers.d that still has no number.
#[derive(Debug)]
enum Pending {
    User { name: String, group: Option<u32>, comment: String, home: String, shell: String },
    Group { name: String },
}

impl Accounts {
    /// Reads these files (name, text) in the order of their names.
    ///
    /// # Errors
    /// The file and line that cannot be understood.
    pub(crate) fn read<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let files: BTreeMap<_, _> = files.into_iter().collect();
        let (mut accounts, mut pending) = (Self::default(), Vec::new());
        for (file, text) in files {
            for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
            {
                let fields = words(line);
                let understood = accounts.line(&fields, &mut pending);
                understood.map_err(|why| Error::malformed(file, format!("`{line}`: {why}")))?;
            }
        }
        accounts.number(pending);
        Ok(accounts)
    }

    /// `/etc/passwd`, in the order of numbers.
    pub(crate) fn passwd(&self) -> String {
        let mut text = String::new();
        for (name, user) in self.by_id() {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "{name}:x:{}:{}:{}:{}:{}",
                user.id, user.group, user.comment, user.home, user.shell
            );
        }
        text
    }

    /// `/etc/group`.
    pub(crate) fn group(&self) -> String {
        let mut groups: Vec<_> = self.groups.iter().map(|(name, id)| (*id, name)).collect();
        groups.sort_unstable();
        let mut text = String::new();
        for (id, name) in groups {
            let members: Vec<_> =
                self.members.iter().filter(|(_, of)| of == name).map(|(user, _)| user.as_str()).collect();
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}:x:{id}:{}", members.join(","));
        }
        text
    }

    /// `/etc/shadow`: nobody but root, where that may, can log in.
    pub(crate) fn shadow(&self, root: RootLogin) -> String {
        let mut text = String::new();
        for (name, _) in self.by_id() {
            let password = if name == "root" { root.password() } else { RootLogin::Locked.password() };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name}:{password}:::::::");
        }
        text
    }

    /// `/etc/gshadow`.
    pub(crate) fn gshadow(&self) -> String {
        self.groups.keys().fold(String::new(), |text, name| text + name + ":!::\n")
    }

    fn by_id(&self) -> Vec<(&str, &User)> {
        let mut users: Vec<_> = self.users.iter().map(|(name, user)| (name.as_str(), user)).collect();
        users.sort_by_key(|(name, user)| (user.id, *name));
        users
    }

    fn line(&mut self, fields: &[String], pending: &mut Vec<Pending>) -> Result<(), String> {
        let field =
            |at: usize| fields.get(at).map(String::as_str).filter(|text| *text != "-").unwrap_or_default();
        let name = field(1).to_owned();
        if name.is_empty() {
            return Err("no name".to_owned());
        }
        match fields[0].chars().next() {
            Some('g') if self.groups.contains_key(&name) => {}
            Some('g') if field(2).is_empty() => pending.push(Pending::Group { name }),
            Some('g') => {
                let id = parse_id(field(2))?;
                self.groups.insert(name, id);
            }
            Some('u') => self.user(name, field(2), [field(3), field(4), field(5)], pending)?,
            Some('m') => {
                self.members.insert((name, field(2).to_owned()));
            }
            // A range of numbers: ours are always taken from the top.
            Some('r') => {}
            _ => return Err("a type other than u, g, m and r".to_owned()),
        }
        Ok(())
    }

    fn user(
        &mut self,
        name: String,
        id: &str,
        rest: [&str; 3],
        pending: &mut Vec<Pending>,
    ) -> Result<(), String> {
        if self.users.contains_key(&name) {
            return Ok(());
        }
        let [comment, home, shell] = rest;
        let home = if home.is_empty() { "/" } else { home };
        let shell = match shell {
            "" if name == "root" => "/bin/bash",
            "" => NOLOGIN,
            shell => shell,
        };
        let (comment, home, shell) = (comment.to_owned(), home.to_owned(), shell.to_owned());
        let (id, group) = match id.split_once(':') {
            Some((id, group)) => (id, Some(self.group_id(group)?)),
            None => (id, None),
        };
        // `-` and the owner of a file (`/path`) both ask for any number.
        if matches!(id, "" | "-") || id.starts_with('/') {
            pending.push(Pending::User { name, group, comment, home, shell });
            return Ok(());
        }
        let id = parse_id(id)?;
        let group = group.unwrap_or(id);
        if group == id {
            self.groups.entry(name.clone()).or_insert(id);
        }
        self.users.insert(name, User { id, group, comment, home, shell });
        Ok(())
    }

    fn group_id(&self, text: &str) -> Result<u32, String> {
        let by_name = self.groups.get(text).copied();
        by_name.map_or_else(|| parse_id(text), Ok)
    }

    /// Gives numbers to those that asked for any.
    fn number(&mut self, pending: Vec<Pending>) {
        let mut taken: BTreeSet<u32> =
            self.users.values().map(|user| user.id).chain(self.groups.values().copied()).collect();
        let mut next = || {
            let free =
                (1..=HIGHEST_DYNAMIC).rev().find(|id| !taken.contains(id)).unwrap_or(u32::from(u16::MAX) - 1);
            taken.insert(free);
            free
        };
        for wish in pending {
            match wish {
                Pending::Group { name } => {
                    self.groups.entry(name).or_insert_with(&mut next);
                }
                Pending::User { name, group, comment, home, shell } => {
                    let id = next();
                    let group = group.unwrap_or_else(|| *self.groups.entry(name.clone()).or_insert(id));
                    self.users.insert(name, User { id, group, comment, home, shell });
                }
            }
        }
    }
}

fn parse_id(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number"))
}

/// Splits at white space; double quotes hold words together.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            '"' => (quoted, begun) = (!quoted, true),
            c if c.is_whitespace() && !quoted => {
                if std::mem::take(&mut begun) {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if begun {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASIC: &str =
        "g tty 5 -\ng nogroup 65534 -\nu root 0 - /root /bin/bash\nu sync 4:65534 - /bin /bin/sync\n";

    #[test]
    fn fixed_and_dynamic_numbers_are_given_as_systemd_does() {
        let network = "u! systemd-network - \"systemd Network Management\"\n# c\ng input -\n";
        let accounts = Accounts::read([("z.conf", network), ("basic.conf", BASIC)]).unwrap();
        assert_eq!(
            accounts.passwd(),
            "root:x:0:0::/root:/bin/bash\nsync:x:4:65534::/bin:/bin/sync\n\
             systemd-network:x:999:999:systemd Network Management:/:/usr/sbin/nologin\n"
        );
        assert_eq!(
            accounts.group(),
            "root:x:0:\ntty:x:5:\ninput:x:998:\nsystemd-network:x:999:\nnogroup:x:65534:\n"
        );
    }

    #[test]
    fn the_order_in_which_packages_come_changes_nothing() {
        let files = [("a.conf", "u one -\n"), ("b.conf", "u two -\nm two one\n"), ("c.conf", BASIC)];
        let one = Accounts::read(files).unwrap();
        let mut turned = files;
        turned.reverse();
        let two = Accounts::read(turned).unwrap();
        assert_eq!((one.passwd(), one.group()), (two.passwd(), two.group()));
        assert!(one.group().contains("one:x:999:two\n"));
    }

    #[test]
    fn a_user_may_have_any_number_in_a_group_that_is_there() {
        let sshd = "u sshd -:nogroup \"sshd user\" /run/sshd\nu owner /usr/bin/x\n";
        let accounts = Accounts::read([("a.conf", BASIC), ("b.conf", sshd)]).unwrap();
        assert!(accounts.passwd().contains("sshd:x:999:65534:sshd user:/run/sshd:/usr/sbin/nologin\n"));
        assert!(accounts.passwd().contains("owner:x:998:998:"), "{}", accounts.passwd());
        assert!(!accounts.group().contains("sshd"));
    }

    #[test]
    fn nobody_can_log_in_unless_it_is_a_debug_image() {
        let accounts = Accounts::read([("basic.conf", BASIC)]).unwrap();
        assert_eq!(accounts.shadow(RootLogin::Locked), "root:!*:::::::\nsync:!*:::::::\n");
        assert_eq!(accounts.shadow(RootLogin::Keys), "root:*:::::::\nsync:!*:::::::\n");
        assert!(accounts.shadow(RootLogin::Open).starts_with("root::::"));
    }

    #[test]
    fn a_line_that_is_not_understood_is_named_with_its_file() {
        let error = Accounts::read([("x.conf", "u a b c\n")]).unwrap_err().to_string();
        assert!(error.contains("x.conf") && error.contains("`b`"), "{error}");
        assert!(Accounts::read([("x.conf", "q a\n")]).is_err());
    }
}
