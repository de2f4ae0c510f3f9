//! How an image is built; what is in it stands in the recipe.

use std::collections::BTreeSet;
use std::path::PathBuf;

use captain_model::{Arch, Cmdline, Recipe, Shipped};

use crate::error::Error;
use crate::formats::OutputFormat;

/// How to build.
#[derive(Clone, Debug)]
pub struct BuildOptions {
    /// Architecture of the image.
    pub arch: Arch,
    /// zstd's level, 1 to 22. 19 and more take minutes.
    pub level: i32,
    /// Folder for downloads and scratch files.
    pub cache: PathBuf,
    /// Use only what is in the cache.
    pub offline: bool,
    /// A console with root logged in, and tools to look around, whatever the recipe: as that of `debug`.
    pub debug: bool,
    /// Folder with the kernel, for recipes whose kernel is not a package: the one that was built from source, or
    /// that a bundle brought.
    pub kernel_dir: Option<PathBuf>,
    /// Folder that replaces captaind's own overlay.
    pub overlay_dir: Option<PathBuf>,
    /// What it is packed into, beside kernel and initramfs.
    pub formats: BTreeSet<OutputFormat>,
    /// What a UKI starts its kernel with.
    pub cmdline: Cmdline,
}

impl BuildOptions {
    /// Level of an image that somebody waits for. Measured on two cores: 9 takes 10 seconds; 12 three times as
    /// long for one per cent less.
    pub const DEFAULT_LEVEL: i32 = 9;

    /// The defaults, with this cache.
    pub fn new(arch: Arch, cache: impl Into<PathBuf>) -> Self {
        Self {
            arch,
            level: Self::DEFAULT_LEVEL,
            cache: cache.into(),
            offline: false,
            debug: false,
            kernel_dir: None,
            overlay_dir: None,
            formats: BTreeSet::new(),
            cmdline: Cmdline::new(),
        }
    }

    /// Whether the image of `recipe` is a debug image: by flag or by recipe.
    pub fn is_debug(&self, recipe: &Recipe) -> bool {
        self.debug || recipe.base == Shipped::Debug
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        if (1..=22).contains(&self.level) { Ok(()) } else { Err(Error::Level(self.level)) }
    }
}
