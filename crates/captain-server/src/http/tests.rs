//! The routes over real sockets. Machines are at 127.0.0.2; 127.0.0.1 is the operator on the daemon's own box.

use std::collections::BTreeMap;
use std::time::Duration;

use captain_model::{BootPolicy, BootStage, EventKind, LocalBoot, Machine, Profile, Secret, UnknownMachines};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::Https;
use crate::testing::{Daemon, KERNEL, LOADER, put, settings};

mod api;
mod conformance;
mod connections;
mod files;
mod iso;
mod machines;
mod once;

const MAC: &str = "52:54:00:00:00:01";
const SCRIPT: &str = "/ipxe/script/52:54:00:00:00:01/auto.ipxe";
const KERNEL_PATH: &str = "/osie/default/vmlinuz-x86_64";
const INITRAMFS_PATH: &str = "/osie/default/initramfs-x86_64";

fn machine() -> Machine {
    Machine::new(MAC.parse().unwrap())
}

fn daemon(change: impl FnOnce(&mut Machine)) -> Daemon {
    let mut machine = machine();
    change(&mut machine);
    Daemon::start(vec![machine], UnknownMachines::Boot)
}

/// Waits until the latest boot of the machine is at `stage`.
async fn reaches(daemon: &Daemon, stage: BootStage) -> Value {
    for _ in 0..200 {
        let boots = daemon.json("/api/v1/boots").await;
        if let Some(boot) = boots.as_array().unwrap().last()
            && boot["stage"] == stage.name()
        {
            return boot.clone();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{stage} was not reached: {}", daemon.json("/api/v1/boots").await)
}
