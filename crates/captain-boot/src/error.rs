//! Why a machine cannot be told what to boot, or a template cannot be used.

use thiserror::Error;

/// Why there is no command line or script for a machine. No variant carries a secret.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BootError {
    /// The kernel would cut the line off.
    #[error(
        "{machine}: its kernel command line is {length} bytes and the kernel takes {limit}: shorten `cmdline` of \
         the machine or of profile `{profile}`, or its agent settings"
    )]
    TooLong {
        /// Who.
        machine: String,
        /// Bytes.
        length: usize,
        /// Most bytes that the kernel takes, beside what the boot loader adds.
        limit: usize,
        /// The profile that it boots by.
        profile: String,
    },
    /// A setting's value cannot be in a kernel argument.
    #[error(
        "{machine}: the value for kernel argument `{key}` holds {what}, which cannot be in one: change it"
    )]
    Value {
        /// Who.
        machine: String,
        /// Which argument.
        key: &'static str,
        /// What is in the way.
        what: &'static str,
    },
    /// iPXE would replace a part of the argument by one of its settings.
    #[error(
        "{machine}: kernel argument `{argument}` holds `${{`, which iPXE replaces by a setting and has no escape \
         for: write it without"
    )]
    Expansion {
        /// Who.
        machine: String,
        /// The argument, masked.
        argument: String,
    },
    /// GRUB would change the argument.
    #[error(
        "{machine}: kernel argument `{argument}` holds a quote or a backslash, which GRUB changes on the way: \
         write it without, or boot this machine by iPXE"
    )]
    GrubQuote {
        /// Who.
        machine: String,
        /// The argument, masked.
        argument: String,
    },
    /// The ISO has room for less.
    #[error(
        "{machine}: its kernel command line is {length} bytes and the ISO has room for {room}: shorten `cmdline` of \
         the machine or of its profile, or boot it from the network"
    )]
    IsoFull {
        /// Who.
        machine: String,
        /// Bytes.
        length: usize,
        /// Bytes that there is room for.
        room: usize,
    },
    /// The boot loader in the ISO would read something into the argument.
    #[error(
        "{machine}: kernel argument `{argument}` holds one of \" ' \\ $ ; | & < > {{ }} #, which mean something to the \
         boot loader in an ISO: write it without, or boot this machine from the network"
    )]
    IsoSyntax {
        /// Who.
        machine: String,
        /// The argument, masked.
        argument: String,
    },
}

/// Why a script template cannot be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// There is no template of this name.
    #[error("`{file}` is not a script template: the templates are {known}")]
    UnknownFile {
        /// As given.
        file: String,
        /// Those that there are.
        known: String,
    },
    /// A placeholder that this template has no value for.
    #[error("{file}:{line}: no such placeholder as `{{{{{name}}}}}`: {file} may use {known}")]
    UnknownPlaceholder {
        /// Which template.
        file: &'static str,
        /// Line, from 1.
        line: usize,
        /// As written.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A placeholder that does not end on its line.
    #[error("{file}:{line}: `{{{{` without `}}}}` on the same line")]
    Unclosed {
        /// Which template.
        file: &'static str,
        /// Line, from 1.
        line: usize,
    },
    /// iPXE would not take it for a script.
    #[error("{file}: the first line of an iPXE script must be `#!ipxe`")]
    NoMagic {
        /// Which template.
        file: &'static str,
    },
}
