//! `captaind status`, `machines`, `events`, `logs`: asking the running daemon over its HTTP API.

use std::io::Write;

use futures_util::StreamExt;
use serde_json::Value;

use crate::cli::{ApiArgs, EventsArgs, LogsArgs};
use crate::exit::Failure;

/// `GET path` of the daemon, as JSON.
async fn get(api: &ApiArgs, path: &str) -> Result<Value, Failure> {
    let response = request(api, path).await?;
    response.json().await.map_err(|error| Failure::failed(format!("{path}: {error}")))
}

async fn request(api: &ApiArgs, path: &str) -> Result<reqwest::Response, Failure> {
    let url = format!("{}{path}", api.server.trim_end_matches('/'));
    let response = reqwest::get(&url).await.map_err(|error| {
        Failure::unavailable(format!(
            "no daemon answers at {}: {error}; is `captaind serve` running there? (--server URL names another)",
            api.server
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

pub(crate) async fn status(args: &ApiArgs) -> Result<(), Failure> {
    let ready = get(args, "/readyz").await?;
    if args.json {
        return print_json(&ready);
    }
    println!("{}: ready", args.server);
    for (key, value) in ready.as_object().into_iter().flatten() {
        println!("  {key}: {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    }
    Ok(())
}

pub(crate) async fn machines(args: &ApiArgs) -> Result<(), Failure> {
    let machines = get(args, "/api/v1/machines").await?;
    if args.json {
        return print_json(&machines);
    }
    println!("{:<19}{:<16}{:<17}{:<12}STAGE", "MAC", "NAME", "ADDRESS", "PROFILE");
    for machine in machines.as_array().into_iter().flatten() {
        println!(
            "{:<19}{:<16}{:<17}{:<12}{}",
            word(machine, "mac"),
            word(machine, "name"),
            word(machine, "address"),
            word(machine, "profile"),
            word(&machine["boot"], "stage"),
        );
    }
    Ok(())
}

pub(crate) async fn logs(args: &LogsArgs) -> Result<(), Failure> {
    let logs = get(&args.api, &format!("/api/v1/machines/{}/logs", args.mac)).await?;
    if args.api.json {
        return print_json(&logs);
    }
    for line in logs.as_array().into_iter().flatten() {
        println!("{} {}: {}", word(line, "at"), word(line, "tag"), word(line, "message"));
    }
    Ok(())
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
    let head = format!(
        "{} {} {} {}",
        word(event, "at"),
        word(event, "mac"),
        word(event, "boot"),
        word(event, "event")
    );
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
        assert_eq!(describe(&event), "5 52:54:00:00:00:01 - stage stage=kernel");
    }
}
