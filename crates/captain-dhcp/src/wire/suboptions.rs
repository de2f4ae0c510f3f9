//! Code, length, value: the form that options have, and 43, 82 and 175 inside again.

/// The sub-options in `0`, as far as they are whole. Ends at a 255 and skips zeros where `padded` says that
/// the encapsulation knows pads and ends (RFC 2132 section 8.4: option 43 does, option 82 does not).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Suboptions<'a> {
    rest: &'a [u8],
    padded: bool,
}

impl<'a> Suboptions<'a> {
    /// Of option 43 or 175, or of a message's own options (RFC 2132 section 2).
    pub(crate) const fn padded(data: &'a [u8]) -> Self {
        Self { rest: data, padded: true }
    }

    /// Of option 82, where 0 and 255 are codes like any other (RFC 3046 section 2.0).
    pub(crate) const fn plain(data: &'a [u8]) -> Self {
        Self { rest: data, padded: false }
    }

    /// The first sub-option with this code.
    pub(crate) fn find(mut self, code: u8) -> Option<&'a [u8]> {
        Iterator::find(&mut self, |(found, _)| *found == code).map(|(_, value)| value)
    }
}

impl<'a> Iterator for Suboptions<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while self.padded && self.rest.first() == Some(&0) {
            self.rest = &self.rest[1..];
        }
        let (&code, rest) = self.rest.split_first()?;
        if self.padded && code == 255 {
            return None;
        }
        let (&length, rest) = rest.split_first()?;
        let (value, rest) = rest.split_at_checked(usize::from(length))?;
        self.rest = rest;
        Some((code, value))
    }
}

/// Appends one sub-option to `data`; a value over 255 bytes does not fit the form and is left out.
pub(crate) fn push(data: &mut Vec<u8>, code: u8, value: &[u8]) {
    if let Ok(length) = u8::try_from(value.len()) {
        data.extend([code, length]);
        data.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_and_the_end_belong_to_option_43_only() {
        let data = [0, 6, 1, 8, 255, 9, 1, 1];
        assert_eq!(Suboptions::padded(&data).collect::<Vec<_>>(), [(6, &[8][..])]);
        let data = [0, 1, 7, 255, 1, 9];
        assert_eq!(Suboptions::plain(&data).collect::<Vec<_>>(), [(0, &[7][..]), (255, &[9][..])]);
    }

    #[test]
    fn a_length_beyond_the_end_ends_the_list() {
        assert_eq!(Suboptions::plain(&[1, 1, 5, 2, 200, 1]).count(), 1);
        assert_eq!(Suboptions::padded(&[6]).count(), 0);
        assert_eq!(Suboptions::padded(&[]).find(6), None);
    }

    #[test]
    fn what_is_pushed_is_found() {
        let mut data = Vec::new();
        push(&mut data, 6, &[8]);
        push(&mut data, 9, &[0; 300]);
        push(&mut data, 10, b"");
        assert_eq!(data, [6, 1, 8, 10, 0]);
        assert_eq!(Suboptions::padded(&data).find(6), Some(&[8][..]));
    }
}
