//! Finding and loading the configuration, and what the flags change about it.

use std::path::{Path, PathBuf};

use captain_boot::Templates;
use captain_config::{Config, Fault, Faults, PasswordFiles};

use crate::cli::{CacheArgs, ConfigArgs, SiteArgs};
use crate::exit::Failure;
use crate::paths;
use crate::scripts;

/// Where a configuration is looked for when none is named, in order.
const PLACES: [&str; 2] = ["captaind.toml", "/etc/captaind/captaind.toml"];

/// A configuration and the file it came from.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// The file; `None` where nothing is configured.
    pub(crate) path: Option<PathBuf>,
    pub(crate) config: Config,
    /// What machines' scripts are made of.
    pub(crate) templates: Templates,
}

impl Loaded {
    /// The cache folder: flag, configuration, default.
    pub(crate) fn cache_dir(&self, args: &CacheArgs) -> PathBuf {
        cache_dir(args, self.config.server.cache_dir.as_deref())
    }
}

/// The cache folder: flag, configuration, default.
pub(crate) fn cache_dir(args: &CacheArgs, configured: Option<&Path>) -> PathBuf {
    let named = args.cache_dir.as_deref().or(configured);
    named.map_or_else(paths::default_cache, Path::to_owned)
}

/// The file that applies: the named one, or the first that is there.
pub(crate) fn find(args: &ConfigArgs) -> Option<PathBuf> {
    args.config.clone().or_else(|| PLACES.iter().map(PathBuf::from).find(|path| path.exists()))
}

/// Loads the configuration that applies; where there is none, everything is default.
///
/// # Errors
/// All faults of the file at once.
pub(crate) fn load(site: &SiteArgs) -> Result<Loaded, Failure> {
    read(site).map_err(Failure::usage)
}

/// As [`load`], with the faults as they are.
pub(crate) fn read(site: &SiteArgs) -> Result<Loaded, Faults> {
    read_again(site, &PasswordFiles::default())
}

/// As [`read`], with password files that need be readable the first time only.
pub(crate) fn read_again(site: &SiteArgs, passwords: &PasswordFiles) -> Result<Loaded, Faults> {
    let added = |name: &str, configured: Option<&Path>| {
        let cache = cache_dir(&site.cache, configured);
        captain_osie::dropin::added(&cache.join("osie"), name).is_some()
    };
    match find(&site.config) {
        Some(path) => {
            let config = captain_config::load_beside(&path, &added, passwords)?;
            let templates = scripts::load(&path, &config)?;
            Ok(Loaded { config, templates, path: Some(path) })
        }
        None => {
            let templates = Templates::embedded().clone();
            Ok(Loaded { path: None, config: Config::default(), templates })
        }
    }
}

/// The text of the file as a TOML table, for the lab to build its own configuration on.
pub(crate) fn table(path: Option<&Path>) -> Result<toml::Table, Failure> {
    let Some(path) = path else { return Ok(toml::Table::new()) };
    let text =
        std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("{}: {e}", path.display())))?;
    text.parse().map_err(|e| Failure::usage(format!("{}: {e}", path.display())))
}

/// One fault as JSON.
pub(crate) fn fault_json(path: &Path, fault: &Fault) -> serde_json::Value {
    serde_json::json!({
        "file": path,
        "line": fault.line,
        "column": fault.column,
        "key": fault.key,
        "message": fault.message,
    })
}
