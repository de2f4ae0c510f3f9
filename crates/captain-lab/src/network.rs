//! The lab's network: 192.168.50.0/24 on the switch, the daemon's interface in it, and, where captaind is
//! to serve beside another DHCP server, that server's own namespace on the same switch.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use nix::sched::{CloneFlags, setns, unshare};
use rtnetlink::{Handle, LinkUnspec, LinkVeth};

use crate::error::LabError;
use crate::offload;
use crate::switch::{PacketSocket, PcapFile, Switch};

/// The daemon's address.
pub const DAEMON: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 1);
/// The other DHCP server's address.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 168, 50, 2);
/// The network's prefix length.
pub const PREFIX: u8 = 24;
/// The daemon's interface.
pub const INTERFACE: &str = "lab0";
/// The other DHCP server's interface.
pub const NEIGHBOUR_INTERFACE: &str = "lab1";

/// The running network; gone when dropped.
#[derive(Debug)]
pub struct Network {
    socket: PathBuf,
    neighbour: Option<OwnedFd>,
    _switch: Switch,
}

impl Network {
    /// Makes the network in this process's network namespace. Machines plug into the socket `socket`; with
    /// `neighbour` there is a second namespace with [`NEIGHBOUR`]'s address on [`NEIGHBOUR_INTERFACE`].
    ///
    /// # Errors
    /// [`LabError::Network`]: CAP_NET_ADMIN is missing here, or the kernel has no veth.
    pub async fn start(socket: &Path, neighbour: bool, pcap: Option<&Path>) -> Result<Self, LabError> {
        let handle = netlink().map_err(|e| LabError::network("open a netlink socket", e))?;
        up(&handle, "lo", None).await?;
        let mut interfaces = vec![pair(&handle, INTERFACE, "sw0").await?];
        up(&handle, INTERFACE, Some(DAEMON)).await?;
        let neighbour = match neighbour {
            true => {
                interfaces.push(pair(&handle, NEIGHBOUR_INTERFACE, "sw1").await?);
                Some(move_out(&handle, NEIGHBOUR_INTERFACE).await?)
            }
            false => None,
        };
        let pcap = pcap.map(|path| PcapFile::create(path).map_err(LabError::file(path))).transpose()?;
        let switch = Switch::start(socket, interfaces, pcap)
            .map_err(|e| LabError::network(format!("start the switch at {}", socket.display()), e))?;
        Ok(Self { socket: socket.to_owned(), neighbour, _switch: switch })
    }

    /// The socket that machines plug into.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The other DHCP server's network namespace, for `setns`.
    pub fn neighbour(&self) -> Option<&OwnedFd> {
        self.neighbour.as_ref()
    }
}

fn netlink() -> io::Result<Handle> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    Ok(handle)
}

/// A veth pair: `name` for a server, `port` for the switch, whose socket on it is returned.
async fn pair(handle: &Handle, name: &str, port: &str) -> Result<PacketSocket, LabError> {
    let failed =
        |e: &dyn ToString| LabError::network(format!("make the veth pair {name}, {port}"), e.to_string());
    handle.link().add(LinkVeth::new(name, port).build()).execute().await.map_err(|e| failed(&e))?;
    for end in [name, port] {
        offload::disable(end).map_err(|e| LabError::network(format!("switch off {end}'s offloads"), e))?;
    }
    up(handle, port, None).await?;
    PacketSocket::open(port).map_err(|e| LabError::network(format!("open a packet socket on {port}"), e))
}

/// Switches an interface on, with an address where one is given.
async fn up(handle: &Handle, name: &str, address: Option<Ipv4Addr>) -> Result<(), LabError> {
    let failed = |e| LabError::network(format!("set up {name}"), e);
    let index = index(handle, name).await.map_err(failed)?;
    if let Some(address) = address {
        let address = handle.address().add(index, IpAddr::V4(address), PREFIX);
        address.execute().await.map_err(|e| LabError::network(format!("give {name} its address"), e))?;
    }
    handle.link().change(LinkUnspec::new_with_index(index).up().build()).execute().await.map_err(failed)
}

async fn index(handle: &Handle, name: &str) -> Result<u32, rtnetlink::Error> {
    let mut links = handle.link().get().match_name(name.to_owned()).execute();
    let link = links.try_next().await?.ok_or(rtnetlink::Error::RequestFailed)?;
    Ok(link.header.index)
}

/// Moves interface `name` to a namespace of its own and sets it up there with [`NEIGHBOUR`]'s address.
async fn move_out(handle: &Handle, name: &'static str) -> Result<OwnedFd, LabError> {
    let failed =
        |e: &dyn ToString| LabError::network("make the other DHCP server's namespace", e.to_string());
    let space = on_own_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET)?;
        File::open("/proc/thread-self/ns/net").map(OwnedFd::from)
    })
    .await
    .map_err(|e| failed(&e))?;
    let index = index(handle, name).await.map_err(|e| failed(&e))?;
    let message = LinkUnspec::new_with_index(index).setns_by_fd(space.as_raw_fd()).build();
    handle.link().change(message).execute().await.map_err(|e| failed(&e))?;
    let inside = space.try_clone().map_err(|e| failed(&e))?;
    on_own_thread(move || {
        setns(inside.as_fd(), CloneFlags::CLONE_NEWNET)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let handle = netlink()?;
            up(&handle, "lo", None).await.map_err(io::Error::other)?;
            up(&handle, name, Some(NEIGHBOUR)).await.map_err(io::Error::other)
        })
    })
    .await
    .map_err(|e| failed(&e))?;
    Ok(space)
}

/// Runs `work` on a thread that ends with it: it changes the thread's network namespace.
async fn on_own_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (send, receive) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || send.send(work()));
    receive.await.unwrap_or_else(|_| Err(io::Error::other("the thread in the other namespace panicked")))
}
