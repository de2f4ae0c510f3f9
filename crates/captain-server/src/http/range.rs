//! Which bytes a request asks for (RFC 9110 sections 13 and 14): pure reading of headers.

use axum::http::{HeaderMap, HeaderName, header};

/// Offsets, from the first to before the second.
pub(crate) type Part = std::ops::Range<u64>;

/// Ranges that one request may ask for; of one with more all are ignored (RFC 9110 section 14.2 allows it).
const MOST_RANGES: usize = 16;
/// Ranges this near to each other, bytes, go out as one: the heads of two parts are longer (section 15.3.7.2).
const GAP: u64 = 80;

/// What of a file goes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All of it: 200.
    Whole,
    /// This, one part or several that do not touch: 206.
    Parts(Vec<Part>),
    /// None of it: 416.
    Unsatisfiable,
    /// The client has it: 304.
    NotModified,
    /// The client wanted another one: 412.
    Changed,
}

/// Chooses by the conditions and the range in `headers` for a file of `size` bytes with this strong `etag`.
pub(crate) fn select(headers: &HeaderMap, etag: &str, size: u64) -> Selection {
    if list(headers, header::IF_MATCH).is_some_and(|tags| !lists(&tags, etag)) {
        return Selection::Changed;
    }
    // If-None-Match compares weakly: `W/"x"` is `"x"` (RFC 9110 section 13.1.2).
    if list(headers, header::IF_NONE_MATCH).is_some_and(|tags| lists(&tags.replace("W/", ""), etag)) {
        return Selection::NotModified;
    }
    // Anything but our strong tag, a date too, means that the client cannot be sure: whole file (13.1.5).
    if headers.get(header::IF_RANGE).is_some_and(|tag| tag.to_str().ok().map(str::trim) != Some(etag)) {
        return Selection::Whole;
    }
    let range = list(headers, header::RANGE);
    range.and_then(|range| parts(&range, size)).unwrap_or(Selection::Whole)
}

/// The header's values as one list. `None` where it is absent or no text.
fn list(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    let values: Result<Vec<&str>, _> = headers.get_all(name).iter().map(|value| value.to_str()).collect();
    values.ok().filter(|values| !values.is_empty()).map(|values| values.join(","))
}

fn lists(list: &str, etag: &str) -> bool {
    list.split(',').any(|one| one.trim() == etag || one.trim() == "*")
}

/// A list of `bytes=` ranges. A malformed one, or another unit, is ignored as a whole, as section 14.2 says.
fn parts(range: &str, size: u64) -> Option<Selection> {
    let (unit, specs) = range.split_once('=')?;
    // Empty elements of a list count for nothing (section 5.6.1.2).
    let specs: Vec<&str> = specs.split(',').map(str::trim).filter(|spec| !spec.is_empty()).collect();
    if !unit.trim().eq_ignore_ascii_case("bytes") || specs.is_empty() || specs.len() > MOST_RANGES {
        return None;
    }
    let parts: Vec<Part> = specs.into_iter().map(|spec| one(spec, size)).collect::<Option<_>>()?;
    let parts: Vec<Part> = parts.into_iter().filter(|part| part.start < part.end).collect();
    Some(if parts.is_empty() { Selection::Unsatisfiable } else { Selection::Parts(joined(parts)) })
}

/// One range; an empty one where the file does not reach it, `None` where it is none.
fn one(spec: &str, size: u64) -> Option<Part> {
    let (first, last) = spec.split_once('-')?;
    Some(match (number(first)?, number(last)?) {
        (None, None) => return None,
        (None, Some(suffix)) => size.saturating_sub(suffix)..size,
        (Some(start), None) => start..size,
        (Some(start), Some(last)) if last < start => return None,
        (Some(start), Some(last)) => start..last.saturating_add(1).min(size),
    })
}

/// The parts in the order asked for, those that touch or nearly do as one.
fn joined(asked: Vec<Part>) -> Vec<Part> {
    let near = |a: &Part, b: &Part| a.start <= b.end + GAP && b.start <= a.end + GAP;
    let mut all: Vec<Part> = Vec::new();
    for mut part in asked {
        let mut place = all.len();
        while let Some(at) = all.iter().position(|other| near(other, &part)) {
            let other = all.remove(at);
            part = part.start.min(other.start)..part.end.max(other.end);
            place = place.min(at);
        }
        all.insert(place.min(all.len()), part);
    }
    all
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

    #[expect(clippy::single_range_in_vec_init, reason = "a list of ranges that has one is what is meant")]
    fn part(start: u64, end: u64) -> Selection {
        Selection::Parts(vec![start..end])
    }

    #[test]
    fn one_range_is_honoured_and_nonsense_is_ignored() {
        for (range, selection) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-", part(0, 1000)),
            ("bytes=990-", part(990, 1000)),
            ("bytes=-10", part(990, 1000)),
            ("bytes=-5000", part(0, 1000)),
            ("bytes=500-5000", part(500, 1000)),
            ("BYTES = 1-2", part(1, 3)),
            ("bytes=1000-", Selection::Unsatisfiable),
            ("bytes=-0", Selection::Unsatisfiable),
            ("bytes=2-1", Selection::Whole),
            ("bytes=-", Selection::Whole),
            ("bytes=a-b", Selection::Whole),
            ("bytes=+1-2", Selection::Whole),
            ("bytes=0-1,x", Selection::Whole),
            ("bytes=,", Selection::Whole),
            ("bytes=,1-2, ,", part(1, 3)),
            ("lines=0-1", Selection::Whole),
            ("bytes=99999999999999999999-", Selection::Whole),
            ("bytes=0-18446744073709551615", part(0, 1000)),
        ] {
            assert_eq!(chosen(&[(header::RANGE, range)]), selection, "{range}");
        }
    }

    #[test]
    fn several_ranges_come_in_the_order_asked_for_and_neighbours_as_one() {
        let parts = |parts: &[(u64, u64)]| Selection::Parts(parts.iter().map(|(a, b)| *a..*b).collect());
        let many = |count: usize| format!("bytes={}", vec!["0-0"; count].join(","));
        for (range, selection) in [
            ("bytes=0-9,500-509", parts(&[(0, 10), (500, 510)])),
            ("bytes=500-509,0-9", parts(&[(500, 510), (0, 10)])),
            ("bytes=0-9,-10", parts(&[(0, 10), (990, 1000)])),
            ("bytes=0-9,5-19", parts(&[(0, 20)])),
            ("bytes=0-9,10-19", parts(&[(0, 20)])),
            ("bytes=0-9,90-99", parts(&[(0, 100)])),
            ("bytes=0-9,91-99", parts(&[(0, 10), (91, 100)])),
            ("bytes=0-9,500-509,200-209,15-495", parts(&[(0, 510)])),
            ("bytes=0-9,5000-", parts(&[(0, 10)])),
            ("bytes=2000-,5000-", Selection::Unsatisfiable),
            (&many(MOST_RANGES), parts(&[(0, 1)])),
            (&many(MOST_RANGES + 1), Selection::Whole),
        ] {
            assert_eq!(chosen(&[(header::RANGE, range)]), selection, "{range}");
        }
    }

    #[test]
    fn a_range_of_another_version_gives_the_whole_file() {
        let range = (header::RANGE, "bytes=1-2");
        assert_eq!(chosen(&[range.clone(), (header::IF_RANGE, "\"tag\"")]), part(1, 3));
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
