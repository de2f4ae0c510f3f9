//! Any datagram to the TFTP port: no panic, and a name that is taken stays inside.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/tftp_request.rs"]
mod body;

fuzz_target!(|input: &[u8]| body::run(input));
