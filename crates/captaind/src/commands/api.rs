//! `captaind status`, `machines`, `events`, `logs`: asking the running daemon over its HTTP API.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use captain_config::ServerConfig;
use futures_util::StreamExt;
use serde_json::Value;

use crate::cli::{ApiArgs, CacheArgs, EventsArgs, LogsArgs, SiteArgs};
use crate::configuration;
use crate::exit::Failure;

/// How long the daemon may take for one answer. While it builds its first OSIE it does not answer yet.
const PATIENCE: Duration = Duration::from_secs(10);

/// `GET path` of the daemon, as JSON.
async fn get(api: &ApiArgs, path: &str) -> Result<Value, Failure> {
    let ask = async {
        let response = request(api, path).await?;
        response.json().await.map_err(|error| Failure::failed(format!("{path}: {error}")))
    };
    tokio::time::timeout(PATIENCE, ask).await.unwrap_or_else(|_| {
        Err(Failure::unavailable(format!(
            "{} does not answer within {PATIENCE:?}: is `captaind serve` still building its OSIE?",
            base(api)
        )))
    })
}

/// The daemon's URL: as named, else on this box at the port of the configuration.
fn base(api: &ApiArgs) -> String {
    let configured = || {
        let site = SiteArgs { config: api.config.clone(), cache: CacheArgs::default() };
        let port = configuration::read(&site).map(|loaded| loaded.config.server.http_port);
        format!("http://127.0.0.1:{}", port.unwrap_or_else(|_| ServerConfig::default().http_port))
    };
    api.server.as_ref().map_or_else(configured, |server| server.trim_end_matches('/').to_owned())
}

async fn request(api: &ApiArgs, path: &str) -> Result<reqwest::Response, Failure> {
    let base = base(api);
    let url = format!("{base}{path}");
    // The daemon is on this network: no proxy stands in between.
    let client = reqwest::Client::builder().no_proxy().connect_timeout(PATIENCE).build();
    let response = client.map_err(Failure::failed)?.get(&url).send().await.map_err(|error| {
        Failure::unavailable(format!(
            "no daemon answers at {base}: {error}; is `captaind serve` running there? (--server URL names another)"
        ))
    })?;
    if !response.status().is_success() {
        let status = response.status();
        let text = response.text().await.unwrap_or_default();
        return Err(Failure::failed(format!("{url}: {status} {}", text.trim())));
    }
    Ok(response)
}

fn print_json(value: &Value) -> Result<(), Failure> {
    println!("{}", serde_json::to_string_pretty(value).map_err(Failure::failed)?);
    Ok(())
}

/// The text of `value[key]`, or a dash.
fn word(value: &Value, key: &str) -> String {
    match &value[key] {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Exits 1 where something is missing that machines could ask for.
pub(crate) async fn status(args: &ApiArgs) -> Result<(), Failure> {
    let status = get(args, "/api/v1/status").await?;
    if args.json {
        print_json(&status)?;
    } else {
        print!("{}", status_text(&base(args), &status));
    }
    if status["ready"] == true { Ok(()) } else { Err(Failure::told()) }
}

fn status_text(base: &str, status: &Value) -> String {
    let ready = if status["ready"] == true { "ready" } else { "not ready" };
    let mut text = format!("{base}: {ready} (captaind {})\n", word(status, "version"));
    text += &format!("  DHCP mode {}: {}\n", word(status, "dhcp_mode"), word(status, "dhcp_mode_why"));
    for interface in status["interfaces"].as_array().into_iter().flatten() {
        text += &format!("  interface {} at {}\n", word(interface, "name"), word(interface, "address"));
    }
    let [machines, leases, boots] = ["machines", "leases", "boots"].map(|key| word(status, key));
    text += &format!("  {machines} machines configured, {leases} leases, {boots} boots remembered\n");
    if let Some(trouble) = status["trouble"].as_str() {
        text += &format!("  trouble: {trouble}\n");
    }
    for missing in status["missing"].as_array().into_iter().flatten() {
        text += &format!("  missing: {}\n", missing.as_str().unwrap_or_default());
    }
    text
}

pub(crate) async fn machines(args: &ApiArgs) -> Result<(), Failure> {
    let machines = get(args, "/api/v1/machines").await?;
    if args.json {
        return print_json(&machines);
    }
    println!("{:<19}{:<16}{:<17}{:<12}STAGE", "MAC", "NAME", "ADDRESS", "PROFILE");
    for machine in machines.as_array().into_iter().flatten() {
        println!("{}", machine_line(machine));
    }
    Ok(())
}

/// One row: the address is the leased one, else the configured one.
fn machine_line(machine: &Value) -> String {
    let leased = &machine["lease"];
    let address = word(if leased.is_null() { machine } else { leased }, "address");
    let (boot, failed) = (&machine["boot"], &machine["boot"]["failed"]);
    let stage = if failed.is_null() {
        word(boot, "stage")
    } else {
        format!("stopped after {}: {}", word(failed, "stage"), word(failed, "why"))
    };
    format!(
        "{:<19}{:<16}{address:<17}{:<12}{stage}",
        word(machine, "mac"),
        word(machine, "name"),
        word(machine, "profile")
    )
}

/// The lines of one machine, else of all.
pub(crate) async fn logs(args: &LogsArgs) -> Result<(), Failure> {
    let mut lines = Vec::new();
    for mac in machines_of(args).await? {
        let logs = get(&args.api, &format!("/api/v1/machines/{mac}/logs")).await?;
        let own = logs.as_array().cloned().unwrap_or_default().into_iter();
        lines.extend(own.map(|mut line| {
            line["mac"] = mac.clone().into();
            line
        }));
    }
    lines.sort_by_key(|line| line["at"].as_u64());
    if args.api.json {
        return print_json(&Value::Array(lines));
    }
    for line in &lines {
        println!("{}", log_line(line, args.mac.is_none()));
    }
    Ok(())
}

async fn machines_of(args: &LogsArgs) -> Result<Vec<String>, Failure> {
    if let Some(mac) = args.mac {
        return Ok(vec![mac.to_string()]);
    }
    let machines = get(&args.api, "/api/v1/machines").await?;
    Ok(machines.as_array().into_iter().flatten().map(|machine| word(machine, "mac")).collect())
}

fn log_line(line: &Value, with_mac: bool) -> String {
    let mac = if with_mac { format!("{} ", word(line, "mac")) } else { String::new() };
    let [severity, program, text] = ["severity", "program", "text"].map(|key| word(line, key));
    format!("{} {mac}{severity} {program}: {text}", time(line))
}

/// The moment of an event or a log line, as RFC 3339 has it.
fn time(value: &Value) -> String {
    let since = Duration::from_millis(value["at"].as_u64().unwrap_or_default());
    humantime::format_rfc3339_millis(UNIX_EPOCH + since).to_string()
}

/// Follows the event stream (SSE): each `data:` line is one event as JSON.
pub(crate) async fn events(args: &EventsArgs) -> Result<(), Failure> {
    let path = if args.follow { "/api/v1/events" } else { "/api/v1/events?follow=false" };
    let mut stream = request(&args.api, path).await?.bytes_stream();
    let mut pending = Vec::new();
    while let Some(chunk) = stream.next().await {
        pending.extend_from_slice(&chunk.map_err(Failure::failed)?);
        while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = pending.drain(..=end).collect();
            print_event(&String::from_utf8_lossy(&line), args.api.json)?;
        }
    }
    Ok(())
}

fn print_event(line: &str, json: bool) -> Result<(), Failure> {
    let Some(data) = line.trim_end().strip_prefix("data:").map(str::trim_start) else { return Ok(()) };
    let mut out = std::io::stdout().lock();
    if json {
        return Ok(writeln!(out, "{data}")?);
    }
    let event: Value = serde_json::from_str(data).map_err(Failure::failed)?;
    Ok(writeln!(out, "{}", describe(&event))?)
}

/// One event on one line: time, machine, boot, what, and its details as `key=value`.
fn describe(event: &Value) -> String {
    let head =
        format!("{} {} {} {}", time(event), word(event, "mac"), word(event, "boot"), word(event, "event"));
    let details =
        event.as_object().into_iter().flatten().filter(|(key, value)| {
            !value.is_null() && !matches!(key.as_str(), "at" | "mac" | "boot" | "event")
        });
    details.fold(head, |line, (key, value)| {
        line + &format!(" {key}={}", value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_with_its_details() {
        let event = serde_json::json!({
            "at": 5, "mac": "52:54:00:00:00:01", "boot": null, "event": "stage", "stage": "kernel",
        });
        assert_eq!(describe(&event), "1970-01-01T00:00:00.005Z 52:54:00:00:00:01 - stage stage=kernel");
    }

    #[test]
    fn a_row_of_a_machine_has_its_lease_and_why_it_stopped() {
        let machine = serde_json::json!({
            "mac": "52:54:00:00:00:01", "name": null, "profile": "default", "address": null,
            "lease": { "address": "192.168.50.100" },
            "boot": { "stage": "userland", "failed": { "stage": "userland", "why": "no image" } },
        });
        let line = machine_line(&machine);
        assert!(line.contains("192.168.50.100"), "{line}");
        assert!(line.ends_with("default     stopped after userland: no image"), "{line}");
    }

    #[test]
    fn a_log_line_has_the_words_of_the_api() {
        let message = captain_server::LogMessage {
            severity: "info",
            program: Some("containerd".into()),
            text: "ready".into(),
        };
        let line = serde_json::json!(captain_server::LogLine { at: Default::default(), message });
        assert_eq!(log_line(&line, false), "1970-01-01T00:00:00.000Z info containerd: ready");
    }

    #[test]
    fn the_status_names_what_is_missing_and_what_fails() {
        let status = serde_json::json!({
            "ready": false, "version": "1", "missing": ["no kernel"], "leases": 2, "trouble": "the disk is full",
        });
        let text = status_text("http://x", &status);
        assert!(text.starts_with("http://x: not ready (captaind 1)\n"), "{text}");
        assert!(text.contains("2 leases") && text.ends_with("missing: no kernel\n"), "{text}");
        assert!(text.contains("trouble: the disk is full\n"), "{text}");
    }
}
