//! Reading one syslog datagram: whatever comes, something readable comes out.

use serde::Serialize;

/// What a datagram says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Severity by name (RFC 5424 table 2).
    pub severity: &'static str,
    /// The program, where it named itself.
    pub program: Option<String>,
    /// The text, control characters replaced.
    pub text: String,
}

const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads RFC 5424, RFC 3164 and what only resembles them (iPXE sends no time, BusyBox no host).
pub(super) fn parse(datagram: &[u8]) -> Message {
    let text = String::from_utf8_lossy(datagram);
    let (severity, rest) = priority(&text);
    let (program, text) = match rest.strip_prefix("1 ") {
        Some(modern) => rfc5424(modern).unwrap_or((None, rest)),
        None => rfc3164(rest),
    };
    Message { severity, program: program.map(clean), text: clean(text) }
}

/// `<PRI>`: facility * 8 + severity; without one it is a notice (RFC 3164 section 4.3.3).
fn priority(text: &str) -> (&'static str, &str) {
    let found = text.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    match found.and_then(|(number, rest)| Some((number.parse::<u8>().ok()?, rest))) {
        Some((number, rest)) => (SEVERITIES[usize::from(number % 8)], rest),
        None => (SEVERITIES[5], text),
    }
}

/// `TIMESTAMP HOST APP PROCID MSGID STRUCTURED-DATA [MSG]` (RFC 5424 section 6).
fn rfc5424(text: &str) -> Option<(Option<&str>, &str)> {
    let mut fields = text.splitn(6, ' ');
    let program = fields.nth(2)?;
    let rest = fields.nth(2)?;
    let message = after_structured_data(rest);
    Some(((program != "-").then_some(program), message.trim_start_matches('\u{feff}')))
}

fn after_structured_data(text: &str) -> &str {
    if let Some(rest) = text.strip_prefix('-') {
        return rest.trim_start();
    }
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_u32);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '[' if !quoted => depth += 1,
            ']' if !quoted => depth = depth.saturating_sub(1),
            ' ' if depth == 0 => return text[at..].trim_start(),
            _ => {}
        }
    }
    ""
}

/// `[Mmm dd hh:mm:ss [host]] tag[pid]: text`, every part of which may be missing.
fn rfc3164(text: &str) -> (Option<&str>, &str) {
    let rest = after_time(text);
    match rest.split_once(": ") {
        Some((head, message)) if head.split(' ').count() <= 2 => {
            let tag = head.rsplit(' ').next().unwrap_or(head);
            (Some(tag.split_once('[').map_or(tag, |(name, _)| name)), message)
        }
        _ => (None, rest),
    }
}

fn after_time(text: &str) -> &str {
    let dated = MONTHS.iter().any(|month| text.starts_with(month)) && text.is_char_boundary(16);
    if dated && text.as_bytes().get(15) == Some(&b' ') { &text[16..] } else { text }
}

fn clean(text: &str) -> String {
    text.trim_end().chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_read() {
        for (datagram, severity, program, text) in [
            ("<34>Oct 11 22:14:15 mymachine su: 'su root' failed", "crit", Some("su"), "'su root' failed"),
            ("<30>Nov 21 08:00:00 containerd[123]: ready", "info", Some("containerd"), "ready"),
            (
                "<165>1 2003-10-11T22:14:15.003Z host evntslog - ID47 [ex@1 iut=\"3\" e=\"a\\\" ]\"] \u{feff}An event",
                "notice",
                Some("evntslog"),
                "An event",
            ),
            ("<14>1 - - - - - - hello", "info", None, "hello"),
            ("<6>ipxe: net0: 52:54:00:00:00:01", "info", Some("ipxe"), "net0: 52:54:00:00:00:01"),
            ("no priority at all\n", "notice", None, "no priority at all"),
            ("<999>odd", "notice", None, "<999>odd"),
            ("", "notice", None, ""),
            ("<14>1 cut", "info", None, "1 cut"),
            ("<14>a\x1b[31mred", "info", None, "a [31mred"),
        ] {
            let wanted = Message { severity, program: program.map(str::to_owned), text: text.to_owned() };
            assert_eq!(parse(datagram.as_bytes()), wanted, "{datagram:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_do_not_hurt() {
        let bytes: Vec<u8> = (0..=255).collect();
        for cut in 0..bytes.len() {
            parse(&bytes[cut..]);
            parse(&[b"<14>1 a b c d e [", &bytes[cut..]].concat());
            parse(&[b"<14>Oct 11 ", &bytes[cut..]].concat());
        }
    }
}
