//! DHCP, ProxyDHCP and leases as a pure state machine.
