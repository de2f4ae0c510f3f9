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
        ("firmware is not stranded", "GET /auto.ipxe?arch=arm64&arch=i386", "", 200, script()),
        (
            "firmware is not stranded",
            "GET /ipxe/script/52:54:00:00:00:01/auto.ipxe?arch=a&arch=b&%=%",
            "",
            200,
            script(),
        ),
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
        ("PXELINUX asks for other names too", "GET /pxelinux.cfg/none", "", 404, vec![]),
        (
            "issue 3, netboot = false",
            "GET /pxelinux.cfg/01-52-54-00-00-00-02",
            "",
            403,
            vec![Text("netboot is switched off")],
        ),
        (
            "cobbler#3329, no way on to what installs",
            "GET /pxelinux.cfg/default",
            "",
            403,
            vec![Text("netboot is switched off")],
        ),
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

#[tokio::test]
async fn what_watches_existing_installations() {
    let text = "text/plain; version=0.0.4";
    let counters =
        || vec![Has("Content-Type", text), Text("# TYPE captaind_leases gauge\ncaptaind_leases 0\n")];
    let health =
        || vec![Has("Content-Type", "application/json"), Text("\"git_rev\":"), Text("\"uptime_seconds\":")];
    check(vec![
        (SMEE, "GET /healthcheck", "", 200, health()),
        (SMEE, "HEAD /healthcheck", "", 200, vec![Empty, Has("Content-Type", "application/json")]),
        (SMEE, "POST /healthcheck", "", 405, vec![Has("Allow", "GET,HEAD")]),
        (SMEE, "GET /smee/metrics", "", 200, counters()),
        ("INTERFACE", "GET /metrics", "", 200, counters()),
        ("INTERFACE", "GET /healthz", "", 200, vec![Body(b"ok\n")]),
        ("INTERFACE", "GET /readyz", "", 200, vec![Body(b"ready\n")]),
    ])
    .await;
    let daemon = house();
    let one = daemon.json("/healthcheck").await;
    assert_eq!(one["git_rev"], env!("CARGO_PKG_VERSION"));
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let uptime = |answer: &Value| answer["uptime_seconds"].as_u64().unwrap();
    let two = daemon.json("/healthcheck").await;
    assert!(uptime(&one) < uptime(&two) && uptime(&two) < 60, "{one} {two}");
}

/// smee serves its TFTP names by HTTP too, below this prefix (`pxe-http-path-prefix`).
const UNDER: &str = "TINKERBELL 1.10, {/tftp/}<asset>";

#[tokio::test]
async fn names_of_tftp_by_http() {
    let loader = || vec![Body(LOADER), Has("Content-Type", "application/efi"), Has("Accept-Ranges", "bytes")];
    let config = || vec![Text("KERNEL /osie/default/vmlinuz-x86_64"), Text("hw_addr=52:54:00:00:00:01")];
    let refused = || vec![Text("netboot is switched off for 52:54:00:00:00:02")];
    let missing = || vec![Text("no file")];
    check(vec![
        (UNDER, "GET /tftp/snponly.efi", "", 200, loader()),
        (UNDER, "GET /tftp/52:54:00:00:00:01/snponly.efi", "", 200, loader()),
        ("RFC 9110 9.3.2", "HEAD /tftp/snponly.efi", "", 200, vec![Empty, Has("Content-Length", "18")]),
        (
            "TINKERBELL 1.10, traceparent",
            "GET /tftp/snponly.efi-00-23b1e307bb35484f535a1f772c06910e-d887dc3912240434-01",
            "",
            200,
            loader(),
        ),
        ("issue 3, netboot = false", "GET /tftp/52:54:00:00:00:02/snponly.efi", "", 403, refused()),
        ("FIRMWARE 26, poweroff needs iPXE", "GET /tftp/52:54:00:00:00:03/snponly.efi", "", 200, loader()),
        (UNDER, "GET /tftp/pxelinux.cfg/01-52-54-00-00-00-01", "", 200, config()),
        ("RFC 9110 9.3.2", "HEAD /tftp/pxelinux.cfg/01-52-54-00-00-00-01", "", 200, vec![Empty]),
        ("issue 3, netboot = false", "GET /tftp/pxelinux.cfg/01-52-54-00-00-00-02", "", 403, refused()),
        (
            UNDER,
            "GET /tftp/grub/grub.cfg-01-52-54-00-00-00-01",
            "",
            200,
            vec![Text("hw_addr=52:54:00:00:00:01")],
        ),
        (UNDER, "GET /tftp/autoexec.ipxe", "", 200, vec![Text("#!ipxe")]),
        (UNDER, "GET /tftp/osie/default/vmlinuz-x86_64", "", 200, vec![Body(KERNEL)]),
        (
            "U-Boot joins its prefix and a whole path",
            "GET /tftp//osie/default/vmlinuz-x86_64",
            "",
            200,
            vec![Body(KERNEL)],
        ),
        (UNDER, "GET /tftp/osie/default/initramfs-x86_64", "Range: bytes=5-9\r\n", 206, vec![Bytes(5..10)]),
        (UNDER, "GET /tftp/pxelinux.cfg/default", "", 200, vec![Bytes(0..1000)]),
        (
            "RFC 9110 14.2",
            "GET /tftp/pxelinux.cfg/default",
            "Range: bytes=990-\r\n",
            206,
            vec![Bytes(990..1000)],
        ),
        (
            "RFC 9110 9.3.2",
            "HEAD /tftp/pxelinux.cfg/default",
            "",
            200,
            vec![Empty, Has("Content-Length", "1000")],
        ),
        ("the prefix may be left out", "GET /pxelinux.cfg/default", "", 200, vec![Bytes(0..1000)]),
        (UNDER, "GET /tftp/nosuch.efi", "", 404, missing()),
        ("INTERFACE", "GET /tftp/osie/nosuch/vmlinuz-x86_64", "", 404, missing()),
        ("no way out of the folder", "GET /tftp/..%2fosie%2fdefault%2fvmlinuz-x86_64", "", 404, missing()),
        (
            "no way out of the folder",
            "GET /tftp/pxelinux.cfg/../../osie/default/vmlinuz-x86_64",
            "",
            404,
            missing(),
        ),
        ("no way out of the folder", "GET /tftp/%2fetc%2fpasswd", "", 404, missing()),
        ("no NUL", "GET /tftp/snponly.efi%00.txt", "", 404, missing()),
        ("smee: PUT is refused", "PUT /tftp/snponly.efi", "", 405, vec![]),
    ])
    .await;
}

#[tokio::test]
async fn a_file_of_the_operators_has_another_tag_when_it_was_written_to() {
    let daemon = house();
    let path = "/tftp/pxelinux.cfg/default";
    let first = daemon.get(path).await.header("Etag").unwrap().to_owned();
    assert_eq!(daemon.get(path).await.header("Etag"), Some(&*first));
    let same = daemon.ask("GET", path, &format!("If-None-Match: {first}\r\n"), "").await;
    assert_eq!(same.status, 304);
    tokio::time::sleep(Duration::from_millis(20)).await;
    put(&daemon.folder.path().join("extra/pxelinux.cfg/default"), &[7; 1000]);
    assert_ne!(daemon.get(path).await.header("Etag"), Some(&*first));
}
