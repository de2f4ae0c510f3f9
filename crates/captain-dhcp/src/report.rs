//! What happened, as events: one for the answer or the silence, one for a refusal to boot.

use captain_model::{Arch, Event, EventKind, Firmware, Ignored, Timestamp};

use crate::Outcome;
use crate::boot::{Boot, Choice};
use crate::decide::{BootMessage, Decision};
use crate::who::Netboot;
use crate::wire::Request;

/// Publishes what happened.
pub(crate) fn report(
    now: Timestamp,
    request: &Request,
    netboot: &Result<Netboot, String>,
    choice: &Choice,
    decision: &Decision,
    outcome: &mut Outcome,
) {
    let message = match decision {
        Decision::Offer(_) | Decision::BootOnly(BootMessage::Offer) => "offer",
        Decision::Ack(_) | Decision::Inform | Decision::BootOnly(BootMessage::Ack) => "ack",
        Decision::Nak(_) => "nak",
        Decision::Silence(why) => {
            let refusal = choice.refused.clone().filter(|_| names_refusal(why));
            let kind = EventKind::Ignored { why: why.to_string() };
            let refusal = refusal.map(|why| EventKind::NetbootRefused { why });
            outcome
                .events
                .extend(refusal.into_iter().chain([kind]).map(|kind| Event::new(now, request.mac, kind)));
            return;
        }
    };
    let address = match decision {
        Decision::Offer(address) | Decision::Ack(address) => Some(*address),
        Decision::Inform | Decision::Nak(_) | Decision::BootOnly(_) | Decision::Silence(_) => None,
    };
    let (firmware, arch) = seen(netboot);
    let file = match (&choice.boot, decision) {
        (
            Boot::Load(load),
            Decision::Offer(_) | Decision::Ack(_) | Decision::Inform | Decision::BootOnly(_),
        ) => load.file.clone(),
        (Boot::Load(_), Decision::Nak(_) | Decision::Silence(_)) | (Boot::Nothing | Boot::Silence(_), _) => {
            None
        }
    };
    let kind = EventKind::DhcpReply {
        message: message.to_owned(),
        address,
        firmware,
        arch,
        file,
        secs: request.secs,
    };
    let refusal = choice.refused.clone().map(|why| EventKind::NetbootRefused { why });
    outcome.events.extend([kind].into_iter().chain(refusal).map(|kind| Event::new(now, request.mac, kind)));
}

fn seen(netboot: &Result<Netboot, String>) -> (Option<Firmware>, Option<Arch>) {
    netboot.as_ref().map_or((None, None), |netboot| (Some(netboot.firmware), netboot.arch))
}

/// Whether the silence is about booting, so that the operator should see it as a refusal.
fn names_refusal(why: &Ignored) -> bool {
    matches!(why, Ignored::Refused(_) | Ignored::UnsupportedArch(_))
}
