//! A walk over a parsed document that notes what is wrong and goes on.
//!
//! Every accessor gives `None` for a key that is absent and for one that is wrong; the latter is in the sink
//! by then. [`Table::finish`] notes the keys that nobody asked for.

use std::cell::RefCell;
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::PasswordFiles;
use crate::sink::Sink;
use crate::suggest::{did_you_mean, nearest};

/// One value of the document, with its place and its dotted key.
#[derive(Clone, Debug)]
pub(crate) struct Value<'a> {
    sink: &'a Sink<'a>,
    pub(crate) key: String,
    span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Value<'a> {
    fn new(sink: &'a Sink<'a>, key: String, value: &'a Spanned<DeValue<'a>>) -> Self {
        Self { sink, key, span: value.span(), value: value.get_ref() }
    }

    /// Notes a fault of this value.
    pub(crate) fn fault(&self, message: impl Into<String>) {
        self.sink.fault(&self.span, &self.key, &message.into());
    }

    /// Where its password file is read from.
    pub(crate) fn passwords(&self) -> &'a PasswordFiles {
        self.sink.passwords
    }

    /// The line it is on.
    pub(crate) fn line(&self) -> usize {
        self.sink.line(self.span.start)
    }

    fn wrong<T>(&self, wanted: &str) -> Option<T> {
        self.fault(format!("must be {wanted}, not {}", kind(self.value)));
        None
    }

    /// A string.
    pub(crate) fn string(&self) -> Option<&'a str> {
        self.value.as_str().or_else(|| self.wrong("a string in quotes"))
    }

    /// `true` or `false`.
    pub(crate) fn boolean(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.wrong("true or false"))
    }

    /// A whole number in `range`.
    pub(crate) fn number(&self, range: RangeInclusive<u16>) -> Option<u16> {
        let Some(integer) = self.value.as_integer() else { return self.wrong("a whole number") };
        let number =
            u16::from_str_radix(integer.as_str(), integer.radix()).ok().filter(|n| range.contains(n));
        if number.is_none() {
            self.fault(format!("{integer} is out of range: use {} to {}", range.start(), range.end()));
        }
        number
    }

    /// A string that `parse` takes; its error is the fault.
    pub(crate) fn parsed<T, E: Display>(&self, parse: impl FnOnce(&'a str) -> Result<T, E>) -> Option<T> {
        parse(self.string()?).map_err(|error| self.fault(error.to_string())).ok()
    }

    /// One of these words.
    pub(crate) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.string()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            self.fault(format!("`{text}` is not known: use one of {}", names.join(", ")));
        }
        found
    }

    /// An IPv4 address that a machine can have.
    pub(crate) fn address(&self) -> Option<Ipv4Addr> {
        let address = self.parsed(|text| {
            text.parse::<Ipv4Addr>()
                .map_err(|_| format!("`{text}` is not an IPv4 address: write it as 192.168.50.20"))
        })?;
        if address.is_unspecified() || address.is_broadcast() || address.is_multicast() {
            self.fault(format!("{address} cannot be the address of one machine"));
            return None;
        }
        Some(address)
    }

    /// A path; relative ones start at the configuration's folder.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.parsed(|text| match text {
            "" => Err("an empty path: name a file or folder, or leave the key out"),
            _ if text.contains('\0') => Err("a path cannot hold a NUL"),
            _ => Ok(self.sink.path(text)),
        })
    }

    /// The elements of a list.
    pub(crate) fn list(&self) -> Option<Vec<Value<'a>>> {
        let Some(array) = self.value.as_array() else { return self.wrong("a list in [ ]") };
        let element = |(at, value)| Value::new(self.sink, format!("{}[{at}]", self.key), value);
        Some(array.iter().enumerate().map(element).collect())
    }

    /// The table of a name that the user chose; `what` it would be is told where it is something else.
    pub(crate) fn named_table(&self, what: &str, keys: &[&str]) -> Option<Table<'a>> {
        if self.value.is_table() {
            return self.table();
        }
        let (parent, name) = self.key.rsplit_once('.').unwrap_or(("", &self.key));
        let hint = nearest(name, keys.iter().copied()).map(|key| format!("did you mean `{key}`? "));
        let hint = hint.unwrap_or_default();
        self.fault(format!("unknown key `{name}`: {hint}{what} is a table, [{parent}.NAME]"));
        None
    }

    /// Whether it is a list with nothing in it.
    pub(crate) fn list_is_empty(&self) -> bool {
        self.value.as_array().is_some_and(|array| array.is_empty())
    }

    /// A table.
    pub(crate) fn table(&self) -> Option<Table<'a>> {
        let table = self.value.as_table().or_else(|| self.wrong("a table"))?;
        Some(Table { whole: self.clone(), table, asked: RefCell::default() })
    }
}

fn kind(value: &DeValue) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A table of the document.
#[derive(Debug)]
pub(crate) struct Table<'a> {
    whole: Value<'a>,
    table: &'a DeTable<'a>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Table<'a> {
    /// The document itself.
    pub(crate) fn root(sink: &'a Sink<'a>, root: &'a Spanned<DeValue<'a>>) -> Option<Self> {
        Value::new(sink, String::new(), root).table()
    }

    /// The value of `key`, which from now on is a known one.
    pub(crate) fn get(&self, key: &'static str) -> Option<Value<'a>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key).map(|value| Value::new(self.whole.sink, self.dotted(key), value))
    }

    /// Whether `key` is there, right or wrong.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// All entries whose names the user chose, but for `keys`.
    pub(crate) fn named(&self, keys: &[&str]) -> impl Iterator<Item = (&'a str, Value<'a>)> {
        let entries = self.table.iter().map(|(name, value)| (name.get_ref().as_ref(), value));
        entries
            .filter(move |(name, _)| !keys.contains(name))
            .map(|(name, value)| (name, Value::new(self.whole.sink, self.dotted(name), value)))
    }

    /// Notes a fault of the whole table.
    pub(crate) fn fault(&self, message: impl Into<String>) {
        self.whole.fault(message);
    }

    /// Notes every key that nobody has asked for.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for name in self.table.keys() {
            let text: &str = name.get_ref();
            if !asked.contains(&text) {
                let hint = did_you_mean(nearest(text, asked.iter().copied()), &asked);
                self.whole.sink.fault(
                    &name.span(),
                    &self.dotted(text),
                    &format!("unknown key `{text}`: {hint}"),
                );
            }
        }
    }

    fn dotted(&self, key: &str) -> String {
        let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        let key = if bare { key.to_owned() } else { format!("\"{key}\"") };
        if self.whole.key.is_empty() { key } else { format!("{}.{key}", self.whole.key) }
    }

    /// See [`Value::boolean`].
    pub(crate) fn boolean(&self, key: &'static str) -> Option<bool> {
        self.get(key)?.boolean()
    }

    /// See [`Value::number`].
    pub(crate) fn number(&self, key: &'static str, range: RangeInclusive<u16>) -> Option<u16> {
        self.get(key)?.number(range)
    }

    /// See [`Value::parsed`].
    pub(crate) fn parsed<T, E: Display>(
        &self,
        key: &'static str,
        parse: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Option<T> {
        self.get(key)?.parsed(parse)
    }

    /// See [`Value::choice`].
    pub(crate) fn choice<T: Copy>(&self, key: &'static str, words: &[(&str, T)]) -> Option<T> {
        self.get(key)?.choice(words)
    }

    /// See [`Value::address`].
    pub(crate) fn address(&self, key: &'static str) -> Option<Ipv4Addr> {
        self.get(key)?.address()
    }

    /// See [`Value::path`].
    pub(crate) fn path(&self, key: &'static str) -> Option<PathBuf> {
        self.get(key)?.path()
    }

    /// A list, each element read by `each`; elements that are wrong are left out.
    pub(crate) fn list<T>(
        &self,
        key: &'static str,
        each: impl Fn(&Value<'a>) -> Option<T>,
    ) -> Option<Vec<T>> {
        Some(self.get(key)?.list()?.iter().filter_map(each).collect())
    }

    /// A table.
    pub(crate) fn table(&self, key: &'static str) -> Option<Table<'a>> {
        self.get(key)?.table()
    }

    /// The tables of `[[key]]`.
    pub(crate) fn tables(&self, key: &'static str) -> Vec<Table<'a>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        if value.value.is_table() {
            value.fault(format!(
                "there can be several of these: write `[[{}]]`, not `[{}]`",
                value.key, value.key
            ));
            return Vec::new();
        }
        value.list().unwrap_or_default().iter().filter_map(Value::table).collect()
    }
}
