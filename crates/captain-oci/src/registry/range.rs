//! Byte ranges of a blob. RFC 9110 section 14.

/// What of `size` bytes is to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Span {
    /// All of them: no range, one that cannot be read, or several (which a server may ignore).
    Whole,
    /// These.
    Part { start: u64, length: u64 },
    /// None: 416.
    Nothing,
}

/// Reads a `Range` header.
pub(super) fn span(range: Option<&str>, size: u64) -> Span {
    let Some(range) = range.and_then(|range| range.trim().strip_prefix("bytes=")) else { return Span::Whole };
    let Some((first, last)) = range.split_once('-') else { return Span::Whole };
    let number =
        |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<u64>().ok()).flatten();
    match (first.trim(), last.trim()) {
        ("", suffix) => {
            number(suffix).map_or(Span::Whole, |wanted| part(size - wanted.min(size), size, size))
        }
        (first, "") => number(first).map_or(Span::Whole, |first| part(first, size, size)),
        (first, last) => match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => part(first, last.saturating_add(1), size),
            _ => Span::Whole,
        },
    }
}

fn part(start: u64, end: u64, size: u64) -> Span {
    match end.min(size).checked_sub(start) {
        None | Some(0) => Span::Nothing,
        Some(length) => Span::Part { start, length },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_of_a_single_range_is_read_and_the_rest_is_ignored() {
        let part = |start, length| Span::Part { start, length };
        for (range, want) in [
            (None, Span::Whole),
            (Some("bytes=0-0"), part(0, 1)),
            (Some("bytes=2-"), part(2, 8)),
            (Some("bytes=2-5"), part(2, 4)),
            (Some("bytes=2-99"), part(2, 8)),
            (Some("bytes=9-18446744073709551615"), part(9, 1)),
            (Some("bytes=-3"), part(7, 3)),
            (Some("bytes=-30"), part(0, 10)),
            (Some("bytes=10-"), Span::Nothing),
            (Some("bytes=-0"), Span::Nothing),
            (Some("bytes=5-2"), Span::Whole),
            (Some("bytes=0-1,3-4"), Span::Whole),
            (Some("bytes=-"), Span::Whole),
            (Some("bytes=+1-2"), Span::Whole),
            (Some("lines=1-2"), Span::Whole),
        ] {
            assert_eq!(span(range, 10), want, "{range:?}");
        }
        assert_eq!(span(Some("bytes=0-"), 0), Span::Nothing);
    }
}
