//! `[profile.NAME.agent]` and `[machine.agent]`.

use captain_model::{AgentSettings, Secret};

use crate::reader::{Table, Value};
use crate::words;

pub(crate) fn agent(table: Option<Table>) -> AgentSettings {
    let Some(table) = table else { return AgentSettings::default() };
    let settings = AgentSettings {
        image: table.parsed("image", word),
        registry: table.parsed("registry", word),
        registry_username: table.parsed("registry_username", words::argument_value),
        registry_password: password(&table),
        insecure_registries: table.list("insecure_registries", |value| value.parsed(list_item)),
        grpc_authority: table.parsed("grpc_authority", words::authority),
        tls: table.boolean("tls"),
        insecure_tls: table.boolean("insecure_tls"),
        syslog: table.boolean("syslog"),
        syslog_host: table.parsed("syslog_host", word),
        syslog_port: table.number("syslog_port", 1..=u16::MAX),
        facility: table.parsed("facility", words::argument_value),
    };
    table.finish();
    settings
}

fn word(text: &str) -> Result<String, String> {
    words::argument_value(&words::word(text)?)
}

fn list_item(text: &str) -> Result<String, String> {
    let text = word(text)?;
    if text.contains(',') || text.contains("://") {
        return Err(format!("`{text}` is not one registry: write host:port, each as its own element"));
    }
    Ok(text)
}

fn password(table: &Table) -> Option<Secret> {
    let (inline, file) = (table.get("registry_password"), table.get("registry_password_file"));
    if let (Some(_), Some(file)) = (&inline, &file) {
        file.fault("stands beside `registry_password`: keep one of them");
    }
    let text = match (inline, file) {
        (Some(inline), _) => inline.parsed(words::argument_value),
        (None, Some(file)) => from_file(&file),
        (None, None) => None,
    };
    text.map(Secret::new)
}

/// The content of the file, without the newline that editors put at its end.
fn from_file(value: &Value) -> Option<String> {
    let path = value.path()?;
    let content = value.passwords().read(&path).map_err(|error| {
        value.fault(format!("cannot read {}: {error}; create it, or make it readable", path.display()));
    });
    let content = content.ok()?;
    let line = content.strip_suffix('\n').unwrap_or(&content);
    let line = line.strip_suffix('\r').unwrap_or(line);
    words::argument_value(line)
        .map_err(|error| value.fault(format!("the password in {} {error}", path.display())))
        .ok()
}
