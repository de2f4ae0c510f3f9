//! Paths as people and events read them, and as they go into URLs.

use std::fmt::Write;

/// `path` with its `%XX` replaced by what they stand for, but for control characters: what is shown stays one line.
pub(crate) fn readable(path: &str) -> String {
    let mut rest = path.as_bytes();
    let mut bytes = Vec::with_capacity(rest.len());
    while let [first, tail @ ..] = rest {
        match escaped(rest) {
            Some(byte) if !byte.is_ascii_control() => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            Some(_) | None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    // Bytes that are no UTF-8 stay as they were asked for.
    String::from_utf8(bytes).map_or_else(|_| path.to_owned(), |text| one_line(path, text))
}

/// U+0080 to U+009F are control characters too, of two bytes each.
fn one_line(path: &str, text: String) -> String {
    if text.chars().any(char::is_control) { path.to_owned() } else { text }
}

/// `path`, which has its escapes read, as it stands below another URL (RFC 3986 section 3.3). `None` where it would lead
/// elsewhere from there.
pub(crate) fn relative(path: &str) -> Option<String> {
    let leads_away = |part: &str| matches!(part, "" | "." | "..");
    if path.split('/').any(leads_away) {
        return None;
    }
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    Some(text)
}

fn escaped(text: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(high)? << 4 | digit(low)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_below_another_url_stays_below_it_and_stays_a_path() {
        for (path, below) in [
            ("vmlinuz-x86_64", Some("vmlinuz-x86_64")),
            ("repo/main/a+b~1.apk", Some("repo/main/a+b~1.apk")),
            ("x?q#f %41\r\n", Some("x%3Fq%23f%20%2541%0D%0A")),
            ("\u{e4}", Some("%C3%A4")),
            ("..a/b..", Some("..a/b..")),
            ("../x", None),
            ("a/../../x", None),
            ("./x", None),
            ("a//x", None),
            ("/x", None),
            ("", None),
        ] {
            assert_eq!(relative(path).as_deref(), below, "{path}");
        }
    }

    #[test]
    fn escapes_are_read_and_what_would_break_a_line_stays_escaped() {
        for (path, shown) in [
            ("/ipxe/script/52%3A54%3a00/auto.ipxe", "/ipxe/script/52:54:00/auto.ipxe"),
            ("/a%20b%C3%A4", "/a bä"),
            ("/%0d%0aX%00", "/%0d%0aX%00"),
            ("/%C2%85", "/%C2%85"),
            ("/%ff", "/%ff"),
            ("/%", "/%"),
            ("/%4", "/%4"),
            ("/%zz%41", "/%zzA"),
            ("/%2541", "/%41"),
        ] {
            assert_eq!(readable(path), shown);
        }
    }
}
