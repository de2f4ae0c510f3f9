use super::*;
use crate::testing::{LOADER, put, settings};
use captain_model::{Mac, Machine, UnknownMachines};
use futures_util::AsyncReadExt;

const MAC: Mac = Mac::new([0x52, 0x54, 0, 0, 0, 1]);
const CLIENT: SocketAddrV4 = SocketAddrV4::new(std::net::Ipv4Addr::new(127, 0, 0, 2), 1);

struct Shop {
    folder: tempfile::TempDir,
    files: Files,
}

fn shop(change: impl FnOnce(&mut Machine)) -> Shop {
    let mut machine = Machine::new(MAC);
    change(&mut machine);
    let (folder, mut settings) = settings(vec![machine], UnknownMachines::Boot);
    put(&folder.path().join("extra/pxelinux.cfg/default"), b"extra");
    settings.tftp.as_mut().unwrap().root = Some(folder.path().join("extra"));
    let appliance = crate::bind(settings).unwrap().appliance;
    appliance.stock();
    Shop { folder, files: Files::new(appliance) }
}

async fn read(shop: &Shop, name: &str) -> Result<String, String> {
    ask(shop, name).await.map_err(|(_, why)| why)
}

async fn ask(shop: &Shop, name: &str) -> Result<String, (HandlerError, String)> {
    let mut files = shop.files.clone();
    match files.read_req_open(&CLIENT.into(), Path::new(name)).await {
        Ok((mut reader, size)) => {
            let mut content = String::new();
            reader.read_to_string(&mut content).await.unwrap();
            assert_eq!(size, Some(content.len() as u64), "the announced size is the true one");
            Ok(content)
        }
        Err(code) => Err((code, files.reason().expect("a reason"))),
    }
}

#[tokio::test]
async fn a_loader_is_found_behind_any_folder_and_trace() {
    let shop = shop(|_| {});
    for name in [
        "undionly.kpxe",
        "52:54:00:00:00:01/snponly.efi",
        "52-54-00-00-00-01/snponly.efi",
        "any/folder/snponly.efi",
        "snponly.efi-00-23b1e307bb35484f535a1f772c06910e-d887dc3912240434-01",
    ] {
        assert_eq!(read(&shop, name).await.as_deref(), Ok(std::str::from_utf8(LOADER).unwrap()), "{name}");
    }
    assert!(read(&shop, "nosuch.efi").await.unwrap_err().contains("no file nosuch.efi"));
}

#[tokio::test]
async fn ipxe_is_told_to_say_who_it_is_and_grub_gets_its_machine() {
    let shop = shop(|machine| machine.cmdline.push("only=this").unwrap());
    let autoexec = read(&shop, "52:54:00:00:00:01/autoexec.ipxe").await.unwrap();
    let port = shop.files.appliance.settings.http_port;
    assert!(autoexec.starts_with("#!ipxe"));
    assert!(autoexec.contains(&format!("http://127.0.0.1:{port}/ipxe/script/")), "{autoexec}");
    let grub = read(&shop, "grub/grub.cfg-01-52-54-00-00-00-01").await.unwrap();
    assert!(grub.contains("only=this"), "{grub}");
    assert!(grub.contains("/osie/default/vmlinuz-x86_64"), "{grub}");
}

#[tokio::test]
async fn u_boot_gets_its_configuration_and_what_that_names() {
    let shop = shop(|machine| machine.cmdline.push("only=this").unwrap());
    let config = read(&shop, "pxelinux.cfg/01-52-54-00-00-00-01").await.unwrap();
    assert!(config.contains("APPEND console=tty0") && config.contains(" only=this\n"), "{config}");
    assert!(!config.contains("initrd="), "U-Boot hands the initramfs over itself: {config}");
    let paths: Vec<&str> = config
        .lines()
        .filter_map(|line| line.trim().strip_prefix("KERNEL ").or(line.trim().strip_prefix("INITRD ")))
        .collect();
    assert_eq!(paths, ["/osie/default/vmlinuz-x86_64", "/osie/default/initramfs-x86_64"]);
    assert_eq!(read(&shop, paths[0]).await.as_deref(), Ok("kernel of the test"));
    assert_eq!(read(&shop, paths[1]).await.as_deref(), Ok("initramfs of the test"));
    assert!(read(&shop, "/osie/default/other").await.unwrap_err().contains("no file"));
    assert!(read(&shop, "/osie/nosuch/vmlinuz-x86_64").await.is_err());
}

#[tokio::test]
async fn grub_that_does_not_say_who_it_is_is_known_by_its_address() {
    let shop = shop(|_| {});
    assert!(read(&shop, "/grub/grub.cfg").await.unwrap_err().contains("no file"));
    read(&shop, "52:54:00:00:00:01/snponly.efi").await.unwrap();
    assert!(read(&shop, "/grub/grub.cfg").await.unwrap().contains("hw_addr=52:54:00:00:00:01"));
    put(&shop.folder.path().join("extra/grub/grub.cfg"), b"the operator's own");
    assert_eq!(read(&shop, "/grub/grub.cfg").await.as_deref(), Ok("the operator's own"));
}

#[tokio::test]
async fn a_raspberry_pi_finds_its_files_behind_its_serial_number() {
    let shop = shop(|machine| machine.address = Some("127.0.0.2".parse().unwrap()));
    put(&shop.folder.path().join("extra/start4.elf"), b"for all");
    put(&shop.folder.path().join("extra/config.txt"), b"for all");
    put(&shop.folder.path().join("extra/1a2b3c4d/config.txt"), b"for one");
    assert_eq!(read(&shop, "1a2b3c4d/start4.elf").await.as_deref(), Ok("for all"));
    assert_eq!(read(&shop, "1a2b3c4d/config.txt").await.as_deref(), Ok("for one"));
    assert_eq!(read(&shop, "ffffffff/config.txt").await.as_deref(), Ok("for all"));
    assert_eq!(read(&shop, "dc-a6-32-00-00-01/config.txt").await.as_deref(), Ok("for all"));
    assert!(read(&shop, "1a2b3c4d/../../secret").await.is_err());
    let cmdline = read(&shop, "1a2b3c4d/cmdline.txt").await.unwrap();
    assert!(cmdline.contains("hw_addr=52:54:00:00:00:01") && cmdline.ends_with('\n'), "{cmdline}");
}

#[tokio::test]
async fn a_file_that_a_raspberry_pi_would_cut_is_told_of() {
    let shop = shop(|_| {});
    for (size, told) in [(PI_READS, 0), (PI_READS + 1, 1)] {
        put(&shop.folder.path().join("extra/boot.img"), b"");
        std::fs::File::options()
            .write(true)
            .open(shop.folder.path().join("extra/boot.img"))
            .and_then(|file| file.set_len(size))
            .unwrap();
        for name in ["1a2b3c4d/boot.img", "boot.img"] {
            assert_eq!(shop.files.find(CLIENT, name).unwrap().1, Some(size));
        }
        let (past, _) = shop.files.appliance.bus.follow(captain_model::Timestamp::from_millis(0));
        let warnings = past.iter().filter(
            |event| matches!(&event.kind, EventKind::Report { detail, .. } if detail.contains("/tftp/1a2b3c4d/boot.img")),
        );
        assert_eq!(warnings.count(), told, "{past:?}");
    }
}

#[tokio::test]
async fn a_machine_that_must_not_netboot_is_told_why() {
    let shop = shop(|machine| machine.netboot = false);
    for name in [
        "52:54:00:00:00:01/snponly.efi",
        "52:54:00:00:00:01/autoexec.ipxe",
        "grub.cfg-01-52-54-00-00-00-01",
        "pxelinux.cfg/01-52-54-00-00-00-01",
        "grub/grub.cfg",
        "/osie/default/vmlinuz-x86_64",
        "1a2b3c4d/start4.elf",
        "pxelinux.cfg/default",
    ] {
        let why = read(&shop, name).await.unwrap_err();
        assert_eq!(why, "netboot is switched off for 52:54:00:00:00:01", "{name}");
    }
    assert!(read(&shop, "52:54:00:00:00:02/snponly.efi").await.is_ok(), "others are not affected");
}

#[tokio::test]
async fn u_boot_that_fetches_its_initramfs_first_gets_the_kernel_of_the_same_boot_and_no_other() {
    use captain_model::{BootPolicy, Firmware};
    let shop = shop(|machine| machine.boot = Some(BootPolicy::Once));
    let asks = || EventKind::DhcpReply {
        message: "offer".into(),
        address: None,
        firmware: Some(Firmware::UBoot),
        arch: None,
        file: None,
        secs: 0,
    };
    let initramfs = "osie/default/initramfs-x86_64";
    let appliance = &shop.files.appliance;
    appliance.state.start().unwrap();
    appliance.tell(MAC, asks());
    assert!(read(&shop, "pxelinux.cfg/01-52-54-00-00-00-01").await.is_ok());
    appliance.tell(MAC, EventKind::TftpDone { file: initramfs.to_owned(), bytes: 1, millis: 1 });
    assert!(appliance.settled(MAC));
    assert!(read(&shop, "osie/default/vmlinuz-x86_64").await.is_ok(), "it is still in its one boot");
    appliance.tell(MAC, asks());
    for name in ["pxelinux.cfg/01-52-54-00-00-00-01", initramfs, "osie/default/vmlinuz-x86_64"] {
        assert!(read(&shop, name).await.unwrap_err().contains("has booted once"), "{name}");
    }
}

#[tokio::test]
async fn the_end_of_the_initramfs_comes_after_the_one_boot_is_noted_and_an_interrupted_load_takes_that_back()
{
    let shop = shop(|machine| machine.boot = Some(captain_model::BootPolicy::Once));
    let appliance = &shop.files.appliance;
    let noted =
        || std::fs::read_to_string(shop.folder.path().join("state/settled")).unwrap().contains("52:54");
    let (client, initramfs) = (CLIENT, "osie/default/initramfs-x86_64");
    assert!(read(&shop, "pxelinux.cfg/01-52-54-00-00-00-01").await.is_ok(), "so its address is known");
    let mut files = shop.files.clone();
    let (mut reader, _) = files.read_req_open(&client.into(), Path::new(initramfs)).await.unwrap();
    let mut byte = [0];
    let late = tokio::time::timeout(std::time::Duration::from_millis(100), reader.read(&mut byte)).await;
    assert!(late.is_err() && !noted(), "nobody writes yet");
    appliance.state.start().unwrap();
    assert_eq!(reader.read(&mut byte).await.unwrap(), 1);
    assert!(noted());
    drop(reader);
    assert!(appliance.state.flushed().await && noted(), "it is not known how the load ended");
    drop(shop.files.loads().end(client));
    assert!(appliance.state.flushed().await && !noted(), "it broke off");
    assert!(shop.files.loads().end(client).is_none());

    assert!(read(&shop, initramfs).await.is_ok());
    appliance.tell(MAC, EventKind::TftpDone { file: initramfs.to_owned(), bytes: 1, millis: 1 });
    drop(shop.files.loads().end(client));
    assert!(appliance.state.flushed().await && noted());
}

#[tokio::test]
async fn what_is_being_made_is_named_where_it_is_missing() {
    let shop = shop(|_| {});
    let kernel = "osie/default/vmlinuz-x86_64";
    std::fs::remove_file(shop.folder.path().join(kernel)).unwrap();
    shop.files.appliance.awaited.store(Some(Arc::new("the OSIE `default` is being built".to_owned())));
    shop.files.appliance.stock();
    for name in [kernel, "nosuch.efi", "grub.cfg-01-52-54-00-00-00-01", "pxelinux.cfg/01-52-54-00-00-00-01"] {
        let why = read(&shop, name).await.unwrap_err();
        assert!(why.contains("the OSIE `default` is being built"), "{name}: {why}");
    }
    assert!(read(&shop, "snponly.efi").await.is_ok(), "this one is there");
}

#[tokio::test]
async fn nobody_reads_the_password_of_another_machine() {
    let password = |machine: &mut Machine| {
        machine.agent.registry_password = Some(captain_model::Secret::new("hunter2"));
    };
    let lease = captain_model::Lease {
        mac: Mac::new([0x52, 0x54, 0, 0, 0, 2]),
        address: "127.0.0.2".parse().unwrap(),
        expires: crate::clock::now().after(std::time::Duration::from_secs(60)),
        client_id: None,
        hostname: None,
    };
    let names = [
        "grub/grub.cfg-01-52-54-00-00-00-01",
        "pxelinux.cfg/01-52-54-00-00-00-01",
        "52-54-00-00-00-01/cmdline.txt",
    ];
    for name in names {
        let shop = shop(password);
        assert!(read(&shop, name).await.unwrap().contains("hunter2"), "{name}");
        shop.files.appliance.leases.apply(&[captain_dhcp::LeaseChange::Put(lease.clone())]);
        let why = read(&shop, name).await.unwrap_err();
        assert_eq!(why, "this address belongs to 52:54:00:00:00:02, not to 52:54:00:00:00:01", "{name}");
        assert!(read(&shop, "52-54-00-00-00-01/snponly.efi").await.is_ok(), "a loader is nobody's secret");
    }
}

#[tokio::test]
async fn a_machine_that_ipxe_is_to_switch_off_gets_ipxe_for_that_and_no_system() {
    use captain_model::LocalBoot;
    for way in [LocalBoot::Sanboot, LocalBoot::Poweroff] {
        let shop = shop(|machine| {
            machine.netboot = false;
            machine.local_boot = Some(way);
        });
        for name in ["52:54:00:00:00:01/snponly.efi", "52:54:00:00:00:01/autoexec.ipxe"] {
            assert!(read(&shop, name).await.is_ok(), "{way:?} {name}");
        }
        assert!(read(&shop, "grub.cfg-01-52-54-00-00-00-01").await.is_err(), "{way:?}");
    }
}

#[tokio::test]
async fn the_operators_folder_is_served_and_nothing_above_it() {
    let shop = shop(|_| {});
    assert_eq!(read(&shop, "pxelinux.cfg/default").await.as_deref(), Ok("extra"));
    put(&shop.folder.path().join("secret"), b"s");
    assert!(read(&shop, "../secret").await.is_err());
    assert!(read(&shop, "pxelinux.cfg/../../secret").await.is_err());
}

#[tokio::test]
async fn the_folder_that_is_there_by_now_is_served_and_after_a_reload_the_one_that_took_its_place() {
    let shop = shop(|_| {});
    let (root, appliance) = (shop.folder.path().join("extra"), &shop.files.appliance);
    std::fs::remove_dir_all(&root).unwrap();
    appliance.stock();
    assert!(read(&shop, "x").await.is_err());
    put(&shop.folder.path().join("v1/x"), b"one");
    put(&shop.folder.path().join("v2/x"), b"two");
    std::os::unix::fs::symlink("v1", &root).unwrap();
    assert_eq!(read(&shop, "x").await.as_deref(), Ok("one"));
    std::fs::remove_file(&root).unwrap();
    std::os::unix::fs::symlink("v2", &root).unwrap();
    appliance.reload(appliance.inventory.load_full());
    assert_eq!(read(&shop, "x").await.as_deref(), Ok("two"));
}

#[tokio::test]
async fn the_operators_own_autoexec_and_files_below_osie_are_found_but_not_by_who_must_not_netboot() {
    let own = |shop: &Shop| {
        put(&shop.folder.path().join("extra/autoexec.ipxe"), b"own");
        put(&shop.folder.path().join("extra/osie/tools/memtest"), b"own");
        put(&shop.folder.path().join("extra/osie/default/vmlinuz-x86_64"), b"shadowed");
    };
    let open = shop(|_| {});
    own(&open);
    for name in ["autoexec.ipxe", "52:54:00:00:00:01/autoexec.ipxe", "osie/tools/memtest"] {
        assert_eq!(read(&open, name).await.as_deref(), Ok("own"), "{name}");
    }
    assert_eq!(read(&open, "osie/default/vmlinuz-x86_64").await.as_deref(), Ok("kernel of the test"));
    let off = shop(|machine| {
        machine.netboot = false;
        machine.local_boot = Some(captain_model::LocalBoot::Poweroff);
    });
    own(&off);
    let script = read(&off, "52:54:00:00:00:01/autoexec.ipxe").await.unwrap();
    assert!(script.contains("/ipxe/script/"), "it is told to ask, and then to switch off: {script}");
    assert!(matches!(ask(&off, "osie/tools/memtest").await, Err((HandlerError::PermissionDenied, _))));
}

#[tokio::test]
async fn a_loader_that_is_written_over_is_refused_once_and_then_sent_as_it_is() {
    let shop = shop(|_| {});
    put(&shop.folder.path().join("loaders/snponly.efi"), &[b'x'; 3000]);
    assert!(
        matches!(ask(&shop, "snponly.efi").await, Err((HandlerError::Msg(_), why)) if why.contains("written over"))
    );
    for _ in 0..200 {
        if let Ok(content) = read(&shop, "snponly.efi").await {
            return assert_eq!(content, "x".repeat(3000));
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("it is refused for good");
}

#[tokio::test]
async fn writing_is_refused() {
    let shop = shop(|_| {});
    let refused = shop.files.clone().write_req_open(&CLIENT.into(), Path::new("x"), None).await;
    assert!(matches!(refused, Err(HandlerError::PermissionDenied)));
}

#[tokio::test]
async fn what_is_absent_what_is_refused_and_what_may_come_are_told_apart() {
    let mac = "pxelinux.cfg/01-52-54-00-00-00-01";
    let open = shop(|_| {});
    for name in ["pxelinux.cfg/0A4D0005", "pxelinux.cfg/default-arm-bcm283x", "nosuch.efi", "osie/default/x"]
    {
        let why = ask(&open, name).await.unwrap_err();
        assert!(matches!(&why, (HandlerError::FileNotFound, text) if text.contains(name)), "{name}: {why:?}");
    }
    open.files.appliance.awaited.store(Some(Arc::new("it is being built".to_owned())));
    assert!(matches!(ask(&open, "nosuch.efi").await, Err((HandlerError::Msg(_), _))), "it may come");
    let closed = shop(|machine| machine.netboot = false);
    assert!(matches!(ask(&closed, mac).await, Err((HandlerError::PermissionDenied, _))));
    let broken = shop(|machine| machine.cmdline.push(&"x".repeat(5000)).unwrap());
    assert!(matches!(ask(&broken, mac).await, Err((HandlerError::Msg(_), _))), "the operator repairs it");
}
