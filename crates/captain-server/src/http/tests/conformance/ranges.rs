//! Ranges (RFC 9110 section 14).

use super::*;

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
