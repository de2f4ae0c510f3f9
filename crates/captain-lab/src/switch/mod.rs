//! A small Ethernet switch in this process: it joins the daemon's end of a veth pair and the network cards
//! of QEMU machines, which an ordinary user cannot join by tap devices where /dev/net/tun is root's.

mod frames;
mod packet;
mod pcap;
mod ports;
mod run;
mod table;

pub use frames::{BrokenStream, Frames, frame_header};
pub use packet::PacketSocket;
pub use pcap::PcapFile;
pub use run::Switch;
pub use table::{Forward, MacTable, PortId};
