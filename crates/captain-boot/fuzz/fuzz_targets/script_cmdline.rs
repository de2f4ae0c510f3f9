//! Any words of an operator: scripts and configurations hold them, and no word becomes a command.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/script_cmdline.rs"]
mod body;

fuzz_target!(|input: &[u8]| body::run(input));
