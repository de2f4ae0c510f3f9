//! `captaind clean`: what of the cache can go.

use captain_osie::clean::{Extent, litter, remove};

use crate::cli::CleanArgs;
use crate::exit::Failure;
use crate::{configuration, osies, paths};

pub(crate) fn run(args: &CleanArgs) -> Result<(), Failure> {
    let loaded = configuration::load(&args.site)?;
    let cache = loaded.cache_dir(&args.site.cache);
    let state = args.state_dir.clone().or_else(|| loaded.config.server.state_dir.clone());
    let state = std::path::absolute(state.unwrap_or_else(paths::default_state))?;
    let beside = loaded.path.map(|path| path.with_extension("lock"));
    let extent = Extent { downloads: args.downloads, osies: args.osies, all: args.all };
    let locks: Vec<_> = beside.into_iter().collect();
    let found = litter(&std::path::absolute(&cache)?, &locks, extent, &[state]).map_err(osies::failure)?;
    if !args.dry_run {
        remove(&found).map_err(osies::failure)?;
    }
    let bytes: u64 = found.iter().map(|one| one.bytes).sum();
    if args.json {
        let report = serde_json::json!({ "freed": bytes, "dry_run": args.dry_run, "paths": found });
        println!("{}", serde_json::to_string_pretty(&report).map_err(Failure::failed)?);
        return Ok(());
    }
    for one in &found {
        println!("  {:>8.1} MB  {}", one.bytes as f64 / 1e6, one.path.display());
    }
    let verb = if args.dry_run { "would free" } else { "freed" };
    println!("{verb} {:.1} MB in {}", bytes as f64 / 1e6, cache.display());
    Ok(())
}
