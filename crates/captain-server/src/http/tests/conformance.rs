//! HTTP as firmware, controllers and proxies speak it: one table of requests, each with the rule it comes from.

use super::*;
use crate::testing::Answer;

mod paths;
mod ranges;

const BIG: &str = INITRAMFS_PATH;
const SMEE: &str = "TINKERBELL 1.10, routes of smee";

/// What an answer must have beside its status.
enum Want {
    /// A header with this value.
    Has(&'static str, &'static str),
    /// No such header.
    Lacks(&'static str),
    /// Exactly these bytes of the file.
    Bytes(std::ops::Range<usize>),
    /// Exactly this.
    Body(&'static [u8]),
    /// This text within.
    Text(&'static str),
    /// Nothing.
    Empty,
}
use Want::{Body, Bytes, Empty, Has, Lacks, Text};

/// Rule, method and path, further headers, status, and what else.
type Case = (&'static str, &'static str, &'static str, u16, Vec<Want>);

fn big() -> Vec<u8> {
    (0..1000_u32).map(|n| (n % 251) as u8).collect()
}

/// The machine of the tests, one that must not netboot, one that is switched off, one that is not listed.
fn house() -> Daemon {
    let other = |mac: &str, way| {
        let mut machine = Machine::new(mac.parse().unwrap());
        machine.netboot = false;
        machine.local_boot = Some(way);
        machine
    };
    let machines = vec![
        machine(),
        other("52:54:00:00:00:02", LocalBoot::Exit),
        other("52:54:00:00:00:03", LocalBoot::Poweroff),
    ];
    let (folder, mut settings) = settings(machines, UnknownMachines::Boot);
    put(&folder.path().join("osie/default/initramfs-x86_64"), &big());
    put(&folder.path().join("extra/pxelinux.cfg/default"), &big());
    settings.tftp.as_mut().unwrap().root = Some(folder.path().join("extra"));
    Daemon::with(folder, settings)
}

async fn check(cases: Vec<Case>) {
    let daemon = house();
    let etag = daemon.get(BIG).await.header("Etag").unwrap().to_owned();
    for (rule, line, headers, status, wants) in cases {
        let (method, path) = line.split_once(' ').unwrap();
        let answer = daemon.ask(method, path, &headers.replace("ETAG", &etag), "").await;
        let what = format!("{line} {headers:?} ({rule}): {:?}", answer.headers);
        assert_eq!(answer.status, status, "{what}");
        sound(&answer, method, &what);
        wants.iter().for_each(|want| holds(want, &answer, &what));
    }
}

/// What every answer has, whatever was asked.
fn sound(answer: &Answer, method: &str, what: &str) {
    assert!(answer.headers.values().all(|value| !value.is_empty()), "edk2#7443: {what}");
    assert_eq!(answer.header("Transfer-Encoding"), None, "edk2#9920, no chunks: {what}");
    assert_eq!(answer.header("Location"), None, "EDK2 follows no redirect: {what}");
    assert_eq!(answer.header("Content-Encoding"), None, "{what}");
    if method != "HEAD" && answer.status != 304 {
        let length = answer.body.len().to_string();
        assert_eq!(answer.header("Content-Length"), Some(length.as_str()), "{what}");
    }
}

fn holds(want: &Want, answer: &Answer, what: &str) {
    match want {
        Has(name, value) => assert_eq!(answer.header(name), Some(*value), "{name}: {what}"),
        Lacks(name) => assert_eq!(answer.header(name), None, "{name}: {what}"),
        Bytes(range) => assert_eq!(answer.body, big()[range.clone()], "{what}"),
        Body(bytes) => assert_eq!(answer.body, *bytes, "{what}"),
        Text(part) => assert!(answer.text().contains(part), "{part}: {what}\n{}", answer.text()),
        Empty => assert!(answer.body.is_empty(), "{what}"),
    }
}

const GET_BIG: &str = "GET /osie/default/initramfs-x86_64";
const HEAD_BIG: &str = "HEAD /osie/default/initramfs-x86_64";

#[tokio::test]
async fn conditions() {
    let range = "RFC 9110 13.1.5";
    let whole = || vec![Lacks("Content-Range"), Bytes(0..1000)];
    let unchanged = || vec![Empty, Lacks("Content-Type")];
    check(vec![
        (range, GET_BIG, "Range: bytes=1-2\r\nIf-Range: ETAG\r\n", 206, vec![Bytes(1..3)]),
        (range, GET_BIG, "Range: bytes=1-2\r\nIf-Range: \"old\"\r\n", 200, whole()),
        ("RFC 9110 13.1.5, strong only", GET_BIG, "Range: bytes=1-2\r\nIf-Range: W/ETAG\r\n", 200, whole()),
        (
            "RFC 9110 13.1.5, no date here",
            GET_BIG,
            "Range: bytes=1-2\r\nIf-Range: Sat, 21 Nov 2026 08:00:00 GMT\r\n",
            200,
            whole(),
        ),
        ("RFC 9110 13.1.5, no range", GET_BIG, "If-Range: ETAG\r\n", 200, whole()),
        ("RFC 9110 13.1.2", GET_BIG, "If-None-Match: ETAG\r\n", 304, unchanged()),
        ("RFC 9110 13.1.2, weakly", GET_BIG, "If-None-Match: W/ETAG\r\n", 304, unchanged()),
        ("RFC 9110 13.1.2, any", GET_BIG, "If-None-Match: *\r\n", 304, unchanged()),
        ("RFC 9110 13.1.2, a list", GET_BIG, "If-None-Match: \"a\", ETAG\r\n", 304, unchanged()),
        (
            "RFC 9110 5.3, in two lines",
            GET_BIG,
            "If-None-Match: \"a\"\r\nIf-None-Match: ETAG\r\n",
            304,
            unchanged(),
        ),
        ("RFC 9110 13.1.2", GET_BIG, "If-None-Match: \"a\"\r\n", 200, whole()),
        (
            "RFC 9110 13.2.2, before the range",
            GET_BIG,
            "If-None-Match: ETAG\r\nRange: bytes=0-1\r\n",
            304,
            unchanged(),
        ),
        ("RFC 9110 13.1.1", GET_BIG, "If-Match: ETAG\r\n", 200, whole()),
        ("RFC 9110 13.1.1", GET_BIG, "If-Match: *\r\n", 200, whole()),
        ("RFC 9110 13.1.1", GET_BIG, "If-Match: \"a\"\r\n", 412, vec![Empty]),
        ("RFC 9110 13.1.1, strongly", GET_BIG, "If-Match: W/ETAG\r\n", 412, vec![Empty]),
        (
            "RFC 9110 13.2.2, before the range",
            GET_BIG,
            "If-Match: \"a\"\r\nRange: bytes=0-1\r\n",
            412,
            vec![Empty],
        ),
        ("RFC 9110 13.1.2, HEAD too", HEAD_BIG, "If-None-Match: ETAG\r\n", 304, unchanged()),
        ("RFC 9110 12.5.3, never compressed", GET_BIG, "Accept-Encoding: gzip, br, zstd\r\n", 200, whole()),
    ])
    .await;
}

#[tokio::test]
async fn methods() {
    let length = || vec![Has("Content-Length", "1000"), Empty, Lacks("Content-Range")];
    check(vec![
        ("RFC 9110 9.3.2, edk2#9920", HEAD_BIG, "", 200, length()),
        ("RFC 9110 14.2, ranges are GET's", HEAD_BIG, "Range: bytes=0-1\r\n", 200, length()),
        ("RFC 9110 14.2, ranges are GET's", HEAD_BIG, "Range: bytes=5000-\r\n", 200, length()),
        ("RFC 9110 9.3.2", "HEAD /ipxe/binary/nosuch.efi", "", 404, vec![Empty]),
        ("RFC 9110 9.3.2", "HEAD /ipxe/script/52:54:00:00:00:01/auto.ipxe", "", 200, vec![Empty]),
        (SMEE, "POST /ipxe/binary/snponly.efi", "", 405, vec![Has("Allow", "GET,HEAD")]),
        ("RFC 9110 15.5.6", "PUT /osie/default/initramfs-x86_64", "", 405, vec![Has("Allow", "GET,HEAD")]),
        (
            "RFC 9110 15.5.6",
            "DELETE /ipxe/script/52:54:00:00:00:01/auto.ipxe",
            "",
            405,
            vec![Has("Allow", "GET,HEAD")],
        ),
    ])
    .await;
}
