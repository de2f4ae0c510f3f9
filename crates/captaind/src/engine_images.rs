//! Images that a recipe takes from the container engine (`docker://NAME`).

use captain_debian::Progress;
use captain_model::Recipe;
use captain_osie::BuildOptions;

use crate::exit::Failure;
use crate::{kernels, osies};

/// Brings them into the cache, for a new lock to find. Offline, what the cache has will do.
pub(crate) async fn take(
    recipe: &Recipe,
    options: &BuildOptions,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    if options.offline {
        return Ok(());
    }
    for (source, name) in captain_osie::engine_images(recipe) {
        let task = progress.begin(&format!("take the image {name} from the container engine"), None);
        std::fs::create_dir_all(&options.cache)?;
        let file = options.cache.join(format!(".image-{}.tar", std::process::id()));
        let taken = one(source, name, &file, options).await;
        let _ = std::fs::remove_file(&file);
        taken?;
        task.done("done");
    }
    Ok(())
}

async fn one(
    source: &str,
    name: &str,
    file: &std::path::Path,
    options: &BuildOptions,
) -> Result<(), Failure> {
    captain_kernel::save_image(name, file).await.map_err(kernels::failure)?;
    let (source, file, cache) = (source.to_owned(), file.to_owned(), options.cache.clone());
    let take = move || captain_osie::take_engine_image(&source, &file, &cache);
    tokio::task::spawn_blocking(take).await.map_err(Failure::failed)?.map_err(osies::failure)
}
