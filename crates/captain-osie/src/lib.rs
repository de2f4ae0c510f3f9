//! The OSIE builder: recipe -> lock -> plan -> initramfs and kernel.
//!
//! [`lock`](lock()) asks the archive and pins every input of a recipe by its SHA-256; [`plan`](plan()) turns recipe
//! and lock into a list of [`Step`]s; [`build`](build()) executes it. One lock gives one image, to the byte.
//!
//! No root rights, no chroot, no maintainer scripts: packages are verified, unpacked as streams into a tree in memory, finished by the builder
//! itself (accounts, certificates, module indices, enabled units) and written as one zstd-compressed cpio.

mod accounts;
mod archive;
mod build;
mod builder;
mod bundle;
mod calendar;
pub mod clean;
mod containers;
pub mod dropin;
mod error;
mod exports;
mod formats;
mod image;
pub mod kernel_config;
mod kernel_files;
mod kernel_header;
mod kernel_inputs;
mod lists;
mod loaders;
pub mod lock;
pub mod manifest;
mod modules;
mod options;
mod output;
mod overlay;
pub mod plan;
mod pool;
mod relay;
mod rules;
pub mod sizes;
mod spdx;
mod summary;
mod tools;
mod tree;
mod units;
mod unpack;

pub use accounts::RootLogin;
pub use build::{build, fetch_packages};
pub use builder::Builder;
pub use bundle::{Unbundled, bundle, unbundle};
pub use containers::{Container, engine_images, take_engine_image};
pub use error::Error;
pub use formats::{OutputFormat, formats_in};
pub use kernel_files::LocalKernel;
pub use kernel_inputs::{KernelInputs, KernelSources, Toolchain};
pub use loaders::loaders;
pub use lock::{Changes, Lock, LockFile, is_current, lock};
pub use manifest::{Manifest, PackageRef};
pub use options::BuildOptions;
pub use overlay::{Laid, OverlaySource};
pub use plan::{Plan, Step, archive_options, plan};
pub use sizes::Sizes;
pub use summary::Summary;
pub use unpack::unpack;
