//! When a transfer ends, and how.

use std::time::Duration;

/// When a transfer gives up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How often the same datagrams are sent again.
    pub retries: u32,
    /// How long nothing new may be acknowledged, or the file give nothing.
    pub idle: Duration,
}

/// How a transfer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything was acknowledged.
    Complete {
        /// Payload bytes.
        bytes: u64,
    },
    /// The client wanted the size only (EDK2: `PxeBcTftpGetFileSize` ends with error 8 by design).
    Probe,
    /// It broke.
    Failed {
        /// Why.
        why: String,
    },
}
