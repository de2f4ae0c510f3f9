//! The OSIE builder: recipe -> plan -> initramfs and kernel.
//!
//! [`plan`] turns a recipe into a list of [`Step`]s; [`build`] executes it. No root rights, no chroot, no
//! maintainer scripts: packages are verified, unpacked as streams into a tree in memory, finished by the builder
//! itself (accounts, certificates, module indices, enabled units) and written as one zstd-compressed cpio.

mod accounts;
mod archive;
mod build;
mod error;
mod image;
mod lists;
mod loaders;
pub mod manifest;
mod modules;
mod options;
mod overlay;
pub mod plan;
mod pool;
mod relay;
mod rules;
mod tree;
mod units;

pub use build::build;
pub use error::Error;
pub use loaders::loaders;
pub use manifest::{Manifest, PackageRef};
pub use options::BuildOptions;
pub use overlay::Laid;
pub use plan::{Plan, Step, plan};
