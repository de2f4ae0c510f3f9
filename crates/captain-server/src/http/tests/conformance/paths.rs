//! What is where, in every spelling that firmware and existing installations use.

use super::*;

const OLD_BINARY: &str = "smee before it became part of Tinkerbell served loaders below /ipxe/";

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
        ("TINKERBELL 1.10", "GET /healthcheck", "", 200, vec![Text("\"uptime_seconds\":")]),
        ("TINKERBELL 1.10", "GET /smee/metrics", "", 200, vec![Text("captaind_")]),
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
