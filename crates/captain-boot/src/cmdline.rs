//! The kernel command line of one machine: Tinkerbell's names, in a fixed order.

use captain_model::cmdline::KERNEL_LIMIT;
use captain_model::{Cmdline, CmdlineError};

use crate::{BootError, Facts, Via, grub};

/// What the kernel is given: the profile's arguments, what the agent needs, the machine's own arguments, which
/// come last and win. The order is INTERFACE's; an argument without a value is left out.
///
/// # Errors
/// A value that cannot be in a kernel argument, `${`, or a line longer than the kernel takes.
pub fn cmdline(facts: &Facts) -> Result<Cmdline, BootError> {
    let mut line = facts.profile().cmdline.clone();
    for (key, value) in agent_arguments(facts).into_iter().chain(own_arguments(facts)) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            line.push_pair(key, &value).map_err(|error| refused(facts, key, &error))?;
        }
    }
    if let Some(machine) = facts.identity.machine() {
        line.extend(&machine.cmdline);
    }
    check(facts, line)
}

/// The line as it may be shown: `registry_password=***`.
pub fn masked(cmdline: &Cmdline) -> String {
    cmdline.masked()
}

type Argument = (&'static str, Option<String>);

/// What Tinkerbell's agent needs, under its names.
fn agent_arguments(facts: &Facts) -> Vec<Argument> {
    let agent = facts.identity.agent();
    let machine = facts.identity.machine();
    let syslog = facts.syslog();
    vec![
        ("facility", agent.facility),
        ("syslog_host", syslog.as_ref().map(|(host, _)| host.clone())),
        ("syslog_port", syslog.as_ref().map(|(_, port)| port.to_string())),
        ("grpc_authority", agent.grpc_authority),
        ("tinkerbell_tls", agent.tls.map(|on| on.to_string())),
        ("tinkerbell_insecure_tls", agent.insecure_tls.map(|on| on.to_string())),
        ("worker_id", Some(worker_id(facts))),
        ("hw_addr", Some(facts.mac.to_string())),
        ("tink_worker_image", agent.image),
        ("docker_registry", agent.registry),
        ("registry_username", agent.registry_username),
        ("registry_password", agent.registry_password.map(|secret| secret.expose().to_owned())),
        ("insecure_registries", agent.insecure_registries.map(|list| list.join(","))),
        ("vlan_id", machine.and_then(|machine| machine.vlan).map(|vlan| vlan.to_string())),
        ("ipam", machine.and_then(|machine| machine.ipam.clone())),
    ]
}

/// What captaind's OSIE and its loader need.
fn own_arguments(facts: &Facts) -> Vec<Argument> {
    let initrd = match facts.via {
        Via::Ipxe => Some(facts.initrd_name()),
        Via::Grub | Via::Iso => None,
    };
    vec![
        ("captain_url", Some(facts.server.http_base.clone())),
        ("captain_boot", facts.boot.map(|boot| boot.to_string())),
        ("registry_mirror", facts.server.registry_mirror.clone()),
        ("initrd", initrd),
    ]
}

/// The id that the Tinkerbell server knows the machine by: of a machine with several ports always the first's
/// MAC, whichever it boots from.
fn worker_id(facts: &Facts) -> String {
    match facts.identity.machine() {
        Some(machine) => machine.worker_id.clone().unwrap_or_else(|| machine.mac().to_string()),
        None => facts.mac.to_string(),
    }
}

/// The model's error names the value, which may be a secret; this one does not.
fn refused(facts: &Facts, key: &'static str, error: &CmdlineError) -> BootError {
    let what = match error {
        CmdlineError::Control(_) => "a control character (newline, NUL, ...)",
        CmdlineError::Quote(_) => "a double quote",
        CmdlineError::Space(_) => "a space",
        CmdlineError::Empty => "nothing",
    };
    BootError::Value { machine: facts.who(), key, what }
}

fn check(facts: &Facts, line: Cmdline) -> Result<Cmdline, BootError> {
    if line.iter().any(|argument| argument.contains("${")) {
        let shown = Cmdline::masked_arguments(&line).find(|argument| argument.contains("${"));
        let argument = shown.unwrap_or("registry_password=***").to_owned();
        return Err(BootError::Expansion { machine: facts.who(), argument });
    }
    // KERNEL_LIMIT counts the NUL at the end.
    let (length, limit) = (line.to_string().len(), KERNEL_LIMIT - 1 - prefix(facts));
    if length > limit {
        let profile = facts.profile().name.clone();
        return Err(BootError::TooLong { machine: facts.who(), length, limit, profile });
    }
    Ok(line)
}

/// Bytes that the loader itself puts in front. Seen on Linux 6.12: iPXE on EFI the image's name
/// (`vmlinuz-x86_64 console=...`); GRUB puts `BOOT_IMAGE=` and the kernel's full path.
fn prefix(facts: &Facts) -> usize {
    match facts.via {
        Via::Ipxe => facts.kernel_name().len() + 1,
        Via::Grub => {
            let (host, port) = grub::authority(&facts.server.http_base);
            format!("BOOT_IMAGE=(http,{host}:{port}){} ", facts.kernel_path()).len()
        }
        // The room in an ISO is smaller by far; see `iso_cmdline`.
        Via::Iso => 0,
    }
}
