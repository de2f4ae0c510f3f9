//! Any datagram to the TFTP port: no panic, and a name that is taken stays inside.

use captain_tftp::Request;

/// One input.
pub(crate) fn run(datagram: &[u8]) {
    let Ok(request) = Request::parse(datagram) else { return };
    let file = &request.file;
    assert!(!file.is_empty() && !file.starts_with('/'), "{file:?}");
    assert!(!file.contains(['\0', '\\']), "{file:?}");
    assert!(file.split('/').all(|part| part != "." && part != ".."), "{file:?}");
    assert!(request.options.block_size.is_none_or(|size| (8..=65464).contains(&size)));
    assert!(request.options.window_size != Some(0) && request.options.timeout != Some(0));
}
