//! [`Finished`]: what became of a request.

use std::net::SocketAddrV4;

/// A request that was answered and is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// The client.
    pub peer: SocketAddrV4,
    /// The address and port of ours that it asked.
    pub local: SocketAddrV4,
    /// The file as asked, in our spelling: `/` as separator, none in front.
    pub file: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client acknowledged the last block.
    Sent {
        /// Payload bytes.
        bytes: u64,
        /// Milliseconds from the request to the last acknowledgement.
        millis: u64,
    },
    /// The client asked for the size and ended the transfer on purpose, as EDK2 does: not a failure.
    Probe,
    /// It was answered with an error: no such file, a write, too many transfers.
    Refused {
        /// The text that was sent.
        why: String,
    },
    /// It began and did not end.
    Failed {
        /// Why.
        why: String,
    },
}
