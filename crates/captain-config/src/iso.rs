//! `[iso]`.

use std::path::PathBuf;

use crate::IsoConfig;
use crate::reader::{Table, Value};

pub(crate) fn iso(table: Table) -> IsoConfig {
    let config = IsoConfig { source: table.get("source").and_then(|value| source(&value)) };
    table.finish();
    config
}

fn source(value: &Value) -> Option<PathBuf> {
    if value.string()?.contains("://") {
        value.fault(
            "an ISO is served from a file, whose every byte is looked at: download it and name its path",
        );
        return None;
    }
    value.path()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    #[test]
    fn an_iso_is_a_file_beside_the_configuration() {
        let read = |text: &str| crate::parse(text, Path::new("/cfg")).map(|config| config.iso.source);
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("[iso]\n").unwrap(), None);
        assert_eq!(read("[iso]\nsource = \"hook.iso\"").unwrap(), Some("/cfg/hook.iso".into()));
        for bad in
            ["source = \"http://mirror.example/hook.iso\"", "source = \"\"", "source = 1", "sauce = \"a\""]
        {
            assert!(read(&format!("[iso]\n{bad}")).is_err(), "{bad}");
        }
    }
}
