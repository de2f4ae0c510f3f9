//! `captaind check`: every fault of the configuration, with its line.

use crate::cli::CheckArgs;
use crate::configuration::{fault_json, read};
use crate::exit::Failure;

pub(crate) fn run(args: &CheckArgs) -> Result<(), Failure> {
    match read(&args.config) {
        Ok(loaded) => {
            let file =
                loaded.path.map_or_else(|| "no configuration file".to_owned(), |p| p.display().to_string());
            if args.json {
                println!("{}", serde_json::json!({ "ok": true, "faults": [] }));
            } else {
                let inventory = &loaded.config.inventory;
                println!(
                    "{file}: fine ({} machines, {} profiles)",
                    inventory.machines().len(),
                    inventory.profiles().count()
                );
            }
            Ok(())
        }
        Err(faults) if args.json => {
            let list: Vec<_> = faults.faults.iter().map(|fault| fault_json(&faults.path, fault)).collect();
            println!("{}", serde_json::json!({ "ok": false, "faults": list }));
            Err(Failure::usage(format!("{} faults", list.len())))
        }
        Err(faults) => Err(Failure::usage(faults)),
    }
}
