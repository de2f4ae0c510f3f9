//! Single steps: one datagram or one timeout at a time, and what follows from it.

use super::*;

/// A transfer of `size` bytes in the middle of whatever the test does to it.
struct Desk {
    transfer: Transfer,
    content: Vec<u8>,
    given: usize,
}

impl Desk {
    fn new(options: &str, size: usize) -> Self {
        let transfer = Transfer::new(Duration::ZERO, terms(options, size as u64), LIMITS);
        Self { transfer, content: file(size), given: 0 }
    }

    /// What is sent now: 0 for an OACK, -1 for an error, else block numbers.
    fn sent(&mut self, now: u64) -> Vec<i32> {
        let mut left = &self.content[self.given..];
        fill(&mut self.transfer, &mut left);
        self.given = self.content.len() - left.len();
        let number = |datagram: &[u8]| match datagram[1] {
            3 => i32::from(u16::from_be_bytes([datagram[2], datagram[3]])),
            6 => 0,
            _ => -1,
        };
        self.transfer.transmit(ms(now)).map(number).collect()
    }

    fn ack(&mut self, now: u64, number: u16) -> Vec<i32> {
        self.transfer.handle(ms(now), &[&[0, 4][..], &number.to_be_bytes()].concat());
        self.sent(now)
    }

    fn timeout(&mut self) -> (u64, Vec<i32>) {
        let deadline = self.transfer.deadline().unwrap();
        self.transfer.handle_timeout(deadline);
        let at = u64::try_from(deadline.as_millis()).unwrap();
        (at, self.sent(at))
    }

    fn error(&mut self, code: u8) {
        self.transfer.handle(ms(1), &[0, 5, 0, code, b'n', b'o', 0]);
    }

    fn failed(&self) -> &str {
        match self.transfer.end() {
            Some(End::Failed { why }) => why,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_wait_doubles_and_after_five_resends_the_transfer_fails_with_a_word_to_the_client() {
    let mut desk = Desk::new("", 2000);
    assert_eq!(desk.sent(0), [1]);
    let waits: Vec<_> = (0..6).map(|_| desk.timeout()).collect();
    let times: Vec<_> = waits.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [1000, 3000, 7000, 15_000, 23_000, 31_000]);
    assert!(waits[..5].iter().all(|(_, sent)| sent == &[1]));
    assert_eq!(waits[5].1, [-1]);
    assert_eq!(desk.failed(), "block 1 was never acknowledged");
    assert_eq!(desk.transfer.deadline(), None);
}

#[test]
fn a_chosen_timeout_is_kept_to() {
    let mut desk = Desk::new("timeout 3 ", 2000);
    desk.sent(0);
    let times: Vec<_> = (0..3).map(|_| desk.timeout().0).collect();
    assert_eq!(times, [3000, 6000, 9000]);
}

#[test]
fn even_the_longest_timeout_holds_a_place_for_two_minutes_only() {
    let mut desk = Desk::new("timeout 255 ", 2000);
    desk.sent(0);
    assert_eq!(desk.timeout(), (120_000, vec![-1]));
    assert_eq!(desk.failed(), "the client acknowledged nothing for 120 s");
}

#[test]
fn the_wait_adapts_to_a_fast_client() {
    let mut desk = Desk::new("", 512 * 20);
    desk.sent(0);
    for block in 1..10 {
        desk.ack(u64::from(block), block);
    }
    assert_eq!(desk.timeout(), (9 + 200, vec![10]));
}

#[test]
fn options_are_offered_first_and_data_waits_for_their_acknowledgement() {
    let mut desk = Desk::new("blksize 1024 ", 5000);
    assert_eq!(desk.sent(0), [0]);
    assert_eq!(desk.ack(1, 7), [0; 0], "only block 0 acknowledges an OACK");
    assert_eq!(desk.timeout().1, [0]);
    assert_eq!(desk.ack(1100, 0), [1]);
    assert_eq!(desk.ack(1101, 0), [0; 0], "and only once");
}

#[test]
fn a_size_probe_ends_as_one_and_any_other_error_is_a_failure() {
    let mut probe = Desk::new("tsize 0 blksize 1468 ", 5000);
    probe.sent(0);
    probe.error(8);
    assert_eq!(probe.transfer.end(), Some(&End::Probe));
    assert_eq!(probe.sent(2), [0; 0], "errors are never answered");

    let mut unasked = Desk::new("blksize 1468 ", 5000);
    unasked.sent(0);
    unasked.error(8);
    assert_eq!(unasked.failed(), "the client ended it with error 8: no");

    let mut late = Desk::new("tsize 0 ", 5000);
    late.sent(0);
    late.ack(1, 0);
    late.ack(2, 1);
    late.error(3);
    assert_eq!(late.failed(), "the client ended it with error 3: no");
}

#[test]
fn a_size_probe_whose_error_was_lost_is_none_the_less_one_when_the_client_begins_anew() {
    let mut probe = Desk::new("tsize 0 ", 5000);
    probe.sent(0);
    probe.transfer.abandon("anew");
    assert_eq!(probe.transfer.end(), Some(&End::Probe));
    for options in ["", "tsize 0 "] {
        let mut begun = Desk::new(options, 5000);
        begun.sent(0);
        begun.ack(1, 0);
        begun.ack(2, 1);
        begun.transfer.abandon("anew");
        assert_eq!(begun.failed(), "anew");
    }
}

#[test]
fn a_repeated_request_brings_the_same_answer_until_the_client_has_spoken() {
    let mut offered = Desk::new("blksize 1024 ", 5000);
    offered.sent(0);
    offered.transfer.handle_repeat();
    assert_eq!(offered.sent(1), [0]);
    offered.ack(2, 0);
    offered.transfer.handle_repeat();
    assert_eq!(offered.sent(3), [0; 0]);

    let mut plain = Desk::new("", 5000);
    plain.sent(0);
    for _ in 0..20 {
        plain.transfer.handle_repeat();
    }
    assert_eq!(plain.sent(1), [1]);
    let answers = (0..20).filter(|_| {
        plain.transfer.handle_repeat();
        !plain.sent(2).is_empty()
    });
    assert_eq!(answers.count(), 0, "a flood of requests is not answered for ever");
}

#[test]
fn an_acknowledgement_in_the_window_brings_new_blocks_at_once_and_all_the_rest_again_a_moment_later() {
    let mut desk = Desk::new("blksize 512 windowsize 4 ", 512 * 20);
    desk.sent(0);
    assert_eq!(desk.ack(10, 0), [1, 2, 3, 4]);
    assert_eq!(desk.ack(20, 2), [5, 6]);
    assert_eq!(desk.timeout(), (30, vec![3, 4, 5, 6]), "RFC 7440 section 4");
    assert_eq!(desk.ack(31, 2), [0; 0], "the same once more is no news yet");
    assert_eq!(desk.ack(50, 2), [3, 4, 5, 6], "later it is");
    assert_eq!(desk.ack(56, 2), [0; 0], "and complaints are answered less and less often");
    assert_eq!(desk.ack(80, 6), [7, 8, 9, 10]);
}

#[test]
fn a_block_that_came_twice_or_late_makes_nothing_go_out_again() {
    let mut desk = Desk::new("blksize 512 windowsize 4 ", 512 * 20);
    desk.sent(0);
    desk.ack(10, 0);
    assert_eq!(desk.ack(20, 2), [5, 6]);
    assert_eq!(desk.ack(25, 6), [7, 8, 9, 10]);
    assert_eq!(desk.timeout(), (225, vec![7, 8, 9, 10]), "only silence does");
}

#[test]
fn a_doubled_acknowledgement_is_forgotten_when_the_next_one_comes_and_counts_when_none_does() {
    for (next, want) in [(true, vec![9, 10, 11, 12]), (false, vec![5, 6, 7, 8])] {
        let mut desk = Desk::new("blksize 512 windowsize 4 ", 512 * 20);
        desk.sent(0);
        desk.ack(10, 0);
        assert_eq!(desk.ack(20, 4), [5, 6, 7, 8]);
        assert_eq!(desk.ack(26, 4), [0; 0], "before those can have been answered");
        if next {
            assert_eq!(desk.ack(31, 8), want);
            assert!(desk.timeout().0 > 200);
        } else {
            let (at, again) = desk.timeout();
            assert_eq!(again, want);
            assert!((30..60).contains(&at), "without a full timeout: {at}");
        }
    }
}

#[test]
fn a_lost_window_is_sent_again_when_the_client_says_so() {
    let mut desk = Desk::new("blksize 512 windowsize 4 ", 512 * 20);
    desk.sent(0);
    desk.ack(10, 0);
    desk.ack(20, 4);
    assert_eq!(desk.ack(30, 4), [5, 6, 7, 8]);
}

#[test]
fn acknowledgements_of_the_past_and_of_the_future_are_ignored() {
    let mut desk = Desk::new("blksize 512 windowsize 4 ", 512 * 20);
    desk.sent(0);
    desk.ack(10, 0);
    desk.ack(20, 4);
    for number in [0, 3, 9, 500, 65535] {
        assert_eq!(desk.ack(100, number), [0; 0], "{number}");
    }
}

#[test]
fn blocks_go_out_as_they_are_read_and_a_slow_file_makes_nobody_late() {
    let mut transfer = Transfer::new(Duration::ZERO, terms("windowsize 4 ", 5000), LIMITS);
    transfer.transmit(ms(0)).for_each(drop);
    transfer.handle(ms(1), &[0, 4, 0, 0]);
    let mut block = transfer.buffer();
    block.resize(transfer.block_end(), 7);
    transfer.supply(block);
    assert_eq!(transfer.transmit(ms(1)).count(), 1, "not kept back until the window is full");
    assert_eq!(transfer.deadline(), Some(ms(120_001)), "the client cannot acknowledge half a window");
    transfer.handle_timeout(ms(120_001));
    assert_eq!(transfer.end(), Some(&End::Failed { why: "the file gave nothing for 120 s".to_owned() }));
}

#[test]
fn two_timeouts_on_the_first_data_are_told_from_a_client_that_is_not_there() {
    let mut absent = Desk::new("blksize 1468 ", 5000);
    absent.sent(0);
    for _ in 0..4 {
        absent.timeout();
    }
    assert!(!absent.transfer.loses_first_data(), "the OACK was not acknowledged either");

    let mut tunnel = Desk::new("blksize 1468 ", 5000);
    tunnel.sent(0);
    tunnel.ack(1, 0);
    tunnel.timeout();
    assert!(!tunnel.transfer.loses_first_data());
    tunnel.timeout();
    assert!(tunnel.transfer.loses_first_data());
}

#[test]
fn no_datagram_makes_a_transfer_panic_or_skip_content() {
    let mut dice = Dice(99);
    for round in 0..200 {
        let mut desk = Desk::new(if round % 2 == 0 { "" } else { W4 }, 20_000);
        for now in 0..200 {
            let noise: Vec<u8> = (0..dice.below(8)).map(|_| dice.below(7) as u8).collect();
            desk.transfer.handle(ms(now), &noise);
            desk.transfer.handle_timeout(ms(now * 20));
            desk.sent(now * 20);
        }
    }
}

#[test]
fn an_abort_of_ours_is_told_once() {
    let mut desk = Desk::new("", 5000);
    desk.sent(0);
    desk.transfer.abort(0, "gone");
    assert_eq!(desk.sent(1), [-1]);
    assert_eq!(desk.sent(2), [0; 0]);
    assert_eq!(desk.failed(), "gone");
    let mut quiet = Desk::new("", 5000);
    quiet.transfer.abandon("elsewhere");
    assert_eq!(quiet.sent(1), [0; 0]);
}

#[test]
fn a_late_repeated_acknowledgement_in_lock_step_is_never_answered() {
    let mut desk = Desk::new("", 512 * 20);
    desk.sent(0);
    assert_eq!(desk.ack(10, 1), [2]);
    for now in [30, 90, 150] {
        assert_eq!(desk.ack(now, 1), [0; 0], "RFC 1123 section 4.2.3.1, after {now} ms");
    }
}
