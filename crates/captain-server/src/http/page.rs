//! The dashboard: machines and how far their boots have come, in one page without anything from elsewhere.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;
use captain_model::{BootStage, Mac, Timestamp};

use super::api::all;
use crate::appliance::Appliance;
use crate::clock::now;
use crate::timeline::Boot;

const HEAD: &str = include_str!("page/head.html");
const FOOT: &str = include_str!("page/foot.html");

/// `/`.
pub(super) async fn dashboard(State(appliance): State<Arc<Appliance>>) -> Html<String> {
    let mut page = String::from(HEAD);
    page.push_str("<main>");
    warnings(&mut page, &appliance);
    let rows: Vec<String> = all(&appliance).into_iter().map(|mac| row(&appliance, mac)).collect();
    if rows.is_empty() {
        page.push_str("<p>No machine has been seen yet: switch one on.</p>");
    } else {
        page.push_str(
            "<table><thead><tr><th>Machine<th>Address<th>Profile<th>Boot<th>Stages<th>Last sign</tr></thead>",
        );
        page.extend(rows);
        page.push_str("</table>");
    }
    let mode = appliance.mode();
    let (mode, why) = &*mode;
    // Writing to a String cannot fail, here and below.
    let _ = write!(page, "<p class=note>DHCP mode {mode}: {}</p></main>{FOOT}", escape(why));
    Html(page)
}

fn warnings(page: &mut String, appliance: &Appliance) {
    for missing in appliance.shelf.load().missing() {
        let _ = write!(page, "<p class=warning>{}</p>", escape(missing));
    }
}

fn row(appliance: &Appliance, mac: Mac) -> String {
    let inventory = appliance.inventory.load();
    let identity = inventory.identify(mac);
    let macs = identity.machine().map_or_else(|| vec![mac], |machine| machine.macs.clone());
    let boot = macs.iter().filter_map(|mac| appliance.bus.latest_boot(*mac)).max_by_key(|boot| boot.boot);
    let lease = appliance.leases.all().into_iter().find(|lease| macs.contains(&lease.mac));
    let address = lease.map(|lease| lease.address).or(identity.machine().and_then(|machine| machine.address));
    let name = identity.machine().and_then(|machine| machine.name.as_deref()).unwrap_or_default();
    let address = address.map_or_else(|| "–".to_owned(), |address| address.to_string());
    let profile = escape(&identity.profile().name);
    let refused = appliance
        .refusal(mac)
        .map_or_else(String::new, |why| format!("<br><span class=failed>{}</span>", escape(&why)));
    format!(
        "<tr><td><b>{}</b><br><code>{mac}</code>{refused}<td>{address}<td>{profile}{}</tr>",
        escape(name),
        boot.map_or_else(|| "<td>–<td><td>".to_owned(), |boot| cells(&boot, now())),
    )
}

fn cells(boot: &Boot, now: Timestamp) -> String {
    let firmware = boot.firmware.map_or_else(String::new, |firmware| format!("<br>{firmware}"));
    let stages: String = BootStage::ALL.into_iter().map(|stage| bead(boot, stage)).collect();
    let failed = boot.failed.as_ref().map_or_else(String::new, |failure| {
        format!("<br><span class=failed>stopped after {}: {}</span>", failure.stage, escape(&failure.why))
    });
    let done = if boot.done { " done" } else { "" };
    let ago = now.since(boot.touched).as_secs();
    format!("<td>{}{firmware}<td>{stages}{done}{failed}<td>{ago} s ago", boot.boot)
}

/// One stage: reached with its time since the start, or not.
fn bead(boot: &Boot, stage: BootStage) -> String {
    match boot.stages.iter().find(|reached| reached.stage == stage) {
        Some(reached) => {
            let seconds = reached.at.since(boot.started).as_secs_f32();
            format!("<span class=reached title=\"{seconds:.1} s after the start\">{stage}</span>")
        }
        None => format!("<span class=ahead>{stage}</span>"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_machines_say_cannot_become_markup() {
        assert_eq!(escape("<script>&\""), "&lt;script&gt;&amp;&quot;");
    }
}
