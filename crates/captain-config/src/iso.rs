//! `[iso]`.

use captain_model::iso::IsoSource;

use crate::IsoConfig;
use crate::reader::{Table, Value};
use crate::words;

pub(crate) fn iso(table: Table) -> IsoConfig {
    let config = IsoConfig { source: table.get("source").and_then(|value| source(&value)) };
    table.finish();
    config
}

fn source(value: &Value) -> Option<IsoSource> {
    if value.string()?.contains("://") {
        return value.parsed(|text| words::url(text, &["http", "https"])).map(IsoSource::Url);
    }
    value.path().map(IsoSource::File)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn an_iso_is_a_file_beside_the_configuration_or_on_a_web_server() {
        let read = |text: &str| crate::parse(text, Path::new("/cfg")).map(|config| config.iso.source);
        assert_eq!(read("").unwrap(), None);
        assert_eq!(read("[iso]\n").unwrap(), None);
        assert_eq!(
            read("[iso]\nsource = \"hook.iso\"").unwrap(),
            Some(IsoSource::File("/cfg/hook.iso".into()))
        );
        let url = "http://mirror.example/hook.iso";
        assert_eq!(read(&format!("[iso]\nsource = \"{url}\"")).unwrap(), Some(IsoSource::Url(url.into())));
        for bad in
            ["source = \"ftp://mirror.example/hook.iso\"", "source = \"\"", "source = 1", "sauce = \"a\""]
        {
            assert!(read(&format!("[iso]\n{bad}")).is_err(), "{bad}");
        }
    }
}
