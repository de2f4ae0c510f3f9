//! How a container is run: its `config.json` for runc, and its unit for systemd.

use captain_oci::Running;
use serde_json::{Value, json};

use super::Container;
use crate::error::Error;

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// capabilities(7), all 41: such a container is part of the OSIE, as any other service.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// The runtime configuration: the machine's network and devices, all rights, a file system of its own.
///
/// # Errors
/// The image names no program, or a user that it does not have.
pub(super) fn config(
    container: &Container,
    running: &Running,
    accounts: (&str, &str),
) -> Result<Vec<u8>, Error> {
    let wrong = |why: String| Error::Container { name: container.source.clone(), why };
    let args = [&running.entrypoint[..], &running.cmd[..]].concat();
    if args.is_empty() {
        return Err(wrong("the image names no program to run (ENTRYPOINT or CMD)".to_owned()));
    }
    let (uid, gid) = user(&running.user, accounts).map_err(wrong)?;
    let mut env = running.env.clone();
    if !env.iter().any(|line| line.starts_with("PATH=")) {
        env.push(PATH.to_owned());
    }
    let capabilities: Vec<_> = CAPABILITIES.iter().map(|name| format!("CAP_{name}")).collect();
    let cwd = if running.working_dir.is_empty() { "/" } else { &running.working_dir };
    let config = json!({
        "ociVersion": "1.0.2",
        "process": {
            "terminal": false, "user": { "uid": uid, "gid": gid }, "args": args, "env": env, "cwd": cwd,
            "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
        },
        "root": { "path": "rootfs", "readonly": false },
        "mounts": mounts(),
        "linux": {
            "namespaces": [{ "type": "pid" }, { "type": "ipc" }, { "type": "mount" }],
            "cgroupsPath": format!("/captain/{}", container.name),
            "resources": { "devices": [{ "allow": true, "access": "rwm" }] },
        },
    });
    let mut text = serde_json::to_vec_pretty(&config).map_err(|error| wrong(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

fn mounts() -> Value {
    let bind = |path: &str, options: &[&str]| json!({ "destination": path, "type": "bind", "source": path, "options": options });
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "nodev", "mode=755"] },
        bind("/dev", &["rbind", "rw"]),
        bind("/sys", &["rbind", "rw"]),
        bind("/etc/resolv.conf", &["bind", "ro"]),
    ])
}

/// Numbers of `user` or `user:group`, by the image's own passwd(5) and group(5).
fn user(text: &str, (passwd, group): (&str, &str)) -> Result<(u32, u32), String> {
    let (name, of) = text.split_once(':').unwrap_or((text, ""));
    let line = |file: &str, name: &str, field: usize| -> Option<Vec<String>> {
        let mut lines = file.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
        lines.find(|fields| fields.get(field).is_some_and(|text| text == name) && fields.len() > 2)
    };
    let account = line(passwd, name, 0).or_else(|| line(passwd, name, 2));
    let number = |fields: &Option<Vec<String>>, at: usize| fields.as_ref()?.get(at)?.parse::<u32>().ok();
    let uid = match name {
        "" => 0,
        name => name.parse().ok().or_else(|| number(&account, 2)).ok_or_else(|| unknown("user", name))?,
    };
    let gid = match of {
        "" => number(&account, 3).unwrap_or(0),
        of => {
            of.parse().ok().or_else(|| number(&line(group, of, 0), 2)).ok_or_else(|| unknown("group", of))?
        }
    };
    Ok((uid, gid))
}

fn unknown(what: &str, name: &str) -> String {
    format!("it runs as {what} `{name}`, which its /etc/passwd or /etc/group does not name")
}

/// The unit: started with the network, again where it fails, its output in the journal.
pub(super) fn unit(container: &Container, folder: &str) -> String {
    let Container { name, source, .. } = container;
    format!(
        "[Unit]\n\
         Description=Container {name} ({source})\n\
         Wants=network-online.target\n\
         After=network-online.target systemd-resolved.service\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         ExecStartPre=-/usr/sbin/runc delete --force {name}\n\
         ExecStart=/usr/sbin/runc run --bundle {folder} {name}\n\
         ExecStop=-/usr/sbin/runc kill {name} TERM\n\
         ExecStopPost=-/usr/sbin/runc delete --force {name}\n\
         KillMode=mixed\n\
         Restart=on-failure\n\
         RestartSec=5\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNTS: (&str, &str) =
        ("root:x:0:0::/:/bin/sh\napp:x:7:8::/:/bin/sh\n", "root:x:0:\nwheel:x:10:\n");

    #[test]
    fn users_are_numbers_or_names_of_the_images_own_accounts() {
        for (text, want) in [
            ("", (0, 0)),
            ("app", (7, 8)),
            ("7", (7, 8)),
            ("app:wheel", (7, 10)),
            ("99:5", (99, 5)),
            ("99", (99, 0)),
        ] {
            assert_eq!(user(text, ACCOUNTS), Ok(want), "{text}");
        }
        assert!(user("nobody", ACCOUNTS).unwrap_err().contains("nobody"));
        assert!(user("app:staff", ACCOUNTS).unwrap_err().contains("staff"));
    }

    #[test]
    fn an_image_without_a_program_is_refused_and_others_get_a_path() {
        let container = Container { source: "my/x:1".into(), name: "x".into(), digest: String::new() };
        let error = config(&container, &Running::default(), ("", "")).unwrap_err().to_string();
        assert!(error.contains("my/x:1") && error.contains("no program"), "{error}");
        let running = Running { entrypoint: vec!["/a".into()], cmd: vec!["b".into()], ..Running::default() };
        let config: Value = serde_json::from_slice(&config(&container, &running, ("", "")).unwrap()).unwrap();
        assert_eq!(config["process"]["args"], json!(["/a", "b"]));
        assert_eq!(config["process"]["env"], json!([PATH]));
    }
}
