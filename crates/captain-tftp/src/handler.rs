//! [`Reasons`]: what an error of [`Handler`] cannot say.

use async_tftp::packet::Error as HandlerError;
use async_tftp::server::Handler;

/// A [`Handler`] that says why. Its errors have a code or a text and not both, and firmware goes by the code: upon 1 and 2
/// U-Boot (`net/tftp.c`) tries its next name, upon any other it begins anew with the same one.
pub trait Reasons: Handler {
    /// Why the file was not opened, where the error that [`Handler::read_req_open`] has just given is a code alone.
    fn reason(&mut self) -> Option<String> {
        None
    }
}

/// The code of RFC 1350's appendix, and the text where the handler has no other.
pub(crate) fn describe(error: HandlerError) -> (u16, String) {
    let (code, text) = match error {
        HandlerError::Msg(text) => return (0, text),
        HandlerError::UnknownError => (0, "unknown error"),
        HandlerError::FileNotFound => (1, "file not found"),
        HandlerError::PermissionDenied => (2, "access violation"),
        HandlerError::DiskFull => (3, "disk full"),
        HandlerError::IllegalOperation => (4, "illegal operation"),
        HandlerError::UnknownTransferId => (5, "unknown transfer"),
        HandlerError::FileAlreadyExists => (6, "file exists already"),
        HandlerError::NoSuchUser => (7, "no such user"),
    };
    (code, text.to_owned())
}
