use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn watch(names: &[&str]) -> (Watch, Instant) {
    watch_of(0, names)
}

/// On the box whose address ends so.
fn watch_of(last: u8, names: &[&str]) -> (Watch, Instant) {
    let spec = |(at, name): (usize, &&str)| InterfaceSpec {
        name: (*name).to_owned(),
        index: u32::try_from(at).unwrap() + 1,
        address: Ipv4Addr::new(192, 0, 2, last),
        network: ipnet::Ipv4Net::default(),
        further: Vec::new(),
    };
    let specs: Vec<_> = names.iter().enumerate().map(spec).collect();
    (Watch::new(&specs), Instant::now())
}

/// Runs it until `end`; how many questions were asked.
fn until(watch: &mut Watch, end: Instant) -> usize {
    let mut asked = 0;
    while let Some(at) = watch.next().filter(|at| *at <= end) {
        asked += watch.due(at).len();
        if watch.is_over() {
            break;
        }
    }
    asked
}

#[test]
fn without_a_carrier_nobody_is_asked_and_nothing_is_known() {
    let (mut watch, start) = watch(&["eth1"]);
    watch.link(start, 1, false, false);
    assert_eq!(until(&mut watch, start + seconds(999)), 0);
    let stance = watch.stance();
    assert_eq!((stance.mode, stance.mode_on(1)), (DhcpMode::Auto, DhcpMode::AutoProxy));
    assert_eq!(stance.why, "no carrier on eth1");
}

#[test]
fn a_link_that_was_up_for_long_is_judged_after_five_seconds_and_three_questions_or_more() {
    let (mut watch, start) = watch(&["eth1"]);
    watch.link(start, 1, true, false);
    assert!(until(&mut watch, start + seconds(4)) >= 3);
    assert_eq!(watch.stance().mode, DhcpMode::Auto);
    until(&mut watch, start + seconds(5));
    assert_eq!(watch.stance(), Stance::of(DhcpMode::Dynamic, "no other DHCP server answered on eth1"));
}

#[test]
fn a_link_that_has_just_come_up_is_asked_until_spanning_tree_lets_questions_pass() {
    let (mut watch, start) = watch(&["eth1"]);
    watch.link(start, 1, true, true);
    let asked = until(&mut watch, start + seconds(44));
    assert_eq!(watch.stance().mode_on(1), DhcpMode::AutoProxy);
    assert!(watch.stance().why.starts_with("looking for other DHCP servers on eth1"));
    assert!(until(&mut watch, start + seconds(49)) > 0 && asked > 20, "{asked}");
    until(&mut watch, start + seconds(50));
    assert_eq!(watch.stance().mode_on(1), DhcpMode::Dynamic);
}

#[test]
fn a_datagram_shows_that_the_link_forwards_and_shortens_the_look_once() {
    let (mut watch, start) = watch(&["eth1"]);
    watch.link(start, 1, true, true);
    until(&mut watch, start + seconds(9));
    watch.heard(start + seconds(10), 1);
    watch.heard(start + seconds(13), 1);
    assert!(until(&mut watch, start + seconds(14)) >= 3);
    assert_eq!(watch.stance().mode, DhcpMode::Auto);
    until(&mut watch, start + seconds(15));
    assert_eq!(watch.stance().mode, DhcpMode::Dynamic);
}

#[test]
fn who_is_alone_looks_again_by_and_by_and_goes_on_serving() {
    let (mut watch, start) = watch(&["eth1"]);
    watch.link(start, 1, true, false);
    until(&mut watch, start + seconds(5));
    assert_eq!(until(&mut watch, start + seconds(124)), 0);
    assert!(until(&mut watch, start + seconds(129)) >= 3);
    assert_eq!(watch.stance().mode_on(1), DhcpMode::Dynamic);
    assert!(until(&mut watch, start + seconds(300)) >= 3, "and again");
    watch.found("there it is".to_owned());
    assert_eq!(watch.stance(), Stance::of(DhcpMode::AutoProxy, "there it is"));
}

/// When it asks, until it takes itself for alone.
fn questions(watch: &mut Watch) -> (Vec<Instant>, Instant) {
    let mut asked = Vec::new();
    loop {
        let at = watch.next().unwrap();
        asked.extend(watch.due(at).first().map(|_| at));
        if watch.stance().mode == DhcpMode::Dynamic {
            return (asked, at);
        }
    }
}

#[test]
fn of_boxes_that_start_together_the_later_ones_ask_once_more_when_the_first_is_alone() {
    for heard in [false, true] {
        let ends = [8, 9, 10, 23].map(|last| {
            let (mut watch, start) = watch_of(last, &["eth1"]);
            watch.link(start, 1, true, true);
            if heard {
                until(&mut watch, start + seconds(20));
                watch.heard(start + seconds(20), 1);
            }
            let (asked, end) = questions(&mut watch);
            let again = watch.next().unwrap();
            (asked.into_iter().map(|at| at - start).collect::<Vec<_>>(), end - start, again - start)
        });
        for (first, later) in ends.iter().zip(&ends[1..]) {
            assert!(later.0.last().unwrap() > &first.1, "{first:?} {later:?}");
            assert!(later.2 - first.2 > LISTEN / 2, "nor do they look again at one time");
        }
    }
}

#[test]
fn a_link_that_was_down_is_looked_at_anew_and_the_others_are_served() {
    let (mut watch, start) = watch(&["eth1", "eth2"]);
    for interface in [1, 2] {
        watch.link(start, interface, true, false);
    }
    until(&mut watch, start + seconds(5));
    watch.link(start + seconds(6), 2, false, true);
    assert!(watch.stance().why.ends_with("; no carrier on eth2"), "{}", watch.stance().why);
    watch.link(start + seconds(7), 2, true, true);
    let stance = watch.stance();
    assert_eq!((stance.mode_on(1), stance.mode_on(2)), (DhcpMode::Dynamic, DhcpMode::AutoProxy));
    assert!(stance.why.contains("looking for other DHCP servers on eth2"), "{}", stance.why);
    until(&mut watch, start + seconds(57));
    assert_eq!(watch.stance().mode_on(2), DhcpMode::Dynamic);
}

#[test]
fn where_a_machine_chose_another_server_no_addresses_are_given_out_any_more() {
    let (mut watch, start) = watch(&["eth1"]);
    watch.link(start, 1, true, false);
    until(&mut watch, start + seconds(5));
    let other = Ipv4Addr::new(192, 0, 2, 1);
    watch.chosen(start + seconds(6), 1, other);
    assert_eq!(watch.stance().mode_on(1), DhcpMode::AutoProxy);
    watch.chosen(start + seconds(9), 1, other);
    assert!(until(&mut watch, start + seconds(10)) >= 3, "it may answer us, too");
    assert!(!watch.is_over());
    until(&mut watch, start + seconds(11));
    assert_eq!(watch.stance().mode, DhcpMode::AutoProxy);
    assert!(watch.stance().why.contains("took its address from DHCP server 192.0.2.1"));
}
