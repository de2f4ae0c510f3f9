//! What is in a built image, and why: read from what the builder wrote beside it.

use std::fmt;
use std::fs;
use std::path::Path;

use captain_model::Arch;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::manifest::Manifest;
use crate::sizes::{Share, Sizes};

/// Longest line of lists of names, characters.
const WIDTH: usize = 100;

/// Everything that is known about one built image.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Inputs and outputs.
    pub manifest: Manifest,
    /// Sizes by package and by kind of file.
    pub sizes: Sizes,
}

impl Summary {
    /// Of the image for `arch` in `folder`.
    ///
    /// # Errors
    /// None was built there, or by another version of captaind.
    pub fn read(folder: &Path, arch: Arch) -> Result<Self, Error> {
        let arch = arch.linux();
        Ok(Self {
            manifest: json(&folder.join(format!("manifest-{arch}.json")))?,
            sizes: json(&folder.join(format!("sizes-{arch}.json")))?,
        })
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&text).map_err(|error| {
        Error::malformed(path.display().to_string(), format!("{error}: build it anew with `captaind build`"))
    })
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Manifest { name, arch, suite, kernel, debug, .. } = &self.manifest;
        let debug = if *debug { ", debug: root logs in without a password" } else { "" };
        writeln!(f, "OSIE `{name}` for {arch}, Debian {suite}, kernel {kernel}{debug}")?;
        writeln!(f, "\nfiles that machines are given:")?;
        for output in &self.manifest.outputs {
            writeln!(f, "  {:>9.2} MB  {}  {}", mb(output.size), &output.sha256[..16], output.name)?;
        }
        writeln!(f, "\nunpacked, by kind of file:")?;
        for Share { name, bytes, files } in &self.sizes.groups {
            writeln!(f, "  {:>9.2} MB {files:>6} files  {name}", mb(*bytes))?;
        }
        self.packages(f)?;
        names(f, "units that start", &self.manifest.units)?;
        let overlay: Vec<_> =
            self.manifest.overlay.iter().map(|laid| format!("/{} ({})", laid.path, laid.from)).collect();
        writeln!(f, "\nfiles of overlays ({}):", overlay.len())?;
        overlay.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        names(f, "kernel modules", &self.manifest.modules)
    }
}

impl Summary {
    /// The largest first; at the end those of which no file is left.
    fn packages(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = |name: &str| self.sizes.packages.iter().find(|share| share.name == name);
        let mut packages: Vec<_> = self
            .manifest
            .packages
            .iter()
            .map(|p| (size(&p.name).map_or(0, |share| share.bytes), p))
            .collect();
        packages.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        writeln!(f, "\npackages ({}), and who asked for each:", packages.len())?;
        for (bytes, package) in packages {
            writeln!(f, "  {:>9.2} MB  {} {}  ({})", mb(bytes), package.name, package.version, package.why)?;
        }
        Ok(())
    }
}

fn mb(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

/// A list of names in lines of bearable length.
fn names(f: &mut fmt::Formatter<'_>, title: &str, names: &[String]) -> fmt::Result {
    write!(f, "\n{title} ({}):", names.len())?;
    let mut column = WIDTH;
    for name in names {
        if column + 1 + name.len() > WIDTH {
            write!(f, "\n ")?;
            column = 1;
        }
        write!(f, " {name}")?;
        column += 1 + name.len();
    }
    writeln!(f)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::testing::package;

    #[test]
    fn a_summary_names_each_package_with_its_size_and_its_reason_the_largest_first() {
        let share = |name: &str, bytes| Share { name: name.to_owned(), bytes, files: 2 };
        let manifest = Manifest {
            name: "slim".to_owned(),
            arch: Arch::Arm64,
            suite: "trixie".to_owned(),
            source_date: 0,
            level: 3,
            debug: false,
            kernel: "6.12".to_owned(),
            local_kernel: None,
            releases: Vec::new(),
            packages: vec![package("bash", "5"), package("runc", "1")],
            modules: (0..40).map(|n| format!("module_{n}")).collect(),
            units: vec!["containerd.service".to_owned()],
            overlay: Vec::new(),
            containers: Vec::new(),
            tools: Vec::new(),
            outputs: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let sizes =
            Sizes { total: 3, packages: vec![share("runc", 2_500_000)], groups: vec![share("data", 9)] };
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        write("manifest-aarch64.json", serde_json::to_string(&manifest).unwrap());
        assert!(Summary::read(folder.path(), Arch::Arm64).is_err(), "there are no sizes");
        write("sizes-aarch64.json", serde_json::to_string(&sizes).unwrap());
        let text = Summary::read(folder.path(), Arch::Arm64).unwrap().to_string();
        assert!(text.starts_with("OSIE `slim` for arm64, Debian trixie, kernel 6.12\n"), "{text}");
        let (runc, bash) = (text.find("2.50 MB  runc 1  (wanted)"), text.find("0.00 MB  bash 5  (wanted)"));
        assert!(runc.is_some() && runc < bash, "{text}");
        assert!(text.contains("units that start (1):\n  containerd.service\n"), "{text}");
        assert!(text.lines().all(|line| line.len() <= WIDTH + 1), "{text}");
    }
}
