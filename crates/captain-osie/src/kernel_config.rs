//! What an OSIE needs of its kernel: the fragments in `kernel-configs/`, held against the kernel's own
//! configuration before an image is written that boots into a machine without overlayfs.

use rust_embed::RustEmbed;

use crate::error::Error;

#[derive(RustEmbed)]
#[folder = "../../kernel-configs"]
struct Fragments;

/// How an option has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Want {
    /// `=y`: built in.
    BuiltIn,
    /// `=m`: built in or a module.
    Present,
}

/// One line of a fragment.
#[derive(Debug, PartialEq, Eq)]
struct Wanted<'a> {
    name: &'a str,
    want: Want,
}

/// The options of a fragment; comments and blank lines are for people.
fn options(fragment: &str) -> impl Iterator<Item = Wanted<'_>> {
    fragment.lines().filter(|line| line.starts_with("CONFIG_")).filter_map(|line| {
        let (name, value) = line.trim_end().split_once('=')?;
        let want = if value == "y" { Want::BuiltIn } else { Want::Present };
        Some(Wanted { name, want })
    })
}

/// Whether the kernel's configuration says `wanted`.
fn has(config: &std::collections::HashMap<&str, &str>, wanted: &Wanted<'_>) -> bool {
    match (wanted.want, config.get(wanted.name).copied()) {
        (Want::BuiltIn, value) => value == Some("y"),
        (Want::Present, value) => matches!(value, Some("y" | "m")),
    }
}

/// Holds the kernel's configuration (`boot/config-VERSION`) against every fragment.
///
/// # Errors
/// [`Error::KernelConfig`] with every option that is missing and the fragment that asks for it.
pub(crate) fn check(kernel: &str, config: &str) -> Result<(), Error> {
    let config = config.lines().filter_map(|line| line.split_once('=')).collect();
    let mut missing = Vec::new();
    let mut files: Vec<_> = Fragments::iter().collect();
    files.sort();
    for file in files {
        let Some(fragment) = Fragments::get(&file) else { continue };
        let text = String::from_utf8_lossy(&fragment.data);
        let lacking = options(&text).filter(|wanted| !has(&config, wanted));
        missing.extend(lacking.map(|wanted| format!("{} ({file})", wanted.name)));
    }
    if missing.is_empty() { Ok(()) } else { Err(Error::KernelConfig { kernel: kernel.to_owned(), missing }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration that has everything that the fragments ask for.
    fn complete() -> String {
        let all = Fragments::iter().map(|file| {
            let fragment = Fragments::get(&file).unwrap();
            String::from_utf8_lossy(&fragment.data).into_owned()
        });
        all.collect()
    }

    #[test]
    fn a_kernel_with_every_option_is_fine_and_modules_may_be_built_in() {
        assert!(complete().contains("CONFIG_OVERLAY_FS=m"));
        assert!(check("6.12", &complete()).is_ok());
        assert!(check("6.12", &complete().replace("=m", "=y")).is_ok());
    }

    #[test]
    fn an_option_that_is_missing_or_only_a_module_is_named_with_its_fragment() {
        let config = complete()
            .replace("CONFIG_OVERLAY_FS=m", "# CONFIG_OVERLAY_FS is not set")
            .replace("CONFIG_RD_ZSTD=y", "CONFIG_RD_ZSTD=m");
        let told = check("6.12-custom", &config).unwrap_err().to_string();
        assert!(told.contains("CONFIG_OVERLAY_FS (container-runtime.config)"), "{told}");
        assert!(told.contains("CONFIG_RD_ZSTD (netboot.config)"), "{told}");
        assert!(told.contains("6.12-custom"), "{told}");
    }

    #[test]
    fn every_option_says_how_it_has_to_be() {
        for file in Fragments::iter() {
            let fragment = Fragments::get(&file).unwrap();
            for line in String::from_utf8_lossy(&fragment.data).lines() {
                let known =
                    line.is_empty() || line.starts_with('#') || line.ends_with("=y") || line.ends_with("=m");
                assert!(known, "{file}: {line}");
            }
        }
    }
}
