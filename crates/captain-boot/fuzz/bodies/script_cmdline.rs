//! Any words of an operator: scripts and configurations hold them, and no word becomes a command.

use arbitrary::{Arbitrary, Unstructured};
use captain_boot::{Facts, ServerFacts, Via};
use captain_model::{
    Arch, BootId, BootTicket, Cmdline, Inventory, LocalBoot, Mac, Machine, Profile, Secret, UnknownMachines,
};

#[derive(Arbitrary, Debug)]
struct Words<'a> {
    via: u8,
    name: Option<&'a str>,
    worker_id: Option<&'a str>,
    ipam: Option<&'a str>,
    image: Option<&'a str>,
    password: Option<&'a str>,
    insecure: Vec<&'a str>,
    syslog: Option<&'a str>,
    profile: &'a str,
    osie: &'a str,
    arguments: Vec<&'a str>,
    why: &'a str,
}

const MAC: Mac = Mac::new([0x52, 0x54, 0, 0, 0, 1]);

/// One input.
pub(crate) fn run(input: &[u8]) {
    let Ok(words) = Words::arbitrary_take_rest(Unstructured::new(input)) else { return };
    let inventory = inventory(&words);
    let server = ServerFacts {
        http_base: "http://192.168.50.1:7080".to_owned(),
        syslog: words.syslog.map(|host| (host.to_owned(), 514)),
        registry_mirror: None,
    };
    let via = [Via::Ipxe, Via::Grub, Via::Iso][usize::from(words.via % 3)];
    let identity = inventory.identify(MAC);
    let boot = Some(BootTicket { boot: BootId(7), proof: 7 });
    let facts = Facts { mac: MAC, identity, arch: Arch::Amd64, boot, server: &server, via };
    local(words.why);
    let Ok(line) = captain_boot::cmdline(&facts) else { return };
    let text = line.to_string();
    assert!(
        text.len() < captain_model::cmdline::KERNEL_LIMIT && !text.chars().any(char::is_control),
        "{text:?}"
    );
    assert!(!text.contains("${"), "{text:?}");
    if let Some(password) = words.password.filter(|password| password.len() > 40) {
        let only_there = text.matches(password).count() == 1;
        assert!(!only_there || !captain_boot::masked(&line).contains(password), "the password is shown");
    }
    script(&captain_boot::script(&facts, &line));
    let plain = Facts { identity: captain_model::Identity::Unknown(identity.profile()), ..facts };
    same_lines(&captain_boot::script(&facts, &line), &captain_boot::script(&plain, &line));
    for config in
        captain_boot::grub_cfg(&facts, &line).into_iter().chain([captain_boot::pxelinux_cfg(&facts, &line)])
    {
        assert!(config.chars().all(|c| !c.is_control() || c == '\n' || c == '\t'), "{config:?}");
    }
}

/// A script is commands, one on each line; a word of ours in it must not begin another.
fn script(text: &str) {
    assert!(text.starts_with("#!ipxe\n"), "{text:?}");
    assert!(text.chars().all(|c| !c.is_control() || c == '\n'), "{text:?}");
}

/// The number of lines does not depend on what the words are.
fn same_lines(one: &str, other: &str) {
    assert_eq!(one.lines().count(), other.lines().count(), "{one}\n{other}");
}

fn local(why: &str) {
    for way in [LocalBoot::Exit, LocalBoot::Sanboot, LocalBoot::Poweroff, LocalBoot::Silence] {
        let (Some(told), Some(plain)) =
            (captain_boot::local_script(way, why), captain_boot::local_script(way, "no"))
        else {
            continue;
        };
        script(&told);
        same_lines(&told, &plain);
    }
}

fn inventory(words: &Words<'_>) -> Inventory {
    let owned = |word: Option<&str>| word.map(str::to_owned);
    let mut machine = Machine::new(MAC);
    machine.name = owned(words.name);
    machine.worker_id = owned(words.worker_id);
    machine.ipam = owned(words.ipam);
    machine.profile = Some(words.profile.to_owned());
    machine.agent.image = owned(words.image);
    machine.agent.registry_password = words.password.map(Secret::new);
    machine.agent.insecure_registries = Some(words.insecure.iter().map(|word| (*word).to_owned()).collect());
    // The configuration refuses such arguments with their line; here they are left out.
    for argument in &words.arguments {
        let _refused = machine.cmdline.push(argument);
    }
    let mut profile = Profile::new(words.profile);
    profile.osie = words.osie.to_owned();
    profile.cmdline = Cmdline::parse_line(words.why).unwrap_or_default();
    Inventory::new(vec![machine], [(words.profile.to_owned(), profile)].into(), UnknownMachines::Boot)
}
