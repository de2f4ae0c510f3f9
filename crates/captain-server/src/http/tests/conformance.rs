//! HTTP as firmware, controllers and proxies speak it: one table of requests, each with the rule it comes from.

use super::*;
use crate::testing::Answer;

const BIG: &str = INITRAMFS_PATH;
const OLD_BINARY: &str = "smee before it became part of Tinkerbell served loaders below /ipxe/";
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
    let (folder, settings) = settings(machines, UnknownMachines::Boot);
    put(&folder.path().join("osie/default/initramfs-x86_64"), &big());
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
const ALL: &str = "RFC 9110 14.2: a range that is none is ignored";

#[tokio::test]
async fn single_ranges() {
    let part = |range, content| vec![Has("Content-Range", content), Bytes(range)];
    let whole = || vec![Lacks("Content-Range"), Bytes(0..1000), Has("Accept-Ranges", "bytes")];
    let none = || vec![Has("Content-Range", "bytes */1000"), Empty];
    check(vec![
        ("RFC 9110 14.1.2", GET_BIG, "Range: bytes=0-0\r\n", 206, part(0..1, "bytes 0-0/1000")),
        ("RFC 9110 14.1.2", GET_BIG, "Range: bytes=0-499\r\n", 206, part(0..500, "bytes 0-499/1000")),
        ("RFC 9110 14.1.2", GET_BIG, "Range: bytes=500-999\r\n", 206, part(500..1000, "bytes 500-999/1000")),
        (
            "RFC 9110 14.1.2, suffix",
            GET_BIG,
            "Range: bytes=-500\r\n",
            206,
            part(500..1000, "bytes 500-999/1000"),
        ),
        ("RFC 9110 14.1.2, open", GET_BIG, "Range: bytes=9-\r\n", 206, part(9..1000, "bytes 9-999/1000")),
        (
            "RFC 9110 14.1.2, suffix",
            GET_BIG,
            "Range: bytes=-1\r\n",
            206,
            part(999..1000, "bytes 999-999/1000"),
        ),
        (
            "RFC 9110 14.1.2, beyond the end",
            GET_BIG,
            "Range: bytes=0-1999\r\n",
            206,
            part(0..1000, "bytes 0-999/1000"),
        ),
        (
            "RFC 9110 14.1.2, longer suffix",
            GET_BIG,
            "Range: bytes=-5000\r\n",
            206,
            part(0..1000, "bytes 0-999/1000"),
        ),
        (
            "RFC 9110 14.1.2, last byte",
            GET_BIG,
            "Range: bytes=999-999\r\n",
            206,
            part(999..1000, "bytes 999-999/1000"),
        ),
        (
            "RFC 9110 14.1, units have no case",
            GET_BIG,
            "Range: BYTES=0-1\r\n",
            206,
            part(0..2, "bytes 0-1/1000"),
        ),
        ("RFC 9110 5.6.3, spaces", GET_BIG, "Range: bytes= 0-1 \r\n", 206, part(0..2, "bytes 0-1/1000")),
        (
            "largest number",
            GET_BIG,
            "Range: bytes=0-18446744073709551615\r\n",
            206,
            part(0..1000, "bytes 0-999/1000"),
        ),
        ("RFC 9110 15.5.17", GET_BIG, "Range: bytes=1000-\r\n", 416, none()),
        ("RFC 9110 15.5.17", GET_BIG, "Range: bytes=1000-2000\r\n", 416, none()),
        ("RFC 9110 14.1.2, empty suffix", GET_BIG, "Range: bytes=-0\r\n", 416, none()),
        (ALL, GET_BIG, "Range: bytes=5-4\r\n", 200, whole()),
        (ALL, GET_BIG, "Range: bytes=abc\r\n", 200, whole()),
        (ALL, GET_BIG, "Range: bytes=1.5-2\r\n", 200, whole()),
        (ALL, GET_BIG, "Range: bytes=+1-2\r\n", 200, whole()),
        (ALL, GET_BIG, "Range: bytes=-\r\n", 200, whole()),
        (ALL, GET_BIG, "Range: bytes=\r\n", 200, whole()),
        (ALL, GET_BIG, "Range: bytes\r\n", 200, whole()),
        (ALL, GET_BIG, "Range: items=0-5\r\n", 200, whole()),
        (ALL, GET_BIG, "Range: bytes=0-1,x-\r\n", 200, whole()),
        (ALL, GET_BIG, "Range: bytes=99999999999999999999-\r\n", 200, whole()),
        (
            "RFC 9110 5.3, two lines are one list",
            GET_BIG,
            "Range: bytes=0-1\r\nRange: bytes=5-6\r\n",
            200,
            whole(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn several_ranges() {
    let one = |range, content| vec![Has("Content-Range", content), Bytes(range)];
    check(vec![
        (
            "RFC 9110 15.3.7.2, overlaps are one",
            GET_BIG,
            "Range: bytes=0-9,5-19\r\n",
            206,
            one(0..20, "bytes 0-19/1000"),
        ),
        (
            "RFC 9110 15.3.7.2, small gaps",
            GET_BIG,
            "Range: bytes=0-9,20-29\r\n",
            206,
            one(0..30, "bytes 0-29/1000"),
        ),
        (
            "RFC 9110 14.2, one that cannot be",
            GET_BIG,
            "Range: bytes=0-9,2000-\r\n",
            206,
            one(0..10, "bytes 0-9/1000"),
        ),
        (
            "RFC 9110 5.6.1.2, empty elements",
            GET_BIG,
            "Range: bytes=,0-9,,\r\n",
            206,
            one(0..10, "bytes 0-9/1000"),
        ),
        ("RFC 9110 15.5.17, none that can be", GET_BIG, "Range: bytes=2000-,3000-\r\n", 416, vec![Empty]),
        (
            "RFC 9110 14.2, more than 16 (CVE-2011-3192)",
            GET_BIG,
            "Range: bytes=0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0,0-0\r\n",
            200,
            vec![Bytes(0..1000)],
        ),
        (
            "CVE-2011-3192: no more bytes than the file has",
            GET_BIG,
            "Range: bytes=0-,1-,2-,3-,4-,5-,6-,7-,8-,9-,10-,11-\r\n",
            206,
            one(0..1000, "bytes 0-999/1000"),
        ),
    ])
    .await;
}

#[tokio::test]
async fn parts_that_do_not_touch_come_as_multipart_in_the_order_asked_for() {
    let daemon = house();
    for (range, parts) in [("bytes=0-4,-5", [0..5, 995..1000]), ("bytes=500-999,0-0", [500..1000, 0..1])] {
        let answer = daemon.ask("GET", BIG, &format!("Range: {range}\r\n"), "").await;
        assert_eq!((answer.status, answer.header("Content-Range")), (206, None), "RFC 9110 15.3.7.2");
        sound(&answer, "GET", range);
        let media = answer.header("Content-Type").unwrap();
        let boundary = media.strip_prefix("multipart/byteranges; boundary=").unwrap();
        let mut expected = Vec::new();
        for (number, part) in parts.into_iter().enumerate() {
            let line = if number == 0 { "" } else { "\r\n" };
            let (first, last) = (part.start, part.end - 1);
            expected.extend(format!("{line}--{boundary}\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes {first}-{last}/1000\r\n\r\n").bytes());
            expected.extend(&big()[part]);
        }
        expected.extend(format!("\r\n--{boundary}--\r\n").bytes());
        assert_eq!(answer.body, expected, "{range}");
    }
}

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

#[tokio::test]
async fn loaders_and_their_paths() {
    let loader = || vec![Body(LOADER), Has("Content-Type", "application/efi"), Has("Accept-Ranges", "bytes")];
    let missing = || vec![Text("there is no boot loader")];
    check(vec![
        ("UEFI 2.10 24.7, media type", "GET /ipxe/binary/snponly.efi", "", 200, loader()),
        (
            "FIRMWARE, no other media type for BIOS",
            "GET /ipxe/binary/undionly.kpxe",
            "",
            200,
            vec![Has("Content-Type", "application/octet-stream")],
        ),
        (SMEE, "GET /ipxe/binary/52:54:00:00:00:01/snponly.efi", "", 200, loader()),
        ("INTERFACE, MAC notations", "GET /ipxe/binary/52-54-00-00-00-01/snponly.efi", "", 200, loader()),
        ("INTERFACE, MAC notations", "GET /ipxe/binary/525400000001/snponly.efi", "", 200, loader()),
        (
            "RFC 3986 2.1, escapes",
            "GET /ipxe/binary/52%3A54%3a00%3A00:00:01/snponly%2Eefi",
            "",
            200,
            loader(),
        ),
        ("firmware joins URLs carelessly", "GET //ipxe//binary/snponly.efi", "", 200, loader()),
        (
            "TINKERBELL 1.10, traceparent",
            "GET /ipxe/binary/snponly.efi-00-23b1e307bb35484f535a1f772c06910e-d887dc3912240434-01",
            "",
            200,
            loader(),
        ),
        (OLD_BINARY, "GET /ipxe/snponly.efi", "", 200, loader()),
        (OLD_BINARY, "GET /ipxe/52:54:00:00:00:01/snponly.efi", "", 200, loader()),
        ("RFC 3986 3.4, a query", "GET /ipxe/binary/snponly.efi?x=1", "", 200, loader()),
        (
            "RFC 9112 3.2.2, absolute form",
            "GET http://boot.example/ipxe/binary/snponly.efi",
            "",
            200,
            loader(),
        ),
        ("INTERFACE", "GET /ipxe/binary/nosuch.efi", "", 404, missing()),
        ("no way out of the folder", "GET /ipxe/binary/..%2f..%2fetc%2fpasswd", "", 404, missing()),
        ("no way out of the folder", "GET /ipxe/binary/%2e%2e", "", 404, missing()),
        ("no NUL", "GET /ipxe/binary/snponly.efi%00.txt", "", 404, missing()),
        ("INTERFACE", "GET /ipxe/binary/nonsense/snponly.efi", "", 400, vec![Text("nonsense")]),
        (
            "issue 3, netboot = false",
            "GET /ipxe/binary/52:54:00:00:00:02/snponly.efi",
            "",
            403,
            vec![Text("netboot is switched off")],
        ),
        (
            "FIRMWARE 26, poweroff needs iPXE",
            "GET /ipxe/binary/52:54:00:00:00:03/snponly.efi",
            "",
            200,
            loader(),
        ),
        ("INTERFACE", "GET /osie/nosuch/vmlinuz-x86_64", "", 404, vec![Text("is not here")]),
        ("INTERFACE", "GET /osie/default/nosuch", "", 404, vec![Text("is not here")]),
        (
            "no way out of the folder",
            "GET /osie/default/..%2f..%2floaders%2fsnponly.efi",
            "",
            404,
            vec![Text("is not here")],
        ),
        ("RFC 9110 15.5.5", "GET /nothing/here", "", 404, vec![Text("there is nothing at /nothing/here")]),
    ])
    .await;
}

#[tokio::test]
async fn scripts_and_their_paths() {
    let script = || {
        vec![
            Text("#!ipxe"),
            Text("hw_addr=52:54:00:00:00:01"),
            Has("Cache-Control", "no-store"),
            Has("Content-Type", "text/plain; charset=utf-8"),
        ]
    };
    let discover = || vec![Text("#!ipxe"), Text("/ipxe/script/${id}/auto.ipxe")];
    let config = || vec![Text("KERNEL /osie/default/vmlinuz-x86_64"), Text("hw_addr=52:54:00:00:00:01")];
    check(vec![
        ("INTERFACE, unknown address", "GET /auto.ipxe", "", 200, discover()),
        ("INTERFACE, unknown address", "GET /ipxe/script/auto.ipxe", "", 200, discover()),
        (OLD_BINARY, "GET /ipxe/auto.ipxe", "", 200, discover()),
        (
            "issue 3, a machine that is switched off",
            "GET /ipxe/script/52:54:00:00:00:03/auto.ipxe",
            "",
            200,
            vec![Text("\npoweroff")],
        ),
        (
            "FIRMWARE 26, exit 1",
            "GET /ipxe/script/52:54:00:00:00:02/auto.ipxe",
            "",
            200,
            vec![Text("\nexit 1")],
        ),
        (SMEE, "GET /ipxe/script/52:54:00:00:00:01/auto.ipxe", "", 200, script()),
        (SMEE, "GET /ipxe/script/52-54-00-00-00-01/auto.ipxe", "", 200, script()),
        (
            "RFC 3986 2.1, escapes",
            "GET /ipxe/script/52%3A54%3A00%3A00%3A00%3A01/auto.ipxe",
            "",
            200,
            script(),
        ),
        ("smee before it became part of Tinkerbell", "GET /52:54:00:00:00:01/auto.ipxe", "", 200, script()),
        ("INTERFACE, by address", "GET /auto.ipxe", "", 200, script()),
        ("iPXE's ${buildarch}", "GET /auto.ipxe?arch=arm64", "", 200, vec![Text("vmlinuz-aarch64")]),
        (SMEE, "GET /ipxe/script/52:54:00:00:00:01/other.ipxe", "", 404, vec![]),
        ("INTERFACE", "GET /ipxe/script/nonsense/auto.ipxe", "", 400, vec![Text("nonsense")]),
        ("TINKERBELL 1.10, U-Boot over HTTP", "GET /pxelinux.cfg/01-52-54-00-00-00-01", "", 200, config()),
        (
            "TINKERBELL 1.10, U-Boot over HTTP",
            "GET /tftp/pxelinux.cfg/01-52-54-00-00-00-01",
            "",
            200,
            config(),
        ),
        (
            "issue 3, netboot = false",
            "GET /pxelinux.cfg/01-52-54-00-00-00-02",
            "",
            403,
            vec![Text("netboot is switched off")],
        ),
        ("PXELINUX asks for other names too", "GET /pxelinux.cfg/default", "", 404, vec![]),
        ("TINKERBELL 1.10", "GET /healthcheck", "", 200, vec![Text("ok")]),
    ])
    .await;
}

#[tokio::test]
async fn events_show_paths_as_people_read_them() {
    let daemon = house();
    daemon.get("/ipxe/binary/52%3A54%3A00%3A00%3A00%3A01/snponly.efi").await;
    daemon.get("/ipxe/script/52%3A54%3A00%3A00%3A00%3A01/auto.ipxe").await;
    let events = daemon.get("/api/v1/events?follow=false").await;
    assert!(events.text().contains("/ipxe/binary/52:54:00:00:00:01/snponly.efi"), "{}", events.text());
    assert!(
        events.text().contains("/ipxe/script/52:54:00:00:00:01/auto.ipxe") && !events.text().contains("%3A")
    );
}
