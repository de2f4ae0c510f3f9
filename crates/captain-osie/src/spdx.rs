//! The bill of materials: SPDX 2.3 as JSON (spdx.github.io/spdx-spec/v2.3).

use captain_debian::Sha256;
use captain_model::Tool;
use serde_json::{Value, json};

use crate::calendar::Calendar;
use crate::containers::Container;
use crate::kernel_files::LocalKernel;
use crate::manifest::{Manifest, PackageRef};
use crate::tools;

/// The document for a built image. Same manifest: same document, down to its name.
pub(crate) fn document(manifest: &Manifest) -> Value {
    let outputs = manifest.outputs.iter().map(|file| {
        json!({
            "SPDXID": id("output", &file.name),
            "name": file.name,
            "packageFileName": file.name,
            "primaryPackagePurpose": "OPERATING-SYSTEM",
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "checksums": [{"algorithm": "SHA256", "checksumValue": file.sha256}],
        })
    });
    let packages = manifest.packages.iter().map(|one| package(one, &manifest.suite));
    let overlays = overlays(manifest).into_iter().chain(manifest.local_kernel.as_ref().map(kernel));
    let others = manifest.containers.iter().map(container).chain(manifest.tools.iter().map(tool));
    json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": format!("osie-{}-{}", manifest.name, manifest.arch),
        "documentNamespace": namespace(manifest),
        "creationInfo": {
            "created": time(manifest.source_date),
            "creators": [format!("Tool: captaind-{}", env!("CARGO_PKG_VERSION"))],
        },
        "packages": outputs.chain(packages).chain(overlays).chain(others).collect::<Vec<_>>(),
        "relationships": relationships(manifest),
    })
}

fn package(package: &PackageRef, suite: &str) -> Value {
    let purl = format!(
        "pkg:deb/debian/{}@{}?arch={}&distro={suite}",
        escape(&package.name),
        escape(&package.version),
        package.arch
    );
    json!({
        "SPDXID": id("deb", &package.name),
        "name": package.name,
        "versionInfo": package.version,
        "packageFileName": package.file_name(),
        "supplier": "Organization: Debian",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "sourceInfo": format!("built from the source package {}", package.source),
        "checksums": [{"algorithm": "SHA256", "checksumValue": package.sha256}],
        "externalRefs": [{
            "referenceCategory": "PACKAGE-MANAGER",
            "referenceType": "purl",
            "referenceLocator": purl,
        }],
    })
}

/// A kernel that is not a package.
fn kernel(kernel: &LocalKernel) -> Value {
    json!({
        "SPDXID": id("kernel", &kernel.version),
        "name": "linux",
        "versionInfo": kernel.version,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "comment": format!("the checksum is that of the vmlinuz; over its modules it is {}", kernel.modules),
        "checksums": [{"algorithm": "SHA256", "checksumValue": kernel.vmlinuz}],
    })
}

/// A container image.
fn container(container: &Container) -> Value {
    let sum = container.digest.split_once(':').map_or(container.digest.as_str(), |(_, hex)| hex);
    json!({
        "SPDXID": id("container", &container.name),
        "name": container.source,
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": false,
        "comment": "the checksum is that of the image's manifest",
        "checksums": [{"algorithm": "SHA256", "checksumValue": sum}],
    })
}

/// A program from elsewhere than Debian.
fn tool(tool: &Tool) -> Value {
    json!({
        "SPDXID": tool_id(tool),
        "name": tools::file_name(tool),
        "downloadLocation": tool.url,
        "filesAnalyzed": false,
        "checksums": [{"algorithm": "SHA256", "checksumValue": tool.sha256}],
    })
}

/// Two tools may be called the same.
fn tool_id(tool: &Tool) -> String {
    id("tool", &format!("{}-{}", tools::file_name(tool), tool.sha256))
}

/// The overlays, each as one package whose sum is that of its list of files.
fn overlays(manifest: &Manifest) -> Vec<Value> {
    let one = |name: &String| {
        let files = manifest.overlay.iter().filter(|laid| laid.from == *name);
        let list: String = files.map(|laid| format!("{}  {}\n", laid.sha256, laid.path)).collect();
        json!({
            "SPDXID": id("overlay", name),
            "name": name,
            "downloadLocation": "NOASSERTION",
            "filesAnalyzed": false,
            "comment": "the checksum is that of the list `SHA-256, two spaces, path` of its files",
            "checksums": [{"algorithm": "SHA256", "checksumValue": Sha256::of(list.as_bytes())}],
        })
    };
    overlay_names(manifest).iter().map(one).collect()
}

fn overlay_names(manifest: &Manifest) -> Vec<String> {
    let mut names: Vec<_> = manifest.overlay.iter().map(|laid| laid.from.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// The kernel is made of its package; the initramfs of the packages and overlays.
fn relationships(manifest: &Manifest) -> Vec<Value> {
    let relation = |one: String, kind: &str, other: String| json!({"spdxElementId": one, "relationshipType": kind, "relatedSpdxElement": other});
    let parts = manifest.packages.iter().map(|package| id("deb", &package.name));
    let kernel = manifest.local_kernel.iter().map(|kernel| id("kernel", &kernel.version));
    let overlays = overlay_names(manifest).into_iter().map(|name| id("overlay", &name));
    let containers = manifest.containers.iter().map(|container| id("container", &container.name));
    let others = containers.chain(manifest.tools.iter().map(tool_id));
    let parts: Vec<_> = parts.chain(kernel).chain(overlays).chain(others).collect();
    let mut list = Vec::new();
    for output in &manifest.outputs {
        let output_id = id("output", &output.name);
        list.push(relation("SPDXRef-DOCUMENT".to_owned(), "DESCRIBES", output_id.clone()));
        let of_kernel = output.name.starts_with("vmlinuz");
        let kernels = ["SPDXRef-deb-linux-image-", "SPDXRef-kernel-"];
        let is_part = |part: &&String| !of_kernel || kernels.iter().any(|start| part.starts_with(start));
        let parts = parts.iter().filter(is_part);
        list.extend(parts.map(|part| relation(output_id.clone(), "CONTAINS", part.clone())));
    }
    list
}

/// Letters, digits, dots and dashes are all that an identifier may hold (section 3.2.4). Everything else is
/// written as its number, so that two names stay two.
fn id(kind: &str, name: &str) -> String {
    let plain = name.chars().map(|c| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '.' | '-' => c.to_string(),
        other => format!("-{:x}-", u32::from(other)),
    });
    format!("SPDXRef-{kind}-{}", plain.collect::<String>())
}

/// A part of a package URL, percent-encoded.
fn escape(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// A name of its own for each content: a UUID of version 8 (RFC 9562 section 5.8) made of the outputs' sums.
fn namespace(manifest: &Manifest) -> String {
    let sums: String = manifest.outputs.iter().map(|file| file.sha256.as_str()).collect();
    let hex = Sha256::of(sums.as_bytes()).to_string();
    format!("urn:uuid:{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[12..15], &hex[15..18], &hex[18..30])
}

/// Seconds since the epoch as `2025-09-06T10:00:00Z`.
fn time(seconds: u64) -> String {
    let Calendar { year, month, day, hour, minute, second } = Calendar::of(seconds);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_calendar_dates() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_757_152_799, "2025-09-06T09:59:59Z"),
        ] {
            assert_eq!(time(seconds), text);
        }
    }

    #[test]
    fn identifiers_and_package_urls_hold_only_what_they_may() {
        assert_eq!(id("deb", "libstdc++6"), "SPDXRef-deb-libstdc-2b--2b-6");
        assert_eq!(escape("1:2.3+dfsg-1~deb13u1"), "1%3A2.3%2Bdfsg-1~deb13u1");
    }
}
