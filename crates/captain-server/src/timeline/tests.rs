//! Boot stories in virtual time.

use super::*;

const MAC: Mac = Mac::new([0x52, 0x54, 0, 0, 0, 1]);

/// Tells a story to a timeline, second by second.
struct Story {
    timeline: Timeline,
    policy: BootPolicy,
    now: Timestamp,
    settled: bool,
    told: Vec<EventKind>,
}

impl Story {
    fn new(policy: BootPolicy) -> Self {
        let timeline = Timeline::new([], 0x1f);
        Self { timeline, policy, now: Timestamp::from_millis(1_000), settled: false, told: Vec::new() }
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now = self.now.after(Duration::from_secs(seconds));
        self
    }

    fn event(&mut self, kind: EventKind) -> &mut Self {
        let observed = self.timeline.observe(Event::new(self.now, MAC, kind), self.policy);
        self.settled |= observed.settled;
        self.told.extend(observed.events.into_iter().skip(1).map(|event| event.kind));
        self.after(1)
    }

    fn asks(&mut self, firmware: impl Into<Option<Firmware>>) -> &mut Self {
        self.event(EventKind::DhcpReply {
            message: "offer".into(),
            address: None,
            firmware: firmware.into(),
            arch: Some(Arch::Amd64),
            file: None,
            secs: 0,
        })
    }

    fn tftp(&mut self, file: &str) -> &mut Self {
        self.event(EventKind::TftpDone { file: file.into(), bytes: 1, millis: 1 })
    }

    fn gets(&mut self, path: &str, status: u16) -> &mut Self {
        let (method, path) = ("GET".into(), path.into());
        self.event(EventKind::Http { method, path, status, bytes: 1, millis: 1, complete: true })
    }

    fn reports(&mut self, step: &str, detail: &str) -> &mut Self {
        self.event(EventKind::Report { step: step.into(), detail: detail.into() })
    }

    fn downloads(&mut self) -> &mut Self {
        self.gets("/ipxe/script/52:54:00:00:00:01/auto.ipxe", 200)
            .gets("/osie/default/vmlinuz-x86_64", 200)
            .gets("/osie/default/initramfs-x86_64", 200)
    }

    fn boots(&self) -> Vec<(u64, BootStage)> {
        self.timeline.boots().iter().map(|boot| (boot.boot.0, boot.stage)).collect()
    }
}

#[test]
fn one_bios_boot_from_power_on_to_agent_is_one_boot_with_every_stage() {
    let mut story = Story::new(BootPolicy::Always);
    story.asks(Firmware::Bios).asks(Firmware::Bios).tftp("undionly.kpxe").asks(Firmware::Ipxe).downloads();
    story.asks(None).reports("userland", "").reports("agent-pull", "r/agent:1").reports("agent", "");
    assert_eq!(story.boots(), [(0x1f, BootStage::Agent)]);
    let boot = story.timeline.latest(MAC).unwrap();
    assert_eq!(boot.stages.iter().map(|reached| reached.stage).collect::<Vec<_>>(), BootStage::ALL);
    assert_eq!((boot.firmware, boot.arch), (Some(Firmware::Bios), Some(Arch::Amd64)));
    let stages = story.told.iter().filter(|kind| matches!(kind, EventKind::Stage { .. }));
    assert_eq!(stages.count(), BootStage::ALL.len(), "each stage is told once");
}

#[test]
fn the_power_button_begins_a_new_boot_at_any_stage() {
    let mut story = Story::new(BootPolicy::Always);
    story.asks(Firmware::Uefi).tftp("snponly.efi").asks(Firmware::Ipxe).downloads();
    story.asks(Firmware::Uefi).tftp("snponly.efi");
    story.after(300).asks(Firmware::Uefi);
    assert_eq!(
        story.boots(),
        [(0x1f, BootStage::Initramfs), (0x20, BootStage::Loader), (0x21, BootStage::Dhcp)]
    );
}

#[test]
fn an_ipxe_rom_needs_no_loader_and_begins_a_boot_itself() {
    let mut story = Story::new(BootPolicy::Always);
    story.asks(Firmware::Ipxe).asks(Firmware::Ipxe).downloads();
    story.asks(Firmware::Ipxe);
    assert_eq!(story.boots(), [(0x1f, BootStage::Initramfs), (0x20, BootStage::Dhcp)]);
    assert_eq!(story.timeline.latest(MAC).unwrap().firmware, Some(Firmware::Ipxe));
}

#[test]
fn ipxe_asking_again_right_after_its_script_stays_in_its_boot() {
    let mut story = Story::new(BootPolicy::Always);
    story.asks(Firmware::Uefi).tftp("snponly.efi").gets("/auto.ipxe", 200).asks(Firmware::Ipxe);
    assert_eq!(story.boots(), [(0x1f, BootStage::Script)]);
    story.after(60).asks(Firmware::Ipxe);
    assert_eq!(story.boots().len(), 2);
}

#[test]
fn without_dhcp_the_script_begins_a_boot() {
    let mut story = Story::new(BootPolicy::Always);
    story.downloads().downloads();
    assert_eq!(story.boots(), [(0x1f, BootStage::Initramfs), (0x20, BootStage::Initramfs)]);
}

#[test]
fn an_operating_system_asking_for_an_address_boots_nothing() {
    let mut story = Story::new(BootPolicy::Always);
    story.asks(None);
    assert_eq!(story.boots(), []);
}

#[test]
fn a_missing_kernel_fails_the_boot_and_a_later_success_heals_it() {
    let mut story = Story::new(BootPolicy::Always);
    story.asks(Firmware::Ipxe).gets("/auto.ipxe", 200).gets("/osie/default/vmlinuz-x86_64", 404);
    let why = "GET /osie/default/vmlinuz-x86_64 was answered 404".to_owned();
    let failure = Failure { stage: BootStage::Script, why: why.clone() };
    assert_eq!(story.timeline.latest(MAC).unwrap().failed, Some(failure));
    assert_eq!(story.told.last(), Some(&EventKind::Failed { stage: BootStage::Script, why }));
    story.gets("/osie/default/vmlinuz-x86_64", 200);
    assert_eq!(story.timeline.latest(MAC).unwrap().failed, None);
}

#[test]
fn a_size_probe_and_a_missing_extra_file_are_no_failures() {
    let mut story = Story::new(BootPolicy::Always);
    story.asks(Firmware::Uefi).event(EventKind::TftpProbe { file: "snponly.efi".into() });
    story.event(EventKind::TftpFailed { file: "x/autoexec.ipxe".into(), why: "not found".into() });
    story.tftp("snponly.efi").event(EventKind::TftpFailed { file: "snponly.efi".into(), why: "late".into() });
    assert_eq!(story.timeline.latest(MAC).unwrap().failed, None);
    assert_eq!(story.boots(), [(0x1f, BootStage::Loader)]);
}

#[test]
fn the_osie_gives_up_with_its_reason_in_the_stage_it_had_reached() {
    let mut story = Story::new(BootPolicy::Always);
    story.asks(Firmware::Ipxe).downloads().reports("userland", "").reports("failed", "registry refused");
    let failure = Failure { stage: BootStage::Userland, why: "registry refused".into() };
    assert_eq!(story.timeline.latest(MAC).unwrap().failed, Some(failure));
}

#[test]
fn once_is_used_up_by_the_initramfs_and_until_done_by_done() {
    let mut once = Story::new(BootPolicy::Once);
    once.asks(Firmware::Ipxe).gets("/auto.ipxe", 200).gets("/osie/default/vmlinuz-x86_64", 200);
    assert!(!once.settled);
    once.gets("/osie/default/initramfs-x86_64", 200);
    assert!(once.settled);

    let mut from_iso = Story::new(BootPolicy::Once);
    assert!(from_iso.reports("userland", "").settled, "nothing of an ISO is seen but what it says");
    from_iso.settled = false;
    assert!(
        from_iso.reports("agent", "").reports("userland", "").settled,
        "given back, its next boot counts too"
    );

    let mut until_done = Story::new(BootPolicy::UntilDone);
    until_done.asks(Firmware::Ipxe).downloads().reports("agent", "");
    assert!(!until_done.settled);
    until_done.reports("done", "");
    assert!(until_done.settled);
    assert_eq!(until_done.told.last(), Some(&EventKind::Done));

    let mut always = Story::new(BootPolicy::Always);
    assert!(!always.asks(Firmware::Ipxe).downloads().reports("done", "").settled);
}

#[test]
fn done_counts_even_when_the_boot_was_forgotten() {
    let mut story = Story::new(BootPolicy::UntilDone);
    assert!(story.reports("done", "").settled);
}

#[test]
fn a_late_report_belongs_to_the_boot_it_names() {
    let mut story = Story::new(BootPolicy::Always);
    story.asks(Firmware::Ipxe).downloads().asks(Firmware::Bios);
    let kind = EventKind::Report { step: "userland".into(), detail: String::new() };
    let late = Event { boot: Some(BootId(0x1f)), ..Event::new(story.now, MAC, kind) };
    let observed = story.timeline.observe(late, BootPolicy::Always);
    assert_eq!(observed.events[0].boot, Some(BootId(0x1f)));
    assert_eq!(story.boots(), [(0x1f, BootStage::Userland), (0x20, BootStage::Dhcp)]);
}

#[test]
fn ids_go_on_after_a_restart_and_old_boots_are_forgotten() {
    let mut story = Story::new(BootPolicy::Always);
    for _ in 0..KEPT_PER_MACHINE + 2 {
        story.asks(Firmware::Bios).tftp("undionly.kpxe");
    }
    assert_eq!(story.boots().len(), KEPT_PER_MACHINE);
    let kept: Vec<Boot> = story.timeline.boots().into_iter().cloned().collect();
    let last = kept[KEPT_PER_MACHINE - 1].boot;
    let mut again = Timeline::new(kept, 0);
    let kind = EventKind::TftpDone { file: "undionly.kpxe".into(), bytes: 1, millis: 1 };
    assert_eq!(
        again.observe(Event::new(story.now, MAC, kind), BootPolicy::Always).events[0].boot,
        Some(last)
    );
    let ask = Story::new(BootPolicy::Always).asks(Firmware::Bios).told.clone();
    assert_eq!(ask, [EventKind::Stage { stage: BootStage::Dhcp }]);
}

#[test]
fn made_up_machines_cannot_fill_the_memory() {
    let mut timeline = Timeline::new([], 1);
    let mac = |n: usize| Mac::new([2, 0, 0, 0, (n >> 8) as u8, n as u8]);
    for n in 0..KEPT_MACHINES + 3 {
        let kind = EventKind::Report { step: "userland".into(), detail: String::new() };
        // The first machine is heard of again and again.
        for mac in [mac(0), mac(n)] {
            timeline
                .observe(Event::new(Timestamp::from_millis(n as u64), mac, kind.clone()), BootPolicy::Always);
        }
    }
    assert_eq!(timeline.machines().count(), KEPT_MACHINES);
    assert!(timeline.latest(mac(0)).is_some(), "a machine that is alive is kept");
    assert!(timeline.latest(mac(1)).is_none(), "the quietest goes");
    assert!(timeline.latest(mac(KEPT_MACHINES + 2)).is_some());
}
