//! What `systemctl preset-all` would do: links for the units that presets (systemd.preset(5)) enable.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Error;
use crate::image::Image;

const FOLDERS: [&str; 2] = ["etc/systemd/system", "usr/lib/systemd/system"];
const PRESETS: [&str; 2] = ["etc/systemd/system-preset", "usr/lib/systemd/system-preset"];

/// A link that enables a unit: path and target.
type Link = (String, String);

/// One line of a preset file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Preset {
    enable: bool,
    unit: String,
}

/// `[Install]` of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Install {
    wanted_by: Vec<String>,
    required_by: Vec<String>,
    aliases: Vec<String>,
    also: Vec<String>,
}

/// Makes the links for the units that the image's presets enable, and for `services`.
///
/// # Errors
/// [`Error::UnknownUnit`] for a service that is not there.
pub(crate) fn enable(image: &mut Image, services: &[String], from: &str) -> Result<Vec<String>, Error> {
    let presets = presets(image)?;
    let mut wanted: Vec<String> = services.to_vec();
    let exact = presets.iter().filter(|preset| preset.enable && find(image, &preset.unit).is_some());
    wanted.extend(exact.map(|preset| preset.unit.clone()));
    let mut done = BTreeSet::new();
    while let Some(unit) = wanted.pop() {
        if !done.insert(unit.clone()) {
            continue;
        }
        let Some(path) = find(image, &unit) else {
            return Err(Error::UnknownUnit { unit });
        };
        let install = install(&image.text(&path)?.unwrap_or_default());
        for (path, target) in links(&unit, &path, &install) {
            image.tree.link(&path, &target, &from.into())?;
        }
        wanted.extend(install.also.into_iter().filter(|also| find(image, also).is_some()));
    }
    Ok(done.into_iter().collect())
}

/// Lines of the preset files, each unit once: the first line that names it counts.
fn presets(image: &Image) -> Result<Vec<Preset>, Error> {
    let mut files = BTreeMap::new();
    for folder in PRESETS {
        for (path, _) in image.tree.below(folder).filter(|(path, _)| path.ends_with(".preset")) {
            let name = path.rsplit('/').next().unwrap_or(path);
            files.entry(name.to_owned()).or_insert_with(|| path.to_owned());
        }
    }
    let (mut list, mut seen) = (Vec::new(), BTreeSet::new());
    for path in files.into_values() {
        let text = image.text(&path)?.unwrap_or_default();
        list.extend(text.lines().filter_map(preset).filter(|preset| seen.insert(preset.unit.clone())));
    }
    Ok(list)
}

fn preset(line: &str) -> Option<Preset> {
    let mut words = line.split_whitespace();
    let enable = match words.next()? {
        "enable" => true,
        "disable" => false,
        _ => return None,
    };
    Some(Preset { enable, unit: words.next()?.to_owned() })
}

/// The path of a unit's file; for an instance (`getty@tty1.service`) that of its template.
fn find(image: &Image, unit: &str) -> Option<String> {
    let template =
        unit.split_once('@').and_then(|(name, rest)| Some(format!("{name}@.{}", rest.rsplit_once('.')?.1)));
    let names = [Some(unit.to_owned()), template];
    let places = names.iter().flatten().flat_map(|name| FOLDERS.map(|folder| format!("{folder}/{name}")));
    places.into_iter().find(|path| image.tree.file(path).is_some())
}

fn install(text: &str) -> Install {
    let mut install = Install::default();
    let mut inside = false;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Install]";
        }
        let Some((key, value)) = line.split_once('=').filter(|_| inside) else { continue };
        let list = match key.trim() {
            "WantedBy" => &mut install.wanted_by,
            "RequiredBy" => &mut install.required_by,
            "Alias" => &mut install.aliases,
            "Also" => &mut install.also,
            _ => continue,
        };
        list.extend(value.split_whitespace().map(str::to_owned));
    }
    install
}

fn links(unit: &str, path: &str, install: &Install) -> Vec<Link> {
    let target = format!("/{path}");
    let below = |target: &str, kind: &str| format!("etc/systemd/system/{target}.{kind}/{unit}");
    let wants = install.wanted_by.iter().map(|by| below(by, "wants"));
    let requires = install.required_by.iter().map(|by| below(by, "requires"));
    let aliases = install
        .aliases
        .iter()
        .filter(|alias| *alias != unit)
        .map(|alias| format!("etc/systemd/system/{alias}"));
    wants.chain(requires).chain(aliases).map(|link| (link, target.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> (tempfile::TempDir, Image) {
        let folder = tempfile::tempdir().unwrap();
        let image = Image::new(folder.path()).unwrap();
        (folder, image)
    }

    fn write(image: &mut Image, path: &str, text: &str) {
        image.tree.write(path, 0o644, text, &"test".into()).unwrap();
    }

    fn target(image: &Image, path: &str) -> Option<String> {
        match &image.tree.get(path)?.node {
            crate::tree::Node::Symlink(target) => Some(target.clone()),
            other => panic!("{path} is {other:?}"),
        }
    }

    #[test]
    fn presets_and_services_become_links_as_systemctl_would_make_them() {
        let (_folder, mut image) = image();
        write(
            &mut image,
            "etc/systemd/system-preset/00.preset",
            "enable a.service\ndisable b.service\nenable gone.service\n",
        );
        write(&mut image, "usr/lib/systemd/system-preset/90.preset", "enable b.service\n");
        let a = "[Unit]\nAfter=x\n[Install]\nWantedBy=multi-user.target x.target\nAlias=alias.service\nAlso=a.socket\n";
        write(&mut image, "usr/lib/systemd/system/a.service", a);
        write(&mut image, "usr/lib/systemd/system/a.socket", "[Install]\nRequiredBy=sockets.target\n");
        write(&mut image, "usr/lib/systemd/system/b.service", "[Install]\nWantedBy=multi-user.target\n");
        write(&mut image, "etc/systemd/system/tty@.service", "[Install]\nWantedBy=getty.target\n");
        let enabled = enable(&mut image, &["tty@S0.service".to_owned()], "test").unwrap();
        assert_eq!(enabled, ["a.service", "a.socket", "tty@S0.service"]);
        let unit = Some("/usr/lib/systemd/system/a.service".to_owned());
        assert_eq!(target(&image, "etc/systemd/system/multi-user.target.wants/a.service"), unit);
        assert_eq!(target(&image, "etc/systemd/system/x.target.wants/a.service"), unit);
        assert_eq!(target(&image, "etc/systemd/system/alias.service"), unit);
        assert!(target(&image, "etc/systemd/system/sockets.target.requires/a.socket").is_some());
        assert_eq!(target(&image, "etc/systemd/system/multi-user.target.wants/b.service"), None);
        assert_eq!(
            target(&image, "etc/systemd/system/getty.target.wants/tty@S0.service").as_deref(),
            Some("/etc/systemd/system/tty@.service")
        );
    }

    #[test]
    fn a_service_that_is_not_there_is_named() {
        let (_folder, mut image) = image();
        let error = enable(&mut image, &["telegraf.service".to_owned()], "test").unwrap_err();
        assert!(error.to_string().contains("telegraf.service"), "{error}");
    }
}
