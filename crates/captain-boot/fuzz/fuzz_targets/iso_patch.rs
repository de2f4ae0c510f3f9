//! Any ISO in pieces of any size, any arguments: the placeholders are found wherever the borders are, and what is
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/iso_patch.rs"]
mod body;

fuzz_target!(|input: &[u8]| body::run(input));
