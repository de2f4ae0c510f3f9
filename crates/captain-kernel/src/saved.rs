//! Images that a container engine has.

use std::path::Path;

use bollard::errors::Error as Refusal;
use futures_util::TryStreamExt;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use crate::engine::Engine;
use crate::error::Error;

const INSTEAD: &str =
    "`docker save -o IMAGE.tar NAME` where the image is, and name that file in `containers`";

/// Writes the engine's image `name` to `file`, as `docker save` does.
///
/// # Errors
/// [`Error::NoEngine`]; [`Error::Image`] where it has no such image; a full disk.
pub async fn save_image(name: &str, file: &Path) -> Result<(), Error> {
    let engine = Engine::connect(INSTEAD).await?;
    let mut out = File::create(file).await.map_err(Error::io(file))?;
    let mut pieces = std::pin::pin!(engine.docker.export_image(name));
    while let Some(piece) = pieces.try_next().await.map_err(|error| refused(&engine, name, &error))? {
        out.write_all(&piece).await.map_err(Error::io(file))?;
    }
    out.flush().await.map_err(Error::io(file))
}

fn refused(engine: &Engine, name: &str, error: &Refusal) -> Error {
    let missing = matches!(error, Refusal::DockerResponseServerError { status_code: 404, .. });
    let why = if missing {
        format!("it has none of that name: `docker pull {name}` first")
    } else {
        error.to_string()
    };
    Error::Image { socket: engine.socket.clone(), name: name.to_owned(), why }
}
