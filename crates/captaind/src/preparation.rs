//! Boot loaders and OSIEs that are not there yet: made while the daemon serves what it has.

use std::path::{Path, PathBuf};
use std::thread;

use captain_model::Arch;
use captain_osie::BuildOptions;
use captain_server::Handle;
use tokio::sync::oneshot;

use crate::configuration::Loaded;
use crate::exit::Failure;
use crate::{osies, progress};

/// The architecture that OSIEs are built for where nobody asks for another.
const ARCH: Arch = Arch::Amd64;

/// What has to be made.
#[derive(Debug)]
pub(crate) struct Preparation {
    loaded: Loaded,
    cache: PathBuf,
    /// Whether boot loaders have to be fetched.
    loaders: bool,
}

impl Preparation {
    /// What the profiles of `loaded` need and the cache lacks; `None` where it lacks nothing.
    ///
    /// # Errors
    /// A recipe asks for what there is not.
    pub(crate) async fn needed(loaded: Loaded, cache: &Path) -> Result<Option<Self>, Failure> {
        let images = !osies::missing(&loaded.config, &BuildOptions::new(ARCH, cache))?.is_empty();
        let own = loaded.config.server.loaders.is_some();
        let loaders = !own && !osies::has_loaders(&loaded, cache).await;
        Ok((images || loaders).then(|| Self { loaded, cache: cache.to_owned(), loaders }))
    }

    /// Makes it, on a thread of its own: it takes minutes of processor time. Until it is there, machines that need it
    /// are told to wait. What could not be made anew, where the old one is still there, is no failure.
    ///
    /// # Errors
    /// What kept it from being made; machines lack it.
    pub(crate) async fn run(self, handle: Handle) -> Result<(), Failure> {
        handle.awaits(Some(if self.loaders { FETCHING } else { BUILDING }));
        let (done, made) = oneshot::channel();
        let work = move || {
            let result = crate::wait(self.make(&handle));
            let missing = handle.restock();
            handle.awaits(None);
            for sentence in &missing {
                tracing::warn!("{sentence}");
            }
            // Nobody listens any more where the daemon stops.
            let _stopping = done.send((result, !missing.is_empty()));
        };
        thread::Builder::new().name("preparation".to_owned()).spawn(work)?;
        match made.await {
            Ok((Err(failure), false)) => {
                tracing::error!("machines go on with what was made before: {failure}");
                Ok(())
            }
            Ok((result, _)) => result,
            Err(_) => Err(Failure::failed("building an OSIE ended without a result: please report it")),
        }
    }

    async fn make(&self, handle: &Handle) -> Result<(), Failure> {
        let (loaded, cache, progress) = (&self.loaded, &self.cache, progress::for_stderr());
        if self.loaders {
            osies::loaders(loaded, cache, progress.as_ref()).await?;
            handle.restock();
        }
        let options = BuildOptions::new(ARCH, cache);
        for recipe in osies::missing(&loaded.config, &options)? {
            handle.awaits(Some(&format!("the OSIE `{}` is being built", recipe.name)));
            osies::build_into(loaded, cache, recipe, options.clone(), progress.as_ref()).await?;
        }
        Ok(())
    }
}

const FETCHING: &str = "boot loaders are being fetched";
const BUILDING: &str = "an OSIE is being built";
