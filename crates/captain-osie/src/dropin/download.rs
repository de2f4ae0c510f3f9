//! Archives of OSIEs from elsewhere: resumed where they broke off, and taken only for what somebody vouches for.

use captain_debian::{Error as Archive, Fetched, Fetcher, Item, Progress, Sha256};

use crate::error::Error;

/// Gets the archive at `url`.
///
/// # Errors
/// It cannot be had; it is another file than `sha256` says; nobody says what it is.
pub(super) async fn get(
    url: &str,
    sha256: Option<Sha256>,
    fetcher: &Fetcher,
    progress: &dyn Progress,
) -> Result<Fetched, Error> {
    let wrong = |why: String| Error::malformed(url, why);
    let Some(sha256) = sha256 else {
        let Fetched { sha256, size, .. } =
            fetcher.learn(url, progress).await.map_err(|error| told(url, error))?;
        return Err(Error::Unvouched { url: url.to_owned(), size, sha256 });
    };
    let item = Item { name: url.to_owned(), urls: vec![url.to_owned()], size: None, sha256 };
    match fetcher.fetch(&[item], progress).await.map_err(|error| told(url, error))?.pop() {
        Some(fetched) => Ok(fetched),
        None => Err(wrong("nothing came".to_owned())),
    }
}

/// What the archive client says of mirrors is not so of one file that somebody publishes.
fn told(url: &str, error: Archive) -> Error {
    match error {
        Archive::Tampered { expected, got, .. } => Error::malformed(
            url,
            format!(
                "expected {expected}, got {got}: not the file that was meant; ask its publisher for its sum"
            ),
        ),
        Archive::Gone { .. } => Error::malformed(url, "the server has no such file (404)"),
        other => other.into(),
    }
}
