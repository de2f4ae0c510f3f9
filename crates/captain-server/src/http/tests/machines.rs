//! What machines are told, and how far they come.

use super::*;

#[tokio::test]
async fn a_machine_that_ipxe_is_to_switch_off_gets_ipxe_for_that() {
    let off = |way| {
        daemon(move |machine| {
            machine.netboot = false;
            machine.local_boot = Some(way);
        })
    };
    let path = "/ipxe/binary/52:54:00:00:00:01/snponly.efi";
    let poweroff = off(LocalBoot::Poweroff);
    assert_eq!(poweroff.get(path).await.status, 200);
    assert!(poweroff.get(SCRIPT).await.text().contains("poweroff"));
    assert_eq!(off(LocalBoot::Exit).get(path).await.status, 403);
}

#[tokio::test]
async fn a_machine_is_told_its_own_command_line_and_boots_to_its_agent() {
    let daemon = daemon(|machine| machine.cmdline.push("only=this").unwrap());
    let script = daemon.get(SCRIPT).await;
    let port = daemon.settings.http_port;
    for part in ["only=this", "captain_boot=b", &format!("http://127.0.0.1:{port}{KERNEL_PATH}")] {
        assert!(script.text().contains(part), "{part} is missing in\n{}", script.text());
    }
    daemon.get(KERNEL_PATH).await;
    daemon.get(INITRAMFS_PATH).await;
    let boot = reaches(&daemon, BootStage::Initramfs).await;
    let id = boot["boot"].as_str().unwrap();
    assert!(
        ticket_in(script.text()).starts_with(&format!("{id}-")),
        "the boot on the command line is this one"
    );

    let event = format!("/api/v1/machines/{MAC}/event");
    for report in [
        json!({"boot": id, "step": "userland"}),
        json!({"boot": id, "step": "agent-pull", "detail": "r/agent:1"}),
        json!({"boot": id, "step": "agent"}),
        json!({"boot": id, "step": "agent-report", "args": ["--x"], "env": {"WORKER_ID": "w", "REGISTRY_PASSWORD": "p"}}),
    ] {
        let answer = daemon.ask("POST", &event, "", &report.to_string()).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0));
    }
    let boot = reaches(&daemon, BootStage::Agent).await;
    assert_eq!(
        boot["agent"],
        json!({"args": ["--x"], "env": {"WORKER_ID": "w", "REGISTRY_PASSWORD": "***"}})
    );
    let stages: Vec<&str> =
        boot["stages"].as_array().unwrap().iter().map(|s| s["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["script", "kernel", "initramfs", "userland", "agent"]);
}

#[tokio::test]
async fn an_operator_who_looks_moves_no_boot() {
    let daemon = daemon(|_| {});
    assert_eq!(daemon.ask_from("127.0.0.1", "GET", SCRIPT, "", "").await.status, 200);
    assert_eq!(daemon.json("/api/v1/boots").await, json!([]));
}

#[tokio::test]
async fn a_machine_that_is_not_known_by_its_address_is_asked_who_it_is() {
    let daemon = daemon(|_| {});
    for path in ["/auto.ipxe", "/ipxe/script/auto.ipxe"] {
        let script = daemon.get(path).await;
        assert!(script.text().contains("/ipxe/script/${id}/auto.ipxe"), "{}", script.text());
    }
    daemon.get(SCRIPT).await;
    let script = daemon.get("/auto.ipxe").await;
    assert!(script.text().contains(&format!("hw_addr={MAC}")), "now it is known:\n{}", script.text());
}

#[tokio::test]
async fn a_machine_that_must_not_netboot_boots_locally_and_gets_no_loader() {
    let daemon = daemon(|machine| machine.netboot = false);
    let script = daemon.get(SCRIPT).await;
    assert_eq!(script.status, 200);
    assert!(script.text().contains("netboot is switched off for 52:54:00:00:00:01"), "{}", script.text());
    assert!(!script.text().contains("vmlinuz"));
    let loader = daemon.get("/ipxe/binary/52:54:00:00:00:01/snponly.efi").await;
    assert_eq!((loader.status, loader.text()), (403, "netboot is switched off for 52:54:00:00:00:01\n"));
}

#[tokio::test]
async fn unlisted_machines_follow_the_rule() {
    let daemon = Daemon::start(vec![machine()], UnknownMachines::LeaseOnly);
    let script = daemon.get("/ipxe/script/52:54:00:00:00:99/auto.ipxe").await;
    assert!(script.text().contains("is not in the inventory"), "{}", script.text());
    assert!(!script.text().contains("vmlinuz"));
}

#[tokio::test]
async fn once_is_used_up_across_a_restart_until_the_operator_gives_it_back() {
    let daemon = daemon(|machine| machine.boot = Some(BootPolicy::Once));
    assert!(daemon.get(SCRIPT).await.text().contains("vmlinuz"));
    daemon.get(KERNEL_PATH).await;
    daemon.get(INITRAMFS_PATH).await;
    reaches(&daemon, BootStage::Initramfs).await;
    assert!(!daemon.get(SCRIPT).await.text().contains("vmlinuz"));

    let (folder, mut settings, result) = daemon.stop().await;
    result.unwrap();
    settings.http_port = 0;
    let daemon = Daemon::with(folder, settings);
    assert!(!daemon.get(SCRIPT).await.text().contains("vmlinuz"), "the state survives");
    assert_eq!(daemon.json("/api/v1/boots").await.as_array().unwrap().len(), 1, "so does the history");
    let settled = format!("/api/v1/machines/{MAC}/settled");
    assert_eq!(daemon.ask("DELETE", &settled, "", "").await.status, 403, "a machine cannot");
    assert_eq!(daemon.ask_from("127.0.0.1", "DELETE", &settled, "", "").await.status, 204);
    assert!(daemon.get(SCRIPT).await.text().contains("vmlinuz"));
}

/// The value of `captain_boot=`.
pub(super) fn ticket_in(script: &str) -> &str {
    let (_, rest) = script.split_once("captain_boot=").unwrap();
    rest.split_whitespace().next().unwrap()
}

#[tokio::test]
async fn done_counts_from_who_was_told_of_the_boot_only_and_survives_a_restart() {
    let daemon = daemon(|machine| machine.boot = Some(BootPolicy::UntilDone));
    let script = daemon.get(SCRIPT).await;
    let ticket = ticket_in(script.text()).to_owned();
    let (id, proof) = ticket.split_once('-').unwrap();
    let event = format!("/api/v1/machines/{MAC}/event");
    let guessed = format!("{id}-{:016x}", u64::from_str_radix(proof, 16).unwrap() ^ 1);
    for forged in [
        json!({"step": "done"}),
        json!({"step": "done", "boot": id}),
        json!({"step": "done", "boot": guessed}),
    ] {
        assert_eq!(daemon.ask("POST", &event, "", &forged.to_string()).await.status, 403, "{forged}");
    }
    assert!(daemon.get(SCRIPT).await.text().contains("vmlinuz"));
    for path in [format!("/api/v1/machines/{MAC}/cmdline"), "/api/v1/boots".to_owned()] {
        assert!(!daemon.get(&path).await.text().contains(proof), "{path} gives the proof away");
    }
    let done = json!({"step": "done", "boot": ticket}).to_string();
    assert_eq!(daemon.ask("POST", &event, "", &done).await.status, 204);
    assert!(!daemon.get(SCRIPT).await.text().contains("vmlinuz"));
    let (folder, mut settings, _) = daemon.stop().await;
    settings.http_port = 0;
    let daemon = Daemon::with(folder, settings);
    assert!(!daemon.get(SCRIPT).await.text().contains("vmlinuz"), "the state survives");
    assert_eq!(daemon.ask("POST", &event, "", &done).await.status, 204, "and so does what proves a boot");
}

#[tokio::test]
async fn a_machine_whose_osie_is_being_built_is_told_to_wait_and_boots_when_it_is_there() {
    let (folder, settings) = settings(vec![machine()], UnknownMachines::Boot);
    let kernel = folder.path().join("osie/default/vmlinuz-x86_64");
    std::fs::remove_file(&kernel).unwrap();
    let daemon = Daemon::with(folder, settings);
    daemon.handle.awaits(Some("the OSIE `default` is being built"));
    for _ in 0..2 {
        let script = daemon.get(SCRIPT).await;
        assert_eq!(script.status, 200);
        let own = format!(
            "chain --autofree --replace http://127.0.0.1:{}{SCRIPT}?arch=",
            daemon.settings.http_port
        );
        for part in ["is being built", own.as_str()] {
            assert!(script.text().contains(part), "{part} is missing in {}", script.text());
        }
        assert!(!script.text().contains("vmlinuz"), "{}", script.text());
    }
    let missing = daemon.get(KERNEL_PATH).await;
    assert_eq!((missing.status, missing.header("Retry-After")), (503, Some("10")), "iPXE heeds it");
    for path in [KERNEL_PATH, "/ipxe/binary/nosuch.efi", "/pxelinux.cfg/01-52-54-00-00-00-01", "/readyz"] {
        let answer = daemon.get(path).await;
        assert_eq!(answer.status, 503, "{path}");
        assert!(answer.text().contains("the OSIE `default` is being built"), "{path}: {}", answer.text());
    }
    assert_eq!(daemon.json("/api/v1/status").await["awaited"], "the OSIE `default` is being built");
    assert_eq!(daemon.get("/healthz").await.status, 200);

    put(&kernel, KERNEL);
    assert_eq!(daemon.handle.restock(), [""; 0]);
    daemon.handle.awaits(None);
    assert!(daemon.get(SCRIPT).await.text().contains("vmlinuz"));
    assert_eq!(daemon.get("/readyz").await.status, 200);
    let boots = daemon.json("/api/v1/boots").await;
    assert_eq!(boots.as_array().unwrap().len(), 1, "waiting is one boot: {boots}");
}

#[tokio::test]
async fn the_operators_scripts_take_the_place_of_ours_and_a_reload_those_of_others() {
    let own = |text: &str| captain_boot::Templates::from_map([("boot.ipxe", text)]).unwrap();
    let (folder, mut settings) = settings(vec![machine()], UnknownMachines::Boot);
    settings.templates = own("#!ipxe\necho ours for {{mac}}\n");
    let inventory = settings.inventory.clone();
    let daemon = Daemon::with(folder, settings);
    assert_eq!(daemon.get(SCRIPT).await.text(), format!("#!ipxe\necho ours for {MAC}\n"));
    daemon.handle.reload(inventory, own("#!ipxe\necho another\n"));
    assert_eq!(daemon.get(SCRIPT).await.text(), "#!ipxe\necho another\n");
}

#[tokio::test]
async fn secrets_are_in_the_script_and_nowhere_else() {
    let daemon = daemon(|machine| machine.agent.registry_password = Some(Secret::new("hunter2")));
    assert!(daemon.get(SCRIPT).await.text().contains("registry_password=hunter2"));
    for path in ["", "/cmdline"] {
        let answer = daemon.get(&format!("/api/v1/machines/{MAC}{path}")).await;
        assert!(answer.status == 200 && !answer.text().contains("hunter2"), "{}", answer.text());
    }
    assert!(
        daemon.get(&format!("/api/v1/machines/{MAC}/cmdline")).await.text().contains("registry_password=***")
    );
    assert!(!daemon.get("/api/v1/boots").await.text().contains("hunter2"));
}

#[tokio::test]
async fn a_loader_comes_by_tftp_and_begins_a_boot() {
    let daemon = daemon(|_| {});
    let port = daemon.settings.tftp.as_ref().unwrap().port;
    let client = tokio::net::UdpSocket::bind("127.0.0.2:0").await.unwrap();
    let request = [b"\0\x01", MAC.as_bytes(), b"/snponly.efi\0octet\0"].concat();
    client.send_to(&request, ("127.0.0.1", port)).await.unwrap();
    let mut buffer = [0; 600];
    let (length, from) =
        tokio::time::timeout(Duration::from_secs(5), client.recv_from(&mut buffer)).await.unwrap().unwrap();
    assert_eq!(&buffer[..length], [b"\0\x03\0\x01", LOADER].concat());
    client.send_to(b"\0\x04\0\x01", from).await.unwrap();
    let boot = reaches(&daemon, BootStage::Loader).await;
    assert_eq!(boot["mac"], MAC);
}
