//! One boot and no second one, whatever happens on the way.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use axum::http::{HeaderMap, Method};
use http_body_util::BodyExt;

use super::super::file::{Asked, send};
use super::machines::ticket_in;
use super::*;
use crate::once::TAIL;
use crate::testing::{Disk, on_disk};

/// What is used up, as a crash would leave it.
fn on_file(folder: &tempfile::TempDir, file: &str) -> bool {
    std::fs::read_to_string(folder.path().join(file)).unwrap().contains(MAC)
}

fn once(machine: &mut Machine) {
    machine.boot = Some(BootPolicy::Once);
}

#[tokio::test]
async fn the_end_of_the_initramfs_waits_until_the_one_boot_is_noted_on_disk() {
    let mut machine = machine();
    once(&mut machine);
    let (folder, settings) = settings(vec![machine], UnknownMachines::Boot);
    let size = 3 * TAIL;
    put(&folder.path().join("osie/default/initramfs-x86_64"), &vec![7; 3 * TAIL as usize]);
    let disk = Disk::default();
    let appliance = on_disk(&folder, settings, &disk);
    appliance.stock();
    let shelf = appliance.shelf.load_full();
    let file = shelf.osie("default").unwrap().file("initramfs-x86_64").unwrap().clone();
    let asked = Asked::new(MAC.parse().ok(), Method::GET, &INITRAMFS_PATH.parse().unwrap(), HeaderMap::new());

    disk.stall(true);
    let mut body = send(appliance.clone(), &file.as_ref().into(), asked.clone()).into_body();
    let mut got = 0;
    while got < size - TAIL {
        got += body.frame().await.unwrap().unwrap().into_data().unwrap().len() as u64;
    }
    assert_eq!(got, size - TAIL);
    let mut context = Context::from_waker(Waker::noop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(matches!(pin!(body.frame()).poll(&mut context), Poll::Pending), "the disk is not done");
    disk.stall(false);
    assert_eq!(body.collect().await.unwrap().to_bytes().len() as u64, TAIL);
    assert!(on_file(&folder, "settled") && appliance.settled(MAC.parse().unwrap()));

    disk.fail(true);
    let body = send(appliance.clone(), &file.as_ref().into(), asked).into_body();
    assert!(body.collect().await.unwrap_err().to_string().contains("cannot be noted"));
}

#[tokio::test]
async fn a_load_that_breaks_off_at_its_very_end_may_be_tried_again() {
    let mut machine = machine();
    once(&mut machine);
    let (folder, settings) = settings(vec![machine], UnknownMachines::Boot);
    let appliance = on_disk(&folder, settings, &Disk::default());
    let mac = MAC.parse().unwrap();
    let [first, second] = [(); 2].map(|()| crate::once::Mark::of(appliance.clone(), mac));
    let (first, second) = (first.await.unwrap(), second.await.unwrap());
    assert!(on_file(&folder, "settled") && !appliance.settled(mac));
    drop(first);
    assert!(appliance.state.flushed().await && on_file(&folder, "settled"), "another load is not over");
    drop(second);
    assert!(appliance.state.flushed().await && !on_file(&folder, "settled"));

    let third = crate::once::Mark::of(appliance.clone(), mac).await.unwrap();
    appliance.settle(mac, true);
    drop(third);
    assert!(appliance.state.flushed().await && on_file(&folder, "settled"), "what was used up stays so");
}

/// A daemon whose OSIE is on another server.
fn from_elsewhere() -> Daemon {
    let mut machine = machine();
    once(&mut machine);
    let (folder, mut settings) = settings(vec![machine.clone()], UnknownMachines::Boot);
    let mut profile = Profile::new("default");
    profile.osie = "http://192.0.2.1/osie".to_owned();
    let profiles = BTreeMap::from([("default".to_owned(), profile)]);
    settings.inventory =
        Arc::new(captain_model::Inventory::new(vec![machine], profiles, UnknownMachines::Boot));
    Daemon::with(folder, settings)
}

#[tokio::test]
async fn where_the_osie_is_on_another_server_the_script_is_what_uses_up_once() {
    let daemon = from_elsewhere();
    assert!(daemon.ask("HEAD", SCRIPT, "", "").await.status == 200);
    let operator = daemon.ask_from("127.0.0.1", "GET", SCRIPT, "", "").await;
    assert!(operator.text().contains("http://192.0.2.1/osie/vmlinuz"), "{}", operator.text());
    let script = daemon.get(SCRIPT).await;
    assert!(script.text().contains("http://192.0.2.1/osie/vmlinuz"), "{}", script.text());
    assert!(on_file(&daemon.folder, "state/settled"), "noted before the machine has it");
    assert!(!daemon.get(SCRIPT).await.text().contains("vmlinuz"));
    let events = daemon.get("/api/v1/events?follow=false").await;
    assert!(events.text().contains("does not see what it loads from http://192.0.2.1"), "{}", events.text());
}

#[tokio::test]
async fn who_follows_a_redirect_to_the_initramfs_has_had_its_boot() {
    let daemon = from_elsewhere();
    // It shows up with its address; a script of the operator's own asks us for the files.
    daemon.ask("HEAD", SCRIPT, "", "").await;
    assert_eq!(daemon.get(KERNEL_PATH).await.status, 302);
    assert!(!on_file(&daemon.folder, "state/settled"));
    assert_eq!(daemon.get(INITRAMFS_PATH).await.status, 302);
    assert!(on_file(&daemon.folder, "state/settled"));
    assert!(!daemon.get(SCRIPT).await.text().contains("vmlinuz"));
}

#[tokio::test]
async fn an_osie_of_virtual_media_uses_up_once_by_saying_that_it_runs_and_nobody_else_can() {
    let daemon = daemon(once);
    let script = daemon.get(SCRIPT).await;
    let event = format!("/api/v1/machines/{MAC}/event");
    for step in ["userland", "agent", "agent-report"] {
        let forged = json!({ "step": step }).to_string();
        assert_eq!(daemon.ask("POST", &event, "", &forged).await.status, 403, "{step}");
    }
    assert!(daemon.get(SCRIPT).await.text().contains("vmlinuz"));
    let report = json!({"step": "userland", "boot": ticket_in(script.text())}).to_string();
    assert_eq!(daemon.ask("POST", &event, "", &report).await.status, 204);
    assert!(on_file(&daemon.folder, "state/settled"));
    assert!(!daemon.get(SCRIPT).await.text().contains("vmlinuz"));
    let without = json!({"step": "agent"}).to_string();
    assert_eq!(daemon.ask("POST", &event, "", &without).await.status, 204, "nothing is left to use up");
}
