//! What a renewed lock takes that the one before did not.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::Lock;
use crate::builder::Builder;
use crate::containers::Container;
use crate::manifest::PackageRef;
use crate::overlay::Laid;

/// The difference between two locks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Packages that were not there.
    pub added: Vec<PackageRef>,
    /// Packages that are no longer there.
    pub removed: Vec<PackageRef>,
    /// Packages of which another file is taken: before, now.
    pub replaced: Vec<(PackageRef, PackageRef)>,
    /// Files of overlays that are new, gone or different.
    pub overlay: Vec<String>,
    /// The builder before and the one now, where they make different images of the same inputs.
    pub builder: Option<(Option<Builder>, Builder)>,
    /// Container images that are new or of another digest.
    pub containers: Vec<Container>,
    /// What is new of a kernel that is no package, in words.
    pub kernel: Vec<String>,
    /// zstd's level before and now.
    pub level: Option<(i32, i32)>,
}

impl Changes {
    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kb = |bytes: u64| bytes as f64 / 1e3;
        for package in &self.added {
            writeln!(f, "  + {} {} ({:.1} kB)", package.name, package.version, kb(package.size))?;
        }
        for package in &self.removed {
            writeln!(f, "  - {} {} ({:.1} kB)", package.name, package.version, kb(package.size))?;
        }
        for (was, is) in &self.replaced {
            let more = kb(is.size) - kb(was.size);
            writeln!(f, "  ~ {} {} -> {} ({more:+.1} kB)", is.name, was.version, is.version)?;
        }
        for container in &self.containers {
            writeln!(f, "  ~ container {} {}", container.source, container.digest)?;
        }
        self.overlay.iter().try_for_each(|path| writeln!(f, "  ~ /{path} (overlay)"))?;
        self.kernel.iter().try_for_each(|what| writeln!(f, "  ~ kernel: {what}"))?;
        if let Some((was, is)) = self.level {
            writeln!(f, "  ~ zstd level {was} -> {is}: same inputs, other bytes; later builds keep it")?;
        }
        let Some((was, is)) = &self.builder else { return Ok(()) };
        let was = was.as_ref().map_or_else(|| "an older captaind".to_owned(), Builder::to_string);
        writeln!(
            f,
            "  ~ builder {was} -> {is}: same inputs, other bytes; only the former builds the former image"
        )
    }
}

impl Lock {
    /// What is new in this lock against `old`.
    pub fn changes_since(&self, old: &Self) -> Changes {
        let by_name = |lock: &Self| -> BTreeMap<String, PackageRef> {
            lock.everything().map(|package| (package.name.clone(), package.clone())).collect()
        };
        let (mut before, mut changes) = (by_name(old), Changes::default());
        for (name, package) in by_name(self) {
            match before.remove(&name) {
                None => changes.added.push(package),
                Some(was) if was.sha256 != package.sha256 => changes.replaced.push((was, package)),
                Some(_) => {}
            }
        }
        changes.removed = before.into_values().collect();
        changes.overlay = overlay_changes(&old.overlay, &self.overlay);
        changes.kernel = kernel_changes(old, self);
        changes.level = (old.level != self.level).then_some((old.level, self.level));
        let other = self.builder.as_ref().filter(|builder| !old.is_by(builder));
        changes.builder = other.map(|builder| (old.builder.clone(), builder.clone()));
        let is_new = |container: &&Container| !old.containers.contains(container);
        changes.containers = self.containers.iter().filter(is_new).cloned().collect();
        changes
    }
}

/// What is new of a kernel that is no package.
fn kernel_changes(old: &Lock, new: &Lock) -> Vec<String> {
    let (was, is) = (&old.kernel_inputs, &new.kernel_inputs);
    let mut changes: Vec<_> = was.iter().zip(is).flat_map(|(was, is)| is.changes_since(was)).collect();
    if let (Some(before), Some(now)) = (&old.local_kernel, &new.local_kernel)
        && before != now
    {
        changes.push(match is.is_some() && was == is {
            // Whoever has only the lock builds yet another one.
            true => format!(
                "{} of the same inputs has other bytes ({now}, was {before}): its compiler or sources do not give the \
                 same twice, so no other machine builds this image from the lock; give it a bundle (--bundle)",
                now.version
            ),
            false => format!("{now}, was {before}"),
        });
    }
    changes
}

/// Paths that are laid otherwise than before, sorted.
fn overlay_changes(old: &[Laid], new: &[Laid]) -> Vec<String> {
    let differs = |one: &[Laid], other: &[Laid]| -> Vec<String> {
        one.iter().filter(|laid| !other.contains(laid)).map(|laid| laid.path.clone()).collect()
    };
    let mut paths = differs(old, new);
    paths.append(&mut differs(new, old));
    paths.sort();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use captain_debian::Sha256;
    use captain_model::{Arch, Recipe};

    use super::super::testing::{lock, package};
    use super::*;
    use crate::kernel_files::LocalKernel;
    use crate::kernel_inputs::{KernelInputs, KernelSources, Toolchain};
    use crate::options::BuildOptions;

    #[test]
    fn changes_name_packages_versions_sizes_and_overlay_files() {
        let (old, mut new) = (lock(), lock());
        assert!(new.changes_since(&old).is_empty());
        new.packages = vec![package("bash", "5.1"), package("zstd", "1")];
        new.overlay = Laid::of("overlay x", &[]);
        let laid = Laid { path: "etc/x".into(), sha256: Sha256::of(b""), mode: 0o644, from: "x".into() };
        new.overlay.push(laid);
        let text = new.changes_since(&old).to_string();
        assert_eq!(
            text,
            "  + zstd 1 (0.0 kB)\n  - linux-image-6 6 (0.0 kB)\n  ~ bash 5 -> 5.1 (+0.0 kB)\n  ~ /etc/x (overlay)\n"
        );
    }

    #[test]
    fn a_kernel_of_the_same_inputs_with_other_bytes_and_another_level_are_told_with_the_way_out() {
        let kernel = |bytes: &[u8]| LocalKernel {
            version: "6.12".to_owned(),
            vmlinuz: Sha256::of(bytes),
            modules: Sha256::of(b""),
        };
        let inputs = KernelInputs {
            arch: Arch::Amd64,
            source: KernelSources::Package(package("linux-source-6.12", "6.12")),
            config: Sha256::of(b""),
            toolchain: Toolchain::Host("gcc 14".to_owned()),
        };
        let built = |bytes, inputs: &KernelInputs| Lock {
            local_kernel: Some(kernel(bytes)),
            kernel_inputs: Some(inputs.clone()),
            ..lock()
        };
        let old = built(b"one", &inputs);
        assert!(built(b"one", &inputs).changes_since(&old).is_empty());
        let told = built(b"two", &inputs).changes_since(&old).to_string();
        assert!(
            told.contains("6.12 of the same inputs has other bytes") && told.contains("--bundle"),
            "{told}"
        );
        let other = KernelInputs { config: Sha256::of(b"CONFIG_NET=y"), ..inputs.clone() };
        let told = built(b"two", &other).changes_since(&old).to_string();
        assert!(told.contains("other options") && !told.contains("same inputs"), "{told}");
        let told = Lock { level: 19, ..old.clone() }.changes_since(&old).to_string();
        assert!(told.starts_with("  ~ zstd level 3 -> 19: same inputs, other bytes"), "{told}");
    }

    #[test]
    fn a_lock_of_another_builder_keeps_its_packages_and_the_change_is_told() {
        let older = Lock { builder: None, ..lock() };
        let recipe = Recipe::new("test");
        assert!(
            older.fits(&recipe, &BuildOptions::new(Arch::Amd64, "/nowhere")).unwrap(),
            "an update of captaind renews no package"
        );
        let changes = lock().changes_since(&older);
        assert!(!changes.is_empty());
        let text = changes.to_string();
        assert!(text.starts_with("  ~ builder an older captaind -> captaind "), "{text}");
        assert!(lock().changes_since(&lock()).is_empty());
    }
}
