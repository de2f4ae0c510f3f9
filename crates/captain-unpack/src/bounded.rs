//! What a file may unpack to.

use std::io::{self, Read};

/// How much may come out of a file of a given size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Bytes that any file may unpack to.
    pub least: u64,
    /// How many more for each byte of its own.
    pub ratio: u64,
}

impl Limit {
    /// Reads from `plain`, what a file of `packed` bytes unpacks to, and fails where that is beyond the limit.
    pub fn of<R: Read>(self, plain: R, packed: u64) -> Bounded<R> {
        Bounded {
            inner: plain,
            limit: self,
            left: self.ratio.saturating_mul(packed).saturating_add(self.least),
        }
    }
}

/// Reads so many bytes and fails at the next.
#[derive(Debug)]
pub struct Bounded<R> {
    inner: R,
    limit: Limit,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            let Limit { least, ratio } = self.limit;
            io::Error::other(format!(
                "it unpacks to more than {ratio} times its size and {} MiB, as no honest one does",
                least >> 20
            ))
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_within_the_limit_is_read_and_the_next_is_an_error() {
        let limit = Limit { least: 1 << 20, ratio: 3 };
        let within = limit.of(io::repeat(0).take((1 << 20) + 30), 10).read_to_end(&mut Vec::new());
        assert_eq!(within.unwrap(), (1 << 20) + 30);
        let error = limit
            .of(io::repeat(0).take((1 << 20) + 31), 10)
            .read_to_end(&mut Vec::new())
            .unwrap_err()
            .to_string();
        assert!(error.contains("more than 3 times its size and 1 MiB"), "{error}");
        assert_eq!(limit.of(&b"x"[..], u64::MAX).read(&mut [0]).unwrap(), 1);
    }
}
