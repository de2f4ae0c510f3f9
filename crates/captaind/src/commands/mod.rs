//! One file for each command: parse nothing, decide nothing, wire.

pub(crate) mod api;
pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod clean;
pub(crate) mod enter;
pub(crate) mod explain;
pub(crate) mod image;
pub(crate) mod lab;
pub(crate) mod osie;
pub(crate) mod serve;
pub(crate) mod shell;
pub(crate) mod summary;
