//! Sockets: making them while there is the right to, and what the kernel says when it refuses.

pub(crate) mod arp;
pub(crate) mod icmp;
pub(crate) mod interface;
pub(crate) mod open;
pub(crate) mod owner;
pub(crate) mod packet;
pub(crate) mod udp;
