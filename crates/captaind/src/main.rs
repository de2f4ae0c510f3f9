//! A netboot appliance for bare metal in one daemon.

fn main() {}
