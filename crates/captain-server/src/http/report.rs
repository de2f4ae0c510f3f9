//! What the OSIE says about itself: `POST /api/v1/machines/{mac}/event`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use captain_model::{BootId, BootPolicy, BootTicket, Event, EventKind, Mac, Secret};
use serde::Deserialize;
use tokio::time::timeout;

use super::peer::Ends;
use super::{foreign, say};
use crate::appliance::Appliance;
use crate::clock::now;

/// Longest text kept of a report, characters.
const LONGEST: usize = 2000;

/// Time for a report's body: it is one packet, and whoever sends it byte by byte only holds a connection.
const SENDING: Duration = Duration::from_secs(10);

/// One report.
#[derive(Debug, Deserialize)]
struct Report {
    /// The boot that it is about, from `captain_boot=`.
    #[serde(default)]
    boot: Option<String>,
    /// `userland`, `agent-pull`, `agent`, `agent-report`, `failed`, `done`, or a word of its own.
    step: String,
    #[serde(default)]
    detail: String,
    /// Of `agent-report`: the agent's arguments.
    #[serde(default)]
    args: Vec<String>,
    /// Of `agent-report`: the agent's environment.
    #[serde(default)]
    env: BTreeMap<String, String>,
}

/// Takes a report. The sender's type of content is not looked at: it is a shell script. What follows from the report
/// is on disk when it is answered: after a crash, a machine whose work is done is not installed again.
pub(super) async fn receive(
    State(appliance): State<Arc<Appliance>>,
    Path(mac): Path<String>,
    ends: Ends,
    request: Request,
) -> Response {
    let mac: Mac = match mac.parse() {
        Ok(mac) => mac,
        Err(error) => return say(StatusCode::BAD_REQUEST, format!("{error}")),
    };
    let body = match timeout(SENDING, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => return refusal.into_response(),
        Err(_) => return say(StatusCode::REQUEST_TIMEOUT, format!("no whole report within {SENDING:?}")),
    };
    let report: Report = match serde_json::from_slice(&body) {
        Ok(report) => report,
        Err(error) => return say(StatusCode::BAD_REQUEST, format!("not a report: {error}")),
    };
    let secret = appliance.inventory.load().identify(mac).agent().registry_password;
    let ticket = report.boot.as_deref().and_then(|text| text.parse::<BootTicket>().ok());
    let ticket = ticket.filter(|ticket| appliance.tickets.made(ticket, mac));
    if ticket.is_none()
        && let Some(refusal) = unproven(&appliance, mac, &report.step, ends)
    {
        return refusal;
    }
    let named = || report.boot.as_deref().and_then(|id| id.parse::<BootId>().ok());
    let boot = ticket.map(|ticket| ticket.boot).or_else(named);
    let kind = kind_of(report, secret.as_ref());
    appliance.publish(Event { boot, ..Event::new(now(), mac, kind) });
    if !appliance.state.flushed().await {
        return say(StatusCode::SERVICE_UNAVAILABLE, "the report could not be kept: report it again");
    }
    StatusCode::NO_CONTENT.into_response()
}

/// Why a report without a boot's proof is not taken; with one, a machine may report by any of its cards.
fn unproven(appliance: &Appliance, mac: Mac, step: &str, ends: Ends) -> Option<Response> {
    if let Some(other) = appliance.speaks_for_another(mac, ends.remote) {
        return Some(foreign(other, mac));
    }
    // Counting boots and knowing a MAC is no proof, and some reports have consequences.
    let trusted =
        !uses_up(appliance, mac, step) || ends.is_own() || appliance.speaks_for_itself(mac, ends.remote);
    let why = || {
        format!(
            "`{step}` counts from the machine itself: report it with \"boot\" as on its command line (captain_boot=)"
        )
    };
    (!trusted).then(|| say(StatusCode::FORBIDDEN, why()))
}

/// Whether a report may use up the boot policy of `mac`.
fn uses_up(appliance: &Appliance, mac: Mac, step: &str) -> bool {
    let once = || appliance.inventory.load().identify(mac).boot_policy() == BootPolicy::Once;
    match step {
        "done" => true,
        "userland" | "agent" | "agent-report" => once() && !appliance.settled(mac),
        _ => false,
    }
}

fn kind_of(report: Report, secret: Option<&Secret>) -> EventKind {
    let tidy = |text: &str| masked(text, secret);
    if report.step == "agent-report" {
        let env = report.env.iter().map(|(key, value)| (tidy(key), env_value(key, tidy(value)))).collect();
        return EventKind::AgentStarted { args: report.args.iter().map(|arg| tidy(arg)).collect(), env };
    }
    EventKind::Report { step: tidy(&report.step), detail: tidy(&report.detail) }
}

fn env_value(key: &str, value: String) -> String {
    let key = key.to_ascii_uppercase();
    let secret = ["PASSWORD", "SECRET", "TOKEN"].iter().any(|word| key.contains(word));
    if secret && !value.is_empty() { "***".to_owned() } else { value }
}

/// One line of bounded length, without the machine's registry password.
fn masked(text: &str, secret: Option<&Secret>) -> String {
    let hidden = match secret.map(Secret::expose).filter(|secret| !secret.is_empty()) {
        Some(secret) => text.replace(secret, "***"),
        None => text.to_owned(),
    };
    hidden.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_no_secret_and_no_control_character() {
        let secret = Secret::new("hunter2");
        let json = r#"{"step":"agent-report","args":["--p=hunter2"],"env":{"REGISTRY_PASSWORD":"x","A":"b\nhunter2"}}"#;
        let kind = kind_of(serde_json::from_str(json).unwrap(), Some(&secret));
        let env = BTreeMap::from([("REGISTRY_PASSWORD".into(), "***".into()), ("A".into(), "b ***".into())]);
        assert_eq!(kind, EventKind::AgentStarted { args: vec!["--p=***".into()], env });
    }

    #[test]
    fn a_bare_step_is_a_report() {
        let kind =
            kind_of(serde_json::from_str(r#"{"boot":"b1f","step":"userland","stage":"x"}"#).unwrap(), None);
        assert_eq!(kind, EventKind::Report { step: "userland".into(), detail: String::new() });
    }
}
