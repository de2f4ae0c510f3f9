//! Captures of real clients, and what is left of them when they are damaged.

use super::*;
use proptest::prelude::*;

/// iPXE's option ROM under SeaBIOS in the lab: DISCOVER, OFFER, REQUEST, ACK (tcpdump on the bridge).
const LAB: &[u8] = include_bytes!("captures/lab-bios.pcap");
/// The same as pcapng (editcap).
const LAB_NG: &[u8] = include_bytes!("captures/lab-bios.pcapng");
/// busybox udhcpc, `tcpdump -i any` (cooked, second version).
const ANY: &[u8] = include_bytes!("captures/udhcpc-any.pcap");
/// busybox udhcpc, `tcpdump -i any -y LINUX_SLL` (cooked, first version).
const COOKED: &[u8] = include_bytes!("captures/udhcpc-sll.pcap");

const HEADER: usize = 24;
const RECORD: usize = 16;

/// A pcap file of one record.
fn file_of(link: u8, frame: &[u8], original: usize) -> Vec<u8> {
    let mut file = LAB[..HEADER].to_vec();
    file[20] = link;
    file.extend(&LAB[HEADER..HEADER + 8]);
    file.extend(u32::try_from(frame.len()).unwrap().to_le_bytes());
    file.extend(u32::try_from(original).unwrap().to_le_bytes());
    file.extend(frame);
    file
}

/// The first frame of the lab's capture.
fn frame() -> Vec<u8> {
    let length = u32::from_le_bytes(LAB[HEADER + 8..HEADER + 12].try_into().unwrap());
    LAB[HEADER + RECORD..][..length as usize].to_vec()
}

#[test]
fn a_capture_gives_what_came_to_the_server_and_counts_the_rest() {
    let capture = read(LAB).unwrap();
    assert_eq!(capture.others, 2, "the replies went to port 68");
    assert_eq!(capture.notes, [""; 0]);
    let [discover, request] = capture.datagrams.as_slice() else { panic!("{capture:?}") };
    assert_eq!(discover.at, Timestamp::from_millis(1_795_251_574_795));
    assert_eq!(discover.source, "0.0.0.0:68".parse().unwrap());
    assert_eq!(discover.destination, "255.255.255.255:67".parse().unwrap());
    assert_eq!((discover.payload.len(), request.payload.len()), (400, 412));
    assert!(!discover.cut && discover.port == Port::Server);
}

#[test]
fn pcapng_holds_the_same() {
    assert_eq!(read(LAB_NG).unwrap(), read(LAB).unwrap());
}

#[test]
fn cooked_captures_of_both_versions_are_read() {
    for (name, file) in [("any", ANY), ("sll", COOKED)] {
        let capture = read(file).unwrap();
        assert_eq!(capture.datagrams.len(), 1, "{name}: {capture:?}");
        assert_eq!(capture.datagrams[0].payload[28..34], [0x52, 0x54, 0, 0, 0, 7], "{name}");
    }
}

#[test]
fn a_frame_with_vlan_tags_is_read() {
    let mut frame = frame();
    frame.splice(12..12, [0x88, 0xa8, 0, 9, 0x81, 0x00, 0, 7]);
    let capture = read(&*file_of(1, &frame, frame.len())).unwrap();
    assert_eq!(capture.datagrams[0].payload, read(LAB).unwrap().datagrams[0].payload);
}

#[test]
fn a_packet_that_was_cut_by_the_snapshot_length_says_so() {
    let frame = frame();
    let capture = read(&*file_of(1, &frame[..96], frame.len())).unwrap();
    assert!(capture.datagrams[0].cut, "{capture:?}");
    assert_eq!(capture.datagrams[0].payload.len(), 96 - 14 - 20 - 8);
}

#[test]
fn a_fragment_and_a_strange_wire_are_noted() {
    let mut fragment = frame();
    fragment[20] |= 0x20;
    let capture = read(&*file_of(1, &fragment, fragment.len())).unwrap();
    assert!(capture.datagrams.is_empty() && capture.notes[0].contains("fragments"), "{capture:?}");
    let capture = read(&*file_of(105, &frame(), 400)).unwrap();
    assert!(capture.notes[0].contains("link type 105"), "{capture:?}");
}

#[test]
fn a_truncated_file_gives_what_is_whole_in_it() {
    let capture = read(&LAB[..LAB.len() - 300]).unwrap();
    assert_eq!(capture.datagrams.len(), 2);
    assert!(capture.notes[0].contains("ends within a packet"), "{capture:?}");
    for length in 0..LAB.len() {
        let _ = read(&LAB[..length]);
    }
    for length in 0..LAB_NG.len() {
        let _ = read(&LAB_NG[..length]);
    }
}

#[test]
fn what_is_no_capture_is_refused_with_a_way_out() {
    for file in ["", "#!ipxe\n", &"x".repeat(4096)] {
        assert_eq!(read(file.as_bytes()), Err(NoCapture));
    }
    assert!(NoCapture.to_string().contains("editcap -F pcap"));
}

proptest! {
    #[test]
    fn any_bytes_end_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let _ = read(&*bytes);
    }

    #[test]
    fn a_damaged_capture_ends_without_panic(
        next_generation in any::<bool>(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let mut file = if next_generation { LAB_NG } else { LAB }.to_vec();
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        let _ = read(&*file);
    }
}
