//! [`Handler`]: where the files come from.

use std::net::SocketAddrV4;

use futures_lite::AsyncRead;
use thiserror::Error;

use crate::wire::Code;

/// Opens files for the engine.
pub trait Handler: Send {
    /// A file's bytes.
    type Reader: AsyncRead + Unpin + Send;

    /// Opens the file called `name`, spelled as in [`crate::Finished`], for `client`; says how many bytes it has, where
    /// that is known.
    ///
    /// # Errors
    /// Why there is none for this client.
    fn open(
        &mut self,
        client: SocketAddrV4,
        name: &str,
    ) -> impl Future<Output = Result<(Self::Reader, Option<u64>), OpenError>> + Send;
}

/// Why a file is not sent. Its text goes to the client, and so does a code of RFC 1350's appendix, which firmware goes by:
/// upon 1 and 2 U-Boot (`net/tftp.c`) tries its next name, upon any other it begins anew with the same one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OpenError {
    /// There is none: code 1.
    #[error("{0}")]
    Absent(String),
    /// This client may not have it: code 2.
    #[error("{0}")]
    Refused(String),
    /// It may be had later, or somebody has to repair something: code 0.
    #[error("{0}")]
    Failed(String),
}

impl OpenError {
    /// What the ERROR datagram says.
    pub(crate) const fn code(&self) -> Code {
        match self {
            Self::Absent(_) => Code::NotFound,
            Self::Refused(_) => Code::AccessViolation,
            Self::Failed(_) => Code::Undefined,
        }
    }
}
