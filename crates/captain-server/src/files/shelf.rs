//! Everything that replies and scripts can name, opened: boot loaders, and kernel and initramfs of each profile.

use std::collections::{BTreeMap, HashMap};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use captain_model::iso::IsoSource;
use captain_model::{Arch, Firmware, Inventory, Profile};

use super::{Confined, ServedFile};
use crate::Settings;

/// The open files. Immutable: a reload makes a new one.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    loaders: BTreeMap<String, Arc<ServedFile>>,
    osies: BTreeMap<String, Osie>,
    by_hash: HashMap<String, Arc<ServedFile>>,
    missing: Vec<String>,
}

/// Where the OSIE of a profile is.
#[derive(Clone, Debug)]
pub(crate) enum Osie {
    /// In a folder; its files by name.
    Folder(PathBuf, BTreeMap<String, Arc<ServedFile>>),
    /// On another HTTP server, below this URL.
    Url(String),
}

/// Opened files by path, so that profiles with one OSIE share it.
type Opened = HashMap<PathBuf, Option<Arc<ServedFile>>>;

impl Shelf {
    /// Opens and hashes everything that `inventory` can lead to. What is not there is listed in
    /// [`Shelf::missing`].
    pub(crate) fn stock(settings: &Settings, inventory: &Inventory) -> Self {
        let mut shelf = Self::default();
        shelf.stock_loaders(settings, inventory);
        let mut opened = Opened::new();
        for profile in inventory.profiles() {
            let osie = open_osie(settings, profile, &mut opened);
            shelf.missing.extend(missing_of(profile, &osie, inventory));
            shelf.osies.insert(profile.name.clone(), osie);
        }
        shelf.missing.extend(settings.iso.as_ref().and_then(unreadable_iso));
        for file in opened.into_values().flatten() {
            shelf.by_hash.insert(file.artifact.sha256.clone(), file);
        }
        shelf
    }

    /// The boot loader called `name`.
    pub(crate) fn loader(&self, name: &str) -> Option<&Arc<ServedFile>> {
        self.loaders.get(name)
    }

    /// Names of all boot loaders.
    pub(crate) fn loaders(&self) -> impl Iterator<Item = &str> {
        self.loaders.keys().map(String::as_str)
    }

    /// The OSIE of the profile called `profile`.
    pub(crate) fn osie(&self, profile: &str) -> Option<&Osie> {
        self.osies.get(profile)
    }

    /// All OSIEs, by profile.
    pub(crate) fn osies(&self) -> impl Iterator<Item = (&str, &Osie)> {
        self.osies.iter().map(|(profile, osie)| (profile.as_str(), osie))
    }

    /// The kernel or initramfs with this content.
    pub(crate) fn by_hash(&self, sha256: &str) -> Option<&Arc<ServedFile>> {
        self.by_hash.get(sha256)
    }

    /// What a machine could be told to fetch and would not find: one sentence each, with the way out.
    pub(crate) fn missing(&self) -> &[String] {
        &self.missing
    }

    fn stock_loaders(&mut self, settings: &Settings, inventory: &Inventory) {
        for path in files_in(&settings.loaders_dir) {
            if let Ok(file) = ServedFile::open(&path) {
                self.loaders.insert(file.artifact.name.clone(), Arc::new(file));
            }
        }
        for (name, wanted_by) in wanted_loaders(inventory) {
            if self.loaders.contains_key(&name) {
                continue;
            }
            match from_root(settings, &name) {
                Some(file) => drop(self.loaders.insert(name, Arc::new(file))),
                None => self.missing.push(format!(
                    "boot loader `{name}` for {wanted_by} is not in {}: put it there",
                    settings.loaders_dir.display()
                )),
            }
        }
    }
}

impl Osie {
    /// The file called `name`, where it lies here.
    pub(crate) fn file(&self, name: &str) -> Option<&Arc<ServedFile>> {
        match self {
            Self::Folder(_, files) => files.get(name),
            Self::Url(_) => None,
        }
    }

    /// The ISO that was built with it.
    pub(crate) fn iso(&self, arch: Arch) -> Option<PathBuf> {
        match self {
            Self::Folder(folder, _) => {
                Some(folder.join(format!("osie-{}.iso", arch.linux()))).filter(|path| path.is_file())
            }
            Self::Url(_) => None,
        }
    }

    /// Whether kernel and initramfs for `arch` are there.
    pub(crate) fn has(&self, arch: Arch) -> bool {
        match self {
            Self::Folder(_, files) => names_of(arch).iter().all(|name| files.contains_key(name)),
            Self::Url(_) => true,
        }
    }
}

/// Kernel and initramfs of `arch`.
fn names_of(arch: Arch) -> [String; 2] {
    [format!("vmlinuz-{}", arch.linux()), format!("initramfs-{}", arch.linux())]
}

/// Loaders that a reply can name, and for whom.
fn wanted_loaders(inventory: &Inventory) -> BTreeMap<String, String> {
    let arches = inventory.machines().iter().filter_map(|machine| machine.arch).chain([Arch::Amd64]);
    let default = arches.flat_map(|arch| {
        Firmware::ALL.into_iter().filter_map(move |firmware| {
            Some((firmware.default_loader(arch)?.to_owned(), format!("{firmware} on {arch}")))
        })
    });
    let profiles = inventory
        .profiles()
        .filter_map(|profile| Some((profile.loader.clone()?, format!("profile `{}`", profile.name))));
    let machines = inventory
        .machines()
        .iter()
        .filter_map(|machine| Some((machine.loader.clone()?, format!("machine {}", machine.mac()))));
    default.chain(profiles).chain(machines).collect()
}

/// A loader that lies in the folder of further TFTP files.
fn from_root(settings: &Settings, name: &str) -> Option<ServedFile> {
    let root = settings.tftp.as_ref()?.root.as_ref()?;
    Confined::to(root).ok()?.open(name).ok()?;
    ServedFile::open(&root.join(name)).ok()
}

fn open_osie(settings: &Settings, profile: &Profile, opened: &mut Opened) -> Osie {
    if profile.osie.contains("://") {
        return Osie::Url(profile.osie.trim_end_matches('/').to_owned());
    }
    let folder = folder_of(settings, &profile.osie);
    let mut files = BTreeMap::new();
    let own = Arch::ALL.into_iter().flat_map(names_of).map(|name| (name.clone(), name));
    for (name, was) in own.chain(listed(&folder)) {
        let path = folder.join(&name);
        let file = opened.entry(path.clone()).or_insert_with(|| ServedFile::open(&path).ok().map(Arc::new));
        // Whoever asks for a file as its maker calls it gets it too.
        files
            .extend(file.iter().flat_map(|file| [(name.clone(), file.clone()), (was.clone(), file.clone())]));
    }
    Osie::Folder(folder, files)
}

/// Names in an OSIE of another maker, as `captaind osie add` lists them: what a file is called, and was called.
fn listed(folder: &Path) -> Vec<(String, String)> {
    let list = std::fs::read(folder.join("osie.json")).ok();
    let list: Option<serde_json::Value> = list.and_then(|text| serde_json::from_slice(&text).ok());
    let files = list.as_ref().and_then(|list| list["files"].as_array()).into_iter().flatten();
    let names = files.filter_map(|file| Some((file["name"].as_str()?, file["was"].as_str()?)));
    let inside = |name: &str| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    names
        .filter(|(name, _)| inside(name) && !name.ends_with(".iso"))
        .map(|(name, was)| (name.to_owned(), was.to_owned()))
        .collect()
}

/// A name is a built OSIE; anything with a slash is a folder.
fn folder_of(settings: &Settings, osie: &str) -> PathBuf {
    match settings.osies.get(osie) {
        Some(folder) => folder.clone(),
        None if osie.contains('/') => osie.into(),
        None => settings.osie_dir.join(osie),
    }
}

fn missing_of(profile: &Profile, osie: &Osie, inventory: &Inventory) -> Vec<String> {
    let own =
        inventory.machines().iter().filter(|machine| inventory.profile_of(machine).name == profile.name);
    let mut needed: Vec<Arch> = own.filter_map(|machine| machine.arch).collect();
    if !Arch::ALL.into_iter().any(|arch| osie.has(arch)) {
        needed.push(Arch::Amd64);
    }
    needed.sort_unstable();
    needed.dedup();
    let lacking = needed.into_iter().filter(|arch| !osie.has(*arch));
    lacking.map(|arch| sentence(profile, arch)).collect()
}

fn sentence(profile: &Profile, arch: Arch) -> String {
    let [kernel, initramfs] = names_of(arch);
    let (name, osie) = (&profile.name, &profile.osie);
    if osie.contains('/') {
        format!(
            "profile `{name}` names osie folder {osie}, which lacks {kernel} or {initramfs}: put both there"
        )
    } else {
        format!(
            "profile `{name}` names osie `{osie}`, which is not built for {arch}: run `captaind build --profile {name} --arch {arch}`"
        )
    }
}

fn unreadable_iso(source: &IsoSource) -> Option<String> {
    // What another server has is known when it is asked for.
    let IsoSource::File(path) = source else { return None };
    let error = std::fs::File::open(path).err()?;
    Some(format!("the ISO {} of [iso] cannot be read ({error}): put it there", path.display()))
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use captain_model::{Mac, Machine, UnknownMachines};

    fn settings(folder: &Path) -> Settings {
        Settings::new(folder.join("state"), folder, Arc::new(Inventory::empty()))
    }

    fn put(path: PathBuf) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, path.file_name().unwrap().as_encoded_bytes()).unwrap();
    }

    #[test]
    fn what_is_advertised_and_not_there_is_named_with_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::stock(&settings(folder.path()), &Inventory::empty());
        let text = shelf.missing().join("\n");
        assert!(text.contains("boot loader `undionly.kpxe` for bios on amd64 is not in "), "{text}");
        assert!(text.contains("profile `default` names osie `default`, which is not built for amd64: run `captaind build --profile default --arch amd64`"), "{text}");
    }

    #[test]
    fn a_full_shelf_lacks_nothing_and_profiles_share_files() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path().join("loaders/undionly.kpxe"));
        put(folder.path().join("loaders/snponly.efi"));
        put(folder.path().join("osie/default/vmlinuz-x86_64"));
        put(folder.path().join("osie/default/initramfs-x86_64"));
        let mut remote = Profile::new("remote");
        remote.osie = "http://192.0.2.1/hook/".into();
        let profiles = [Profile::new("default"), Profile::new("rack"), remote];
        let profiles = profiles.into_iter().map(|profile| (profile.name.clone(), profile)).collect();
        let inventory = Inventory::new(Vec::new(), profiles, UnknownMachines::Boot);
        let shelf = Shelf::stock(&settings(folder.path()), &inventory);
        assert_eq!(shelf.missing(), [""; 0]);
        let kernel = |profile| shelf.osie(profile).unwrap().file("vmlinuz-x86_64").unwrap().clone();
        assert!(Arc::ptr_eq(&kernel("default"), &kernel("rack")));
        assert!(matches!(shelf.osie("remote"), Some(Osie::Url(url)) if url == "http://192.0.2.1/hook"));
        assert!(shelf.by_hash(&kernel("rack").artifact.sha256).is_some());
    }

    #[test]
    fn an_osie_of_another_maker_has_its_further_files_and_the_makers_names_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["vmlinuz-x86_64", "initramfs-x86_64", "modloop-x86_64", "repo-x86_64/main/a.apk"] {
            put(folder.path().join("osie/old").join(name));
        }
        put(folder.path().join("osie/secret"));
        let list = r#"{"files": [
            {"name": "vmlinuz-x86_64", "was": "vmlinuz-6.1-x86_64"}, {"name": "../secret", "was": "x"},
            {"name": "modloop-x86_64", "was": "modloop-x86_64"},
            {"name": "repo-x86_64/main/a.apk", "was": "repo-x86_64/main/a.apk"}]}"#;
        std::fs::write(folder.path().join("osie/old/osie.json"), list).unwrap();
        let profile = Profile { osie: "old".to_owned(), ..Profile::new("default") };
        let osie = open_osie(&settings(folder.path()), &profile, &mut Opened::new());
        for name in ["vmlinuz-x86_64", "vmlinuz-6.1-x86_64", "modloop-x86_64", "repo-x86_64/main/a.apk"] {
            assert!(osie.file(name).is_some(), "{name}");
        }
        assert!(osie.file("../secret").is_none() && osie.file("x").is_none());
    }

    #[test]
    fn an_arm_machine_makes_arm_files_needed_and_a_loader_may_lie_in_the_tftp_root() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path().join("osie/default/vmlinuz-x86_64"));
        put(folder.path().join("osie/default/initramfs-x86_64"));
        put(folder.path().join("extra/custom.efi"));
        let mut settings = settings(folder.path());
        settings.tftp =
            Some(crate::TftpSettings { root: Some(folder.path().join("extra")), ..Default::default() });
        let mut machine = Machine::new(Mac::new([2, 0, 0, 0, 0, 1]));
        machine.arch = Some(Arch::Arm64);
        machine.loader = Some("custom.efi".into());
        let inventory = Inventory::new(vec![machine], BTreeMap::new(), UnknownMachines::Boot);
        let shelf = Shelf::stock(&settings, &inventory);
        assert!(shelf.loader("custom.efi").is_some());
        let text = shelf.missing().join("\n");
        assert!(text.contains("osie `default`, which is not built for arm64"), "{text}");
        assert!(!text.contains("built for amd64"), "{text}");
        assert!(text.contains("ipxe-arm64.efi"), "{text}");
    }
}
