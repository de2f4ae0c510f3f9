//! The options that come with an address: its times, and the settings of its network.

use std::net::Ipv4Addr;

use captain_model::{Identity, Subnet};

use crate::decide::Case;
use crate::reply::Draft;
use crate::wire::{Message, option as code};
use crate::{LogServer, Route};

/// Options 51, 58 and 59; T1 and T2 at RFC 2131 section 4.4.5's half and seven eighths. BOOTP knows no leases.
pub(crate) fn times(draft: &mut Draft<'_>, case: &Case<'_>) {
    let Some(subnet) = case.subnet().filter(|_| draft.request.message != Message::Bootp) else { return };
    let seconds = u32::try_from(subnet.lease_time.as_secs()).unwrap_or(u32::MAX);
    draft.vital(code::LEASE_TIME, seconds.to_be_bytes(), "the subnet's `lease_time`");
    draft.extra(code::RENEWAL, (seconds / 2).to_be_bytes(), "half of it");
    draft.extra(code::REBINDING, (seconds - seconds / 8).to_be_bytes(), "seven eighths of it");
}

/// What a host of the subnet should know.
pub(crate) fn settings(draft: &mut Draft<'_>, case: &Case<'_>, identity: Identity<'_>) {
    let Some(subnet) = case.subnet() else { return };
    draft.vital(code::MASK, subnet.network.netmask().octets(), "the subnet's prefix");
    if let Some(router) = subnet.router {
        draft.extra(code::ROUTER, router.octets(), "the subnet's `router`");
    }
    addresses(draft, code::DNS, &subnet.dns, "the subnet's `dns`");
    if let Some(name) =
        identity.machine().and_then(|machine| machine.name.as_deref()).filter(|name| is_host(name))
    {
        draft.extra(code::HOST_NAME, name, "the machine's `name`");
    }
    domain(draft, subnet);
    draft.extra(code::BROADCAST, subnet.network.broadcast().octets(), "the subnet's last address");
    addresses(draft, code::NTP, &subnet.ntp, "the subnet's `ntp`");
    match case.settings.syslog {
        LogServer::Nowhere => {}
        LogServer::Here => addresses(draft, code::LOG_SERVER, &[case.ingress.local], "our syslog server"),
        LogServer::At(host) => addresses(draft, code::LOG_SERVER, &[host], "the configured syslog server"),
    }
    routes(draft, subnet, &case.settings.routes);
}

fn addresses(draft: &mut Draft<'_>, code: u8, list: &[Ipv4Addr], why: &str) {
    if !list.is_empty() {
        draft.extra(code, list.iter().flat_map(Ipv4Addr::octets).collect::<Vec<_>>(), why);
    }
}

fn domain(draft: &mut Draft<'_>, subnet: &Subnet) {
    let Some(domain) = &subnet.domain else { return };
    draft.extra(code::DOMAIN, domain, "the subnet's `domain`");
    if let Some(labels) = labels(domain) {
        draft.extra(code::SEARCH, labels, "the subnet's `domain`");
    }
}

/// A name in DNS form (RFC 3397, RFC 1035 section 3.1); `None` where it cannot be one.
fn labels(domain: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    for label in domain.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        bytes.push(length);
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    (bytes.len() <= 255).then_some(bytes)
}

/// Option 121, only to those who ask (or state no wishes): it makes them ignore option 3, so the default
/// route stands in it too (RFC 3442).
fn routes(draft: &mut Draft<'_>, subnet: &Subnet, all: &[Route]) {
    let mut data = Vec::new();
    for route in all.iter().filter(|route| subnet.network.contains(&route.via)) {
        let length = route.network.prefix_len();
        data.push(length);
        data.extend(&route.network.network().octets()[..usize::from(length.div_ceil(8))]);
        data.extend(route.via.octets());
    }
    let asked = draft.request.parameters.is_none() || draft.wish(code::ROUTES).is_some();
    if data.is_empty() || !asked {
        return;
    }
    let default =
        all.iter().any(|route| route.network.prefix_len() == 0 && subnet.network.contains(&route.via));
    if let (Some(router), false) = (subnet.router, default) {
        data.push(0);
        data.extend(router.octets());
    }
    draft.extra(
        code::ROUTES,
        data,
        "routes by this subnet's routers, the default route among them (RFC 3442)",
    );
}

/// Letters, digits, hyphens and dots: what a host name may be (RFC 1123 section 2.1).
fn is_host(name: &str) -> bool {
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(good)
}
