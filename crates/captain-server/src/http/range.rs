//! Which bytes a request asks for (RFC 9110 sections 13 and 14): pure reading of headers.

use axum::http::{HeaderMap, HeaderName, header};

/// The part of a file that goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it: 200.
    Whole,
    /// From the first to before the second offset: 206.
    Part(u64, u64),
    /// None of it: 416.
    Unsatisfiable,
    /// The client has it: 304.
    NotModified,
    /// The client wanted another one: 412.
    Changed,
}

/// Chooses by the conditions and the range in `headers` for a file of `size` bytes with this strong `etag`.
pub(crate) fn select(headers: &HeaderMap, etag: &str, size: u64) -> Selection {
    if text(headers, header::IF_MATCH).is_some_and(|list| !lists(list, etag)) {
        return Selection::Changed;
    }
    // If-None-Match compares weakly: `W/"x"` is `"x"` (RFC 9110 section 13.1.2).
    if text(headers, header::IF_NONE_MATCH).is_some_and(|list| lists(&list.replace("W/", ""), etag)) {
        return Selection::NotModified;
    }
    // Anything but our strong tag, a date too, means that the client cannot be sure: whole file (13.1.5).
    if text(headers, header::IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
        return Selection::Whole;
    }
    text(headers, header::RANGE).and_then(|range| single(range, size)).unwrap_or(Selection::Whole)
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn lists(list: &str, etag: &str) -> bool {
    list.split(',').any(|one| one.trim() == etag || one.trim() == "*")
}

/// One `bytes=` range. A malformed one, another unit, or several are ignored, as section 14.2 allows.
fn single(range: &str, size: u64) -> Option<Selection> {
    let (unit, spec) = range.split_once('=')?;
    let (first, last) = spec.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || spec.contains(',') {
        return None;
    }
    let (start, end) = match (number(first)?, number(last)?) {
        (None, None) => return None,
        (None, Some(suffix)) => (size.saturating_sub(suffix), if suffix == 0 { 0 } else { size }),
        (Some(start), None) => (start, size),
        (Some(start), Some(last)) if last < start => return None,
        (Some(start), Some(last)) => (start, last.saturating_add(1).min(size)),
    };
    Some(if start < end { Selection::Part(start, end) } else { Selection::Unsatisfiable })
}

/// Outer `None`: not a number. Inner `None`: nothing there.
#[expect(clippy::option_option, reason = "absent and malformed are two things here")]
fn number(text: &str) -> Option<Option<u64>> {
    match text.trim() {
        "" => Some(None),
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok().map(Some),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(headers: &[(HeaderName, &str)]) -> Selection {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        select(&headers, "\"tag\"", 1000)
    }

    #[test]
    fn one_range_is_honoured_and_nonsense_is_ignored() {
        for (range, selection) in [
            ("bytes=0-0", Selection::Part(0, 1)),
            ("bytes=0-", Selection::Part(0, 1000)),
            ("bytes=990-", Selection::Part(990, 1000)),
            ("bytes=-10", Selection::Part(990, 1000)),
            ("bytes=-5000", Selection::Part(0, 1000)),
            ("bytes=500-5000", Selection::Part(500, 1000)),
            ("BYTES = 1-2", Selection::Part(1, 3)),
            ("bytes=1000-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=2-1", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("bytes=+1-2", Selection::Whole),
            ("bytes=0-1,5-6", Selection::Whole),
            ("lines=0-1", Selection::Whole),
            ("bytes=99999999999999999999-", Selection::Whole),
            ("bytes=0-18446744073709551615", Selection::Part(0, 1000)),
        ] {
            assert_eq!(chosen(&[(header::RANGE, range)]), selection, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_version_gives_the_whole_file() {
        let range = (header::RANGE, "bytes=1-2");
        assert_eq!(chosen(&[range.clone(), (header::IF_RANGE, "\"tag\"")]), Selection::Part(1, 3));
        assert_eq!(chosen(&[range.clone(), (header::IF_RANGE, "\"old\"")]), Selection::Whole);
        assert_eq!(chosen(&[range.clone(), (header::IF_RANGE, "W/\"tag\"")]), Selection::Whole);
        assert_eq!(chosen(&[range, (header::IF_RANGE, "Sat, 21 Nov 2026 08:00:00 GMT")]), Selection::Whole);
    }

    #[test]
    fn conditions_come_before_ranges() {
        assert_eq!(chosen(&[(header::IF_NONE_MATCH, "\"a\", W/\"tag\"")]), Selection::NotModified);
        assert_eq!(chosen(&[(header::IF_NONE_MATCH, "\"a\"")]), Selection::Whole);
        assert_eq!(chosen(&[(header::IF_MATCH, "\"a\"")]), Selection::Changed);
        assert_eq!(chosen(&[(header::IF_MATCH, "*")]), Selection::Whole);
    }
}
