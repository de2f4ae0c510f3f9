//! Scripts of the operator's own, in the place of the embedded ones.

use std::collections::BTreeMap;
use std::path::Path;

use captain_boot::Templates;
use captain_config::{Config, Fault, Faults};

const KEY: &str = "server.scripts";

/// The scripts that machines are given: those of `[server] scripts`, and the embedded ones for the rest. `path` is the
/// configuration that names the folder.
///
/// # Errors
/// A file that cannot be read, that is no script of ours by its name, or that asks for what there is not.
pub(crate) fn load(path: &Path, config: &Config) -> Result<Templates, Faults> {
    let Some(folder) = &config.server.scripts else { return Ok(Templates::embedded().clone()) };
    of_folder(folder).map_err(|why| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let (line, column) = place(&text).unwrap_or_default();
        let message = format!("{}: {why}", folder.display());
        Faults { path: path.to_owned(), faults: vec![Fault { line, column, key: KEY.to_owned(), message }] }
    })
}

fn of_folder(folder: &Path) -> Result<Templates, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        // Editors leave such files behind.
        if name.starts_with('.') || name.ends_with('~') || path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
        files.insert(name, text);
    }
    Templates::from_map(files).map_err(|error| error.to_string())
}

/// Line and column of the key's value.
fn place(text: &str) -> Option<(usize, usize)> {
    let document = toml::de::DeTable::parse(text).ok()?;
    let server = document.get_ref().get("server")?.get_ref().as_table()?;
    let before = text.get(..server.get("scripts")?.span().start)?;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    Some((before.matches('\n').count() + 1, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_that_asks_for_what_there_is_not_is_a_fault_with_its_file_and_the_keys_line() {
        let folder = std::env::temp_dir().join(format!("captaind-scripts-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("own")).unwrap();
        let path = folder.join("captaind.toml");
        std::fs::write(&path, "[server]\nhttp_port = 7080\nscripts = \"own\"\n").unwrap();
        let config = captain_config::load(&path).unwrap();
        let put = |name: &str, text: &str| std::fs::write(folder.join("own").join(name), text).unwrap();
        put("local-exit.ipxe", "#!ipxe\necho ours: {{why}}\nexit 1\n");
        put("local-exit.ipxe~", "{{{{");
        let own = load(&path, &config).unwrap();
        let script = own.local_script(captain_model::LocalBoot::Exit, "never").unwrap();
        assert_eq!(script, "#!ipxe\necho ours: never\nexit 1\n");
        for (name, text, part) in [
            ("boot.ipxe", "#!ipxe\n{{mca}}\n", "boot.ipxe:2: no such placeholder as `{{mca}}`"),
            ("boot.ipex", "#!ipxe\n", "`boot.ipex` is not a script template"),
        ] {
            put(name, text);
            let faults = load(&path, &config).unwrap_err().faults;
            assert_eq!((faults[0].line, faults[0].column, faults[0].key.as_str()), (3, 11, "server.scripts"));
            assert!(faults[0].message.contains(part), "{}", faults[0].message);
            std::fs::remove_file(folder.join("own").join(name)).unwrap();
        }
        std::fs::remove_dir_all(folder.join("own")).unwrap();
        assert!(load(&path, &config).unwrap_err().faults[0].message.contains("own"));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
