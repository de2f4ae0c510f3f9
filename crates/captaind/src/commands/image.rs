//! `captaind image`: what the built-in registry serves.

use captain_oci::{Digest, Reference, Store};

use crate::cli::{ImageCommand, ImageImportArgs, ImageListArgs, SiteArgs};
use crate::configuration;
use crate::exit::Failure;
use crate::paths;

pub(crate) fn run(command: &ImageCommand) -> Result<(), Failure> {
    match command {
        ImageCommand::Import(args) => import(args),
        ImageCommand::List(args) => list(args),
    }
}

fn open(site: &SiteArgs) -> Result<Store, Failure> {
    let folder = paths::images(&configuration::load(site)?.cache_dir(&site.cache));
    Store::open(&folder).map_err(Failure::failed)
}

fn import(args: &ImageImportArgs) -> Result<(), Failure> {
    let store = open(&args.site)?;
    let imported = store.import(&args.file, args.name.as_deref()).map_err(Failure::failed)?;
    print(imported.iter().map(|image| (&image.reference, &image.digest)), args.json)
}

fn list(args: &ImageListArgs) -> Result<(), Failure> {
    let images = open(&args.site)?.images().map_err(Failure::failed)?;
    print(images.iter().map(|image| (&image.reference, &image.digest)), args.json)
}

fn print<'a>(images: impl Iterator<Item = (&'a Reference, &'a Digest)>, json: bool) -> Result<(), Failure> {
    if json {
        let list: Vec<_> = images
            .map(|(reference, digest)| {
                serde_json::json!({
                    "name": reference.name(),
                    "served": reference.served(),
                    "tag": reference.tag(),
                    "digest": digest.to_string(),
                })
            })
            .collect();
        println!("{}", serde_json::to_string_pretty(&list).map_err(Failure::failed)?);
        return Ok(());
    }
    for (reference, digest) in images {
        println!("{}:{} {digest}", reference.served(), reference.tag());
    }
    Ok(())
}
