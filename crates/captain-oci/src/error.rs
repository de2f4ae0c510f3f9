//! What can go wrong with images.

use std::io;
use std::path::{Path, PathBuf};

use crate::Digest;

/// Why an image could not be imported, assembled or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of the store or of the imported image.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The imported file is neither kind of image.
    #[error(
        "{}: not a container image: want a `docker save` archive or an OCI image layout (folder, tar or tar.gz)",
        .0.display()
    )]
    NotAnImage(PathBuf),
    /// The archive refers to a file that it does not hold.
    #[error("the image is incomplete: `{0}` is missing; export it again with all its platforms' content")]
    Missing(String),
    /// Content that is not what its name or its descriptor says.
    #[error("`{what}` is damaged: want {want}, have {have}; export the image again")]
    Mismatch {
        /// Which file of the image.
        what: String,
        /// What its descriptor says.
        want: String,
        /// What it is.
        have: String,
    },
    /// JSON that is not the document it should be.
    #[error("`{what}` of the image cannot be read: {why}")]
    Document {
        /// Which file of the image.
        what: String,
        /// Why.
        why: String,
    },
    /// A name in the archive that leads out of it.
    #[error(
        "the archive names `{0}`, which leads out of it: refused; export it again, from where you trust it"
    )]
    Traversal(String),
    /// More than an image can reasonably hold.
    #[error("`{what}` is larger than {limit} bytes: refused")]
    TooLarge {
        /// Which file, or the whole archive.
        what: String,
        /// The bound.
        limit: u64,
    },
    /// The archive gives no name.
    #[error("the image names itself nowhere: give it one with `--name NAME:TAG`")]
    Nameless,
    /// One name for several images.
    #[error("the archive holds {0} images, so one name cannot name them: leave `--name` out")]
    Several(usize),
    /// Not a usable image name.
    #[error("{0}")]
    Name(String),
    /// A digest that the store does not hold.
    #[error("the store holds no image {0}")]
    Unknown(Digest),
    /// An [`ImageSpec`](crate::ImageSpec) that cannot be an image.
    #[error("cannot assemble the image: {0}")]
    Spec(String),
}

impl Error {
    pub(crate) fn document(what: impl Into<String>, why: impl ToString) -> Self {
        Self::Document { what: what.into(), why: why.to_string() }
    }
}

/// Names the file in an I/O error.
pub(crate) trait At<T> {
    fn at(self, path: &Path) -> Result<T, Error>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { path: path.to_owned(), source })
    }
}
