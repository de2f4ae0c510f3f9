//! `kernel-configs/`: what an OSIE needs of its kernel, per concern, and what captaind adds where it builds the
//! kernel itself. A kernel's own configuration is held against the fragments before an image is written that
//! boots into a machine without overlayfs.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use captain_model::Arch;
use rust_embed::RustEmbed;

use crate::error::Error;

#[derive(RustEmbed)]
#[folder = "../../kernel-configs"]
struct Embedded;

/// Without these no OSIE runs at all, whatever the machine.
const RUNS: [&str; 2] = ["container-runtime.config", "netboot.config"];
/// What only a kernel that captaind builds itself has to have: `base.config` and one file for each architecture.
const BASE: &str = "base.config";

/// How an option has to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// `# CONFIG_X is not set`.
    Absent,
    /// `=m`: built in or a module.
    Present,
    /// `=y`: built in.
    BuiltIn,
    /// A number or a text in quotes.
    Value(String),
}

/// One line of a fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// `CONFIG_OVERLAY_FS`.
    pub name: String,
    /// How it has to be.
    pub want: Want,
    /// The fragment that asks for it.
    pub file: String,
    /// Its line there, from 1.
    pub line: usize,
}

/// Which demands count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Demand {
    /// All fragments: a kernel for any machine.
    Everything,
    /// What the OSIE itself needs; for which hardware somebody's own kernel is made is up to them.
    Running,
}

/// The files of `kernel-configs/`, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configs(BTreeMap<String, String>);

impl Configs {
    /// Those in the program.
    pub fn embedded() -> Self {
        let read = |name: std::borrow::Cow<'static, str>| {
            let file = Embedded::get(&name)?;
            Some((name.into_owned(), String::from_utf8_lossy(&file.data).into_owned()))
        };
        Self(Embedded::iter().filter_map(read).collect())
    }

    /// Those of a folder, in place of the program's.
    ///
    /// # Errors
    /// The folder cannot be read, or holds no `*.config`.
    pub fn folder(folder: &Path) -> Result<Self, Error> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(folder).map_err(Error::io(folder))? {
            let path = entry.map_err(Error::io(folder))?.path();
            if path.extension().is_some_and(|end| end == "config") {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                files.insert(name, fs::read_to_string(&path).map_err(Error::io(&path))?);
            }
        }
        if files.is_empty() {
            return Err(Error::malformed(folder.display().to_string(), "it holds no *.config files"));
        }
        Ok(Self(files))
    }

    /// What a kernel for `arch` is built with: base, architecture and all fragments as one list, sorted by name.
    /// Where two files name an option, the stronger wish counts (`=y` over `=m`).
    ///
    /// # Errors
    /// [`Error::Malformed`]: a line that says nothing, or two files that contradict each other.
    pub fn merged(&self, arch: Arch) -> Result<Vec<Wanted>, Error> {
        let mut merged: BTreeMap<String, Wanted> = BTreeMap::new();
        let others: Vec<_> = Arch::ALL.iter().filter(|other| **other != arch).map(|a| of_arch(*a)).collect();
        for (file, text) in self.0.iter().filter(|(file, _)| !others.contains(file)) {
            for wanted in options(file, text)? {
                match merged.get_mut(&wanted.name) {
                    None => {
                        merged.insert(wanted.name.clone(), wanted);
                    }
                    Some(other) => unite(other, wanted)?,
                }
            }
        }
        Ok(merged.into_values().collect())
    }

    /// The fragments, which hold for every kernel.
    fn fragments(&self) -> impl Iterator<Item = (&String, &String)> {
        let own: Vec<_> = Arch::ALL.iter().map(|arch| of_arch(*arch)).chain([BASE.to_owned()]).collect();
        self.0.iter().filter(move |(file, _)| !own.contains(file))
    }
}

fn of_arch(arch: Arch) -> String {
    format!("{}.config", arch.debian())
}

fn unite(one: &mut Wanted, other: Wanted) -> Result<(), Error> {
    let stronger = match (&one.want, &other.want) {
        (a, b) if a == b => false,
        (Want::Present, Want::BuiltIn) => true,
        (Want::BuiltIn, Want::Present) => false,
        _ => {
            let why = format!("{} asks for another {} than {}", other.file, one.name, one.file);
            return Err(Error::malformed("kernel-configs", why));
        }
    };
    if stronger {
        *one = other;
    }
    Ok(())
}

/// The options of a fragment; other comments and blank lines are for people.
fn options(file: &str, text: &str) -> Result<Vec<Wanted>, Error> {
    let mut all = Vec::new();
    let lines = (1..).zip(text.lines().map(str::trim_end));
    for (number, line) in lines.filter(|(_, line)| !line.is_empty()) {
        let absent = line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set"));
        let (name, want) = match (absent, line.split_once('=')) {
            (Some(name), _) => (name, Want::Absent),
            (None, _) if line.starts_with('#') => continue,
            (None, Some((name, "y"))) => (name, Want::BuiltIn),
            (None, Some((name, "m"))) => (name, Want::Present),
            (None, Some((name, value))) => (name, Want::Value(value.to_owned())),
            (None, None) => (line, Want::Absent),
        };
        if !name.starts_with("CONFIG_") || name == line {
            return Err(Error::malformed(file, format!("line {number}: `{line}` is not an option")));
        }
        all.push(Wanted { name: name.to_owned(), want, file: file.to_owned(), line: number });
    }
    Ok(all)
}

impl Wanted {
    /// The line of a `.config` that asks for it.
    pub fn text(&self) -> String {
        match &self.want {
            Want::Absent => format!("# {} is not set\n", self.name),
            Want::Present => format!("{}=m\n", self.name),
            Want::BuiltIn => format!("{}=y\n", self.name),
            Want::Value(value) => format!("{}={value}\n", self.name),
        }
    }

    fn is_met(&self, value: Option<&str>) -> bool {
        match &self.want {
            Want::Absent => value.is_none(),
            Want::Present => matches!(value, Some("y" | "m")),
            Want::BuiltIn => value == Some("y"),
            Want::Value(wanted) => value == Some(wanted),
        }
    }
}

/// Those of `wanted` that the configuration `config` does not meet, each with the line that asks for it and what it
/// is: `CONFIG_OVERLAY_FS=m (container-runtime.config:25) is not set`.
pub fn unmet(wanted: &[Wanted], config: &str) -> Vec<String> {
    let config: HashMap<_, _> = config.lines().filter_map(|line| line.split_once('=')).collect();
    let lack = |wanted: &Wanted| {
        let value = config.get(wanted.name.as_str()).copied();
        let text = wanted.text();
        let place = format!("{} ({}:{})", text.trim_end(), wanted.file, wanted.line);
        (!wanted.is_met(value))
            .then(|| value.map_or(format!("{place} is not set"), |v| format!("{place} is {v}")))
    };
    wanted.iter().filter_map(lack).collect()
}

/// Holds the kernel's configuration (`boot/config-VERSION`) against the fragments.
///
/// # Errors
/// [`Error::KernelConfig`] with every option that is missing and the fragment that asks for it.
pub(crate) fn check(kernel: &str, config: &str, demand: Demand) -> Result<(), Error> {
    let mut missing = Vec::new();
    for (file, text) in Configs::embedded().fragments() {
        if demand == Demand::Everything || RUNS.contains(&file.as_str()) {
            missing.append(&mut unmet(&options(file, text)?, config));
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(Error::KernelConfig { kernel: kernel.to_owned(), missing }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A configuration that has everything that the fragments ask for.
    fn complete() -> String {
        Configs::embedded().fragments().map(|(_, text)| text.as_str()).collect()
    }

    #[test]
    fn a_kernel_with_every_option_is_fine_and_modules_may_be_built_in() {
        assert!(complete().contains("CONFIG_OVERLAY_FS=m"));
        assert!(check("6.12", &complete(), Demand::Everything).is_ok());
        assert!(check("6.12", &complete().replace("=m", "=y"), Demand::Everything).is_ok());
    }

    #[test]
    fn an_option_that_is_missing_or_only_a_module_is_named_with_its_fragment() {
        let config = complete()
            .replace("CONFIG_OVERLAY_FS=m", "# CONFIG_OVERLAY_FS is not set")
            .replace("CONFIG_RD_ZSTD=y", "CONFIG_RD_ZSTD=m");
        let told = check("6.12-custom", &config, Demand::Running).unwrap_err().to_string();
        let at = |file: &str, option: &str| {
            let configs = Configs::embedded();
            let (_, text) = configs.fragments().find(|(name, _)| *name == file).unwrap();
            text.lines().position(|line| line == option).unwrap() + 1
        };
        let line = at("container-runtime.config", "CONFIG_OVERLAY_FS=m");
        let overlay = format!("CONFIG_OVERLAY_FS=m (container-runtime.config:{line}) is not set");
        assert!(told.contains(&overlay), "{told}");
        let line = at("netboot.config", "CONFIG_RD_ZSTD=y");
        assert!(told.contains(&format!("CONFIG_RD_ZSTD=y (netboot.config:{line}) is m")), "{told}");
        assert!(told.contains("6.12-custom"), "{told}");
    }

    #[test]
    fn only_the_running_of_the_osie_is_asked_of_somebodys_own_kernel() {
        let config = complete().replace("CONFIG_HYPERV=m", "");
        assert!(check("6.12", &config, Demand::Everything).is_err());
        assert!(check("6.12", &config, Demand::Running).is_ok());
    }

    #[test]
    fn the_configurations_of_both_architectures_are_whole_and_without_contradiction() {
        for arch in Arch::ALL {
            let merged = Configs::embedded().merged(arch).unwrap();
            let want = |name: &str| merged.iter().find(|wanted| wanted.name == name).map(|w| w.want.clone());
            // A fragment wants it somehow, the base builds it in.
            assert_eq!(want("CONFIG_OVERLAY_FS"), Some(Want::BuiltIn));
            assert_eq!(want("CONFIG_MODULE_SIG"), Some(Want::Absent));
            assert_eq!(want("CONFIG_LOCALVERSION"), Some(Want::Value("\"-captaind\"".to_owned())));
            assert_eq!(want("CONFIG_KVM_GUEST").is_some(), arch == Arch::Amd64);
            assert_eq!(want("CONFIG_EFI_ZBOOT").is_some(), arch == Arch::Arm64);
            let text: String = merged.iter().map(Wanted::text).collect();
            assert_eq!(unmet(&merged, &text), Vec::<String>::new());
        }
    }

    #[test]
    fn two_files_that_contradict_each_other_and_lines_that_say_nothing_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let merged = |text: &str| {
            fs::write(folder.path().join("base.config"), "CONFIG_A=y\n").unwrap();
            fs::write(folder.path().join("mine.config"), text).unwrap();
            Configs::folder(folder.path()).unwrap().merged(Arch::Amd64)
        };
        assert_eq!(merged("CONFIG_A=m\n# why\nCONFIG_B=512\n").unwrap().len(), 2);
        let told = merged("# CONFIG_A is not set\n").unwrap_err().to_string();
        assert!(told.contains("mine.config asks for another CONFIG_A than base.config"), "{told}");
        for nothing in ["OVERLAY_FS=y", "CONFIG_A"] {
            assert!(merged(nothing).unwrap_err().to_string().contains(nothing));
        }
    }
}
