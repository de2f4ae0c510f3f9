//! kmod's binary index (libkmod-index.c): a radix tree over names and patterns, big-endian, children before parents.

use std::collections::BTreeMap;

const MAGIC: u32 = 0xb007_f457;
/// Version 2.1.
const VERSION: u32 = 0x0002_0001;
const HAS_PREFIX: u32 = 0x8000_0000;
const HAS_VALUES: u32 = 0x4000_0000;
const HAS_CHILDREN: u32 = 0x2000_0000;

/// An index in the making.
#[derive(Debug, Default)]
pub(crate) struct Index {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    prefix: Vec<u8>,
    children: BTreeMap<u8, Node>,
    /// Ordered by priority; kmod takes them in this order.
    values: Vec<(u32, String)>,
}

impl Index {
    /// Adds `value` under `key`; smaller priorities come first.
    pub(crate) fn insert(&mut self, key: &str, value: &str, priority: u32) {
        self.root.insert(key.as_bytes(), (priority, value.to_owned()));
    }

    /// The bytes of the .bin file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(MAGIC.to_be_bytes());
        out.extend(VERSION.to_be_bytes());
        out.extend([0; 4]);
        let root = self.root.encode(&mut out);
        out[8..12].copy_from_slice(&root.to_be_bytes());
        out
    }
}

impl Node {
    fn leaf(key: &[u8], value: (u32, String)) -> Self {
        Self { prefix: key.to_vec(), children: BTreeMap::new(), values: vec![value] }
    }

    fn insert(&mut self, key: &[u8], value: (u32, String)) {
        let common = self.prefix.iter().zip(key).take_while(|(a, b)| a == b).count();
        if common < self.prefix.len() {
            self.split(common);
        }
        match key[common..].split_first() {
            None => self.add(value),
            Some((byte, rest)) => match self.children.get_mut(byte) {
                Some(child) => child.insert(rest, value),
                None => {
                    self.children.insert(*byte, Self::leaf(rest, value));
                }
            },
        }
    }

    /// Keeps the first `length` bytes of the prefix here and moves everything else into a child.
    fn split(&mut self, length: usize) {
        let rest = self.prefix.split_off(length);
        let lower = Self {
            prefix: rest[1..].to_vec(),
            children: std::mem::take(&mut self.children),
            values: std::mem::take(&mut self.values),
        };
        self.children.insert(rest[0], lower);
    }

    fn add(&mut self, value: (u32, String)) {
        if !self.values.contains(&value) {
            let at = self.values.partition_point(|other| other.0 <= value.0);
            self.values.insert(at, value);
        }
    }

    /// Appends the node after its children; returns its offset with the flags of what it has.
    fn encode(&self, out: &mut Vec<u8>) -> u32 {
        let children: BTreeMap<u8, u32> =
            self.children.iter().map(|(byte, node)| (*byte, node.encode(out))).collect();
        // Indices are a few MB; the format's offsets have 28 bits.
        let mut offset = out.len() as u32;
        if !self.prefix.is_empty() {
            out.extend(&self.prefix);
            out.push(0);
            offset |= HAS_PREFIX;
        }
        if let (Some((first, _)), Some((last, _))) = (children.first_key_value(), children.last_key_value()) {
            out.extend([*first, *last]);
            for byte in *first..=*last {
                out.extend(children.get(&byte).copied().unwrap_or(0).to_be_bytes());
            }
            offset |= HAS_CHILDREN;
        }
        if !self.values.is_empty() {
            out.extend((self.values.len() as u32).to_be_bytes());
            for (priority, value) in &self.values {
                out.extend(priority.to_be_bytes());
                out.extend(value.as_bytes());
                out.push(0);
            }
            offset |= HAS_VALUES;
        }
        offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks `key` up as libkmod does.
    fn look_up(index: &[u8], key: &str) -> Vec<String> {
        let word = |at: usize| u32::from_be_bytes(index[at..at + 4].try_into().unwrap());
        let text = |at: usize| index[at..].iter().take_while(|byte| **byte != 0).copied().collect::<Vec<_>>();
        assert_eq!((word(0), word(4)), (MAGIC, VERSION));
        let (mut node, mut key) = (word(8), key.as_bytes());
        loop {
            let mut at = (node & 0x0fff_ffff) as usize;
            if node & HAS_PREFIX != 0 {
                let prefix = text(at);
                at += prefix.len() + 1;
                let Some(rest) = key.strip_prefix(&prefix[..]) else { return Vec::new() };
                key = rest;
            }
            let mut children = None;
            if node & HAS_CHILDREN != 0 {
                let (first, last) = (index[at], index[at + 1]);
                children = Some((first, last, at + 2));
                at += 2 + 4 * (usize::from(last - first) + 1);
            }
            let Some((byte, rest)) = key.split_first() else {
                let mut values = Vec::new();
                if node & HAS_VALUES != 0 {
                    let count = word(at);
                    at += 4;
                    for _ in 0..count {
                        let value = text(at + 4);
                        at += 4 + value.len() + 1;
                        values.push(String::from_utf8(value).unwrap());
                    }
                }
                return values;
            };
            let Some((first, last, table)) = children else { return Vec::new() };
            if *byte < first || *byte > last {
                return Vec::new();
            }
            node = word(table + 4 * usize::from(byte - first));
            if node == 0 {
                return Vec::new();
            }
            key = rest;
        }
    }

    #[test]
    fn names_are_found_with_their_values_in_order_of_priority() {
        let mut index = Index::default();
        for (key, value, priority) in [
            ("e1000", "late", 9),
            ("e1000", "early", 1),
            ("e1000e", "x", 2),
            ("e", "y", 3),
            ("virtio_net", "v", 4),
        ] {
            index.insert(key, value, priority);
        }
        let bytes = index.encode();
        assert_eq!(look_up(&bytes, "e1000"), ["early", "late"]);
        assert_eq!(look_up(&bytes, "e1000e"), ["x"]);
        assert_eq!(look_up(&bytes, "e"), ["y"]);
        assert_eq!(look_up(&bytes, "virtio_net"), ["v"]);
        for missing in ["", "e1", "e1000x", "virtio", "z"] {
            assert!(look_up(&bytes, missing).is_empty(), "{missing}");
        }
    }

    #[test]
    fn the_bytes_are_those_of_depmod() {
        // depmod 30 for modules.builtin.bin of two modules, `ab` and `ad`.
        let mut index = Index::default();
        index.insert("ab", "", 0);
        index.insert("ad", "", 0);
        let bytes = index.encode();
        let leaf = [0, 0, 0, 1, 0, 0, 0, 0, 0];
        let mut expected = vec![0xb0, 0x07, 0xf4, 0x57, 0, 2, 0, 1, 0x20, 0, 0, 44];
        expected.extend(leaf);
        expected.extend(leaf);
        expected.extend([b'b', b'd', 0x40, 0, 0, 12, 0, 0, 0, 0, 0x40, 0, 0, 21]);
        expected.extend([b'a', b'a', 0x20, 0, 0, 30]);
        assert_eq!(bytes, expected);
    }
}
