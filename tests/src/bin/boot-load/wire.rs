//! TFTP clients in lock-step that cost nearly nothing: a program in the kernel turns each block round into its
//! acknowledgement where the network device takes it in, so that all processors are the server's, as if the clients were
//! other machines.

use std::error::Error;
use std::io;
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use super::bpf::{
    ADD, ADD_REGISTER, AND, BYTE, CHANGE_TAIL, HALF, IF_ABOVE_REGISTER, IF_AT_LEAST, IF_EQUAL, IF_NOT_EQUAL,
    IF_NOT_EQUAL_REGISTER, LONG, LOOKUP, MOVE, MOVE_REGISTER, Program, REDIRECT_PEER, SHIFT_RIGHT, SUBTRACT,
    WORD, XOR, create_array, look_up, number,
};
use super::{Sum, Task};

/// The clients' ports are these and the following.
const FIRST_PORT: u16 = 20_000;
/// A transfer in which nothing moved for so long has failed.
const PATIENCE: Duration = Duration::from_secs(10);
/// What a program says of a frame: include/uapi/linux/pkt_cls.h.
const PASS: i32 = 0;
const DROP: i32 = 2;
/// Where a frame begins and ends in memory, in what the program is given: struct __sk_buff of include/uapi/linux/bpf.h.
const BEGIN: i16 = 76;
const END: i16 = 80;
/// How often the clients are looked at.
const LOOK: Duration = Duration::from_millis(2);

/// Offsets in an Ethernet frame that carries IPv4 without options, UDP and TFTP.
const ETHER_TYPE: i16 = 12;
const VERSION: i16 = 14;
const TOTAL_LENGTH: i16 = 16;
const PROTOCOL: i16 = 23;
const IP_CHECKSUM: i16 = 24;
const SOURCE: i16 = 26;
const DESTINATION: i16 = 30;
const SOURCE_PORT: i16 = 34;
const DESTINATION_PORT: i16 = 36;
const UDP_LENGTH: i16 = 38;
const UDP_CHECKSUM: i16 = 40;
const OPCODE: i16 = 42;
const BLOCK: i16 = 44;
/// An acknowledgement in its frame.
const FRAME: i32 = 46;

/// What the program keeps of each client: the number of its last block (4 bytes), whether it was a short one (4), and
/// the bytes that came (8).
const STATE: usize = 16;

/// Loads the file once from each of `clients` ports of `own`, all behind `interface`.
///
/// # Errors
/// The kernel refuses the program, or a socket.
pub(super) fn load(task: &Task, clients: u16, own: &str, interface: &str) -> Result<Sum, Box<dyn Error>> {
    let states = create_array(STATE, u32::from(clients))?;
    let interface = number(interface)?;
    let _attached = answer(&states, clients, task.block, interface)?.attach(interface)?;
    let request = super::tftp::request(task);
    let sockets = (0..clients).map(|number| {
        let socket = UdpSocket::bind((own, FIRST_PORT + number))?;
        socket.set_nonblocking(true)?;
        socket.send_to(&request, task.server)?;
        Ok(socket)
    });
    let sockets = sockets.collect::<io::Result<Vec<_>>>()?;
    watch(&states, &sockets)
}

/// Waits until every client has its last block, or nothing moves any more.
fn watch(states: &OwnedFd, sockets: &[UdpSocket]) -> Result<Sum, Box<dyn Error>> {
    let (mut before, mut moved) = (0, Instant::now());
    loop {
        let mut sum = Sum::default();
        for number in 0..sockets.len() {
            let state: [u8; STATE] = look_up(states, u32::try_from(number)?)?;
            let [_, ended, low, high] =
                [0, 4, 8, 12].map(|at| u32::from_ne_bytes([0, 1, 2, 3].map(|byte| state[at + byte])));
            sum.bytes += u64::from(low) | u64::from(high) << 32;
            sum.failed += u32::from(ended == 0);
        }
        if sum.bytes > before {
            (before, moved) = (sum.bytes, Instant::now());
        }
        if sum.failed == 0 || moved.elapsed() > PATIENCE {
            complain(sockets);
            return Ok(sum);
        }
        std::thread::sleep(LOOK);
    }
}

/// What the program does not answer are errors.
fn complain(sockets: &[UdpSocket]) {
    let mut buffer = [0; 600];
    for socket in sockets {
        while let Ok(length) = socket.recv(&mut buffer) {
            eprintln!("a client was told: {}", String::from_utf8_lossy(&buffer[4.min(length)..length]));
        }
    }
}

/// The program. Registers: 6 the context, 7 the frame, 8 its end, 9 the client's number.
fn answer(states: &OwnedFd, clients: u16, block: usize, interface: u32) -> Result<Program, Box<dyn Error>> {
    let mut program = Program::default();
    program.register(MOVE_REGISTER, 6, 1);
    program.load(WORD, 7, 6, BEGIN).load(WORD, 8, 6, END);
    program.register(MOVE_REGISTER, 2, 7).immediate(ADD, 2, FRAME).jump_register(
        IF_ABOVE_REGISTER,
        2,
        8,
        "pass",
    );
    for (size, at, wanted) in
        [(HALF, ETHER_TYPE, i32::from(0x0800_u16.to_be())), (BYTE, VERSION, 0x45), (BYTE, PROTOCOL, 17)]
    {
        program.load(size, 2, 7, at).jump(IF_NOT_EQUAL, 2, wanted, "pass");
    }
    program.load(HALF, 9, 7, DESTINATION_PORT).swap(9).immediate(SUBTRACT, 9, i32::from(FIRST_PORT));
    program.jump(IF_AT_LEAST, 9, i32::from(clients), "pass");
    program.load(HALF, 2, 7, OPCODE).jump(IF_EQUAL, 2, i32::from(3_u16.to_be()), "data");
    program.jump(IF_NOT_EQUAL, 2, i32::from(6_u16.to_be()), "pass");
    // Options are granted: block 0.
    program.store_immediate(HALF, 7, BLOCK, 0).always("acknowledge");
    count(&mut program, states, i32::try_from(block)?);
    turn_round(&mut program, i32::try_from(interface)?);
    program.label("pass").immediate(MOVE, 0, PASS).exit();
    program.label("drop").immediate(MOVE, 0, DROP).exit();
    Ok(program)
}

/// Counts a block that is the next one of its client; all are acknowledged.
fn count(program: &mut Program, states: &OwnedFd, block: i32) {
    program.label("data").store(WORD, 10, -4, 9);
    program.map(1, states.as_raw_fd()).register(MOVE_REGISTER, 2, 10).immediate(ADD, 2, -4).call(LOOKUP);
    program.jump(IF_EQUAL, 0, 0, "pass");
    program.load(HALF, 2, 7, BLOCK).swap(2);
    program.load(WORD, 3, 0, 0).immediate(ADD, 3, 1).immediate(AND, 3, 0xffff);
    program.jump_register(IF_NOT_EQUAL_REGISTER, 2, 3, "acknowledge");
    program.store(WORD, 0, 0, 3);
    program.load(HALF, 2, 7, UDP_LENGTH).swap(2).immediate(SUBTRACT, 2, 12);
    program.load(LONG, 3, 0, 8).register(ADD_REGISTER, 3, 2).store(LONG, 0, 8, 3);
    program.jump(IF_AT_LEAST, 2, block, "acknowledge");
    program.store_immediate(WORD, 0, 4, 1);
}

/// Makes the frame an acknowledgement for who sent it, and gives it to the other end of the veth pair, in the server's
/// network namespace, as if it came from the wire there.
fn turn_round(program: &mut Program, interface: i32) {
    program.label("acknowledge").store_immediate(HALF, 7, OPCODE, i32::from(4_u16.to_be()));
    for (size, one, other) in
        [(WORD, 0, 6), (HALF, 4, 10), (WORD, SOURCE, DESTINATION), (HALF, SOURCE_PORT, DESTINATION_PORT)]
    {
        program.load(size, 2, 7, one).load(size, 3, 7, other).store(size, 7, one, 3).store(size, 7, other, 2);
    }
    // RFC 1624 equation 3: of the header, only the length changes its checksum.
    let length = i32::from(32_u16.to_be());
    program.load(HALF, 2, 7, TOTAL_LENGTH).immediate(XOR, 2, 0xffff);
    program.load(HALF, 3, 7, IP_CHECKSUM).immediate(XOR, 3, 0xffff);
    program.register(ADD_REGISTER, 3, 2).immediate(ADD, 3, length);
    for _ in 0..2 {
        program.register(MOVE_REGISTER, 2, 3).immediate(SHIFT_RIGHT, 2, 16);
        program.immediate(AND, 3, 0xffff).register(ADD_REGISTER, 3, 2);
    }
    program.immediate(XOR, 3, 0xffff).store(HALF, 7, IP_CHECKSUM, 3);
    program.store_immediate(HALF, 7, TOTAL_LENGTH, length);
    program.store_immediate(HALF, 7, UDP_LENGTH, i32::from(12_u16.to_be()));
    program.store_immediate(HALF, 7, UDP_CHECKSUM, 0);
    program.register(MOVE_REGISTER, 1, 6).immediate(MOVE, 2, FRAME).immediate(MOVE, 3, 0).call(CHANGE_TAIL);
    program.jump(IF_NOT_EQUAL, 0, 0, "drop");
    program.immediate(MOVE, 1, interface).immediate(MOVE, 2, 0).call(REDIRECT_PEER).exit();
}
