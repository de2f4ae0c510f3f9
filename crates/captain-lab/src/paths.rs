//! Paths in a configuration start from its own folder; a copy of it elsewhere needs them absolute.

use std::path::Path;

use toml::{Table, Value};

/// Where paths stand in captaind.toml; `*` is every entry of a table or list.
const PATHS: [&[&str]; 9] = [
    &["server", "tls_cert"],
    &["server", "tls_key"],
    &["server", "loaders"],
    &["tftp", "root"],
    &["profile", "*", "agent", "registry_password_file"],
    &["machine", "*", "agent", "registry_password_file"],
    &["osie", "keyring"],
    &["osie", "*", "keyring"],
    &["osie", "*", "overlay", "*"],
];

/// Where a path may stand or a word (`debian`, an OSIE's name) or a URL: a path is what holds a slash.
const PATHS_OR_WORDS: [&[&str]; 2] = [&["profile", "*", "osie"], &["osie", "*", "kernel"]];

/// Makes every relative path of `config` start from `folder`.
pub(crate) fn make_absolute(config: &mut Table, folder: &Path) {
    let absolute = |text: &mut String| {
        if !text.contains("://") {
            // `components` takes out the `./`.
            *text = folder.join(&*text).components().collect::<std::path::PathBuf>().display().to_string();
        }
    };
    for path in PATHS {
        visit(config, path, &absolute);
    }
    for path in PATHS_OR_WORDS {
        visit(config, path, &|text| {
            if text.contains('/') {
                absolute(text);
            }
        });
    }
}

fn visit(table: &mut Table, path: &[&str], change: &dyn Fn(&mut String)) {
    let Some((key, rest)) = path.split_first() else { return };
    let named = table.iter_mut().filter(|(name, _)| *key == "*" || name.as_str() == *key);
    named.for_each(|(_, value)| visit_value(value, rest, change));
}

/// What is not of the expected form stays as it is: the daemon names the fault.
fn visit_value(value: &mut Value, rest: &[&str], change: &dyn Fn(&mut String)) {
    match value {
        Value::String(text) if rest.is_empty() => change(text),
        Value::Table(table) => visit(table, rest, change),
        Value::Array(list) if rest.first() == Some(&"*") => {
            list.iter_mut().for_each(|value| visit_value(value, &rest[1..], change));
        }
        Value::String(_)
        | Value::Array(_)
        | Value::Integer(_)
        | Value::Float(_)
        | Value::Boolean(_)
        | Value::Datetime(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_absolute_and_words_and_urls_stay() {
        let mut config: Table = r#"
            [profile.a]
            osie = "./images"
            [profile.b]
            osie = "default"
            [profile.c]
            osie = "http://other/osie"
            [[machine]]
            agent = { registry_password_file = "pass" }
            [osie]
            keyring = "keys.gpg"
            [osie.default]
            overlay = ["./over", "/abs"]
            kernel = "debian"
            mirror = "m/n"
        "#
        .parse()
        .unwrap();
        make_absolute(&mut config, Path::new("/etc/c"));
        let want: Table = r#"
            [profile.a]
            osie = "/etc/c/images"
            [profile.b]
            osie = "default"
            [profile.c]
            osie = "http://other/osie"
            [[machine]]
            agent = { registry_password_file = "/etc/c/pass" }
            [osie]
            keyring = "/etc/c/keys.gpg"
            [osie.default]
            overlay = ["/etc/c/over", "/abs"]
            kernel = "debian"
            mirror = "m/n"
        "#
        .parse()
        .unwrap();
        assert_eq!(config, want);
    }
}
