//! Any datagrams, in any mode, on both ports, one after the other: no panic, and what comes out is in order.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "../bodies/dhcp_door.rs"]
mod body;

fuzz_target!(|input: &[u8]| body::run(input));
