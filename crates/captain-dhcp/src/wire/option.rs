//! Option codes that this server reads or writes.

/// Subnet mask.
pub(crate) const MASK: u8 = 1;
/// Routers.
pub(crate) const ROUTER: u8 = 3;
/// Name servers.
pub(crate) const DNS: u8 = 6;
/// Log servers.
pub(crate) const LOG_SERVER: u8 = 7;
/// Host name.
pub(crate) const HOST_NAME: u8 = 12;
/// Domain name.
pub(crate) const DOMAIN: u8 = 15;
/// Broadcast address.
pub(crate) const BROADCAST: u8 = 28;
/// Time servers.
pub(crate) const NTP: u8 = 42;
/// Vendor options: PXE's sub-options.
pub(crate) const VENDOR: u8 = 43;
/// Requested address.
pub(crate) const REQUESTED: u8 = 50;
/// Lease time, seconds.
pub(crate) const LEASE_TIME: u8 = 51;
/// Which header fields hold options (RFC 2132 section 9.3).
pub(crate) const OVERLOAD: u8 = 52;
/// Message type.
pub(crate) const MESSAGE_TYPE: u8 = 53;
/// Server identifier.
pub(crate) const SERVER_ID: u8 = 54;
/// Parameter request list.
pub(crate) const PARAMETERS: u8 = 55;
/// Message: the reason of a NAK.
pub(crate) const TEXT: u8 = 56;
/// Greatest message that the client takes.
pub(crate) const MAX_SIZE: u8 = 57;
/// T1, seconds.
pub(crate) const RENEWAL: u8 = 58;
/// T2, seconds.
pub(crate) const REBINDING: u8 = 59;
/// Vendor class: `PXEClient`, `HTTPClient`.
pub(crate) const VENDOR_CLASS: u8 = 60;
/// Client identifier.
pub(crate) const CLIENT_ID: u8 = 61;
/// TFTP server name.
pub(crate) const TFTP_SERVER: u8 = 66;
/// Boot file name.
pub(crate) const BOOT_FILE: u8 = 67;
/// User class (RFC 3004, or raw text).
pub(crate) const USER_CLASS: u8 = 77;
/// Relay agent information (RFC 3046).
pub(crate) const RELAY: u8 = 82;
/// Client system architectures (RFC 4578).
pub(crate) const ARCH: u8 = 93;
/// Network interface identifier (RFC 4578).
pub(crate) const UNDI: u8 = 94;
/// Machine identifier (RFC 4578).
pub(crate) const UUID: u8 = 97;
/// Subnet selection (RFC 3011).
pub(crate) const SUBNET: u8 = 118;
/// Domain search list (RFC 3397).
pub(crate) const SEARCH: u8 = 119;
/// Classless static routes (RFC 3442).
pub(crate) const ROUTES: u8 = 121;
/// iPXE's own options, encapsulated.
pub(crate) const IPXE: u8 = 175;
