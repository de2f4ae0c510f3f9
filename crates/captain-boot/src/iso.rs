//! The command line inside an ISO: a placeholder of fixed size is replaced, so that every offset stays.

use captain_model::Cmdline;

use crate::BootError;

/// Bytes of the placeholder that CaptainOS and Hook ISOs carry in their loader's configuration.
pub const ISO_PATCH_SIZE: usize = 1024;

/// The bytes that take the placeholder's place: the line, then spaces.
///
/// # Errors
/// The line is longer than the placeholder: writing it would destroy what follows.
pub fn iso_cmdline(cmdline: &Cmdline) -> Result<[u8; ISO_PATCH_SIZE], BootError> {
    let line = cmdline.to_string();
    let mut patch = [b' '; ISO_PATCH_SIZE];
    match patch.get_mut(..line.len()) {
        Some(room) => room.copy_from_slice(line.as_bytes()),
        None => return Err(BootError::IsoFull { length: line.len(), room: ISO_PATCH_SIZE }),
    }
    Ok(patch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_patch_is_the_line_and_spaces_and_never_more_than_its_room() {
        let patch = iso_cmdline(&Cmdline::parse(["a=1", "b=2"]).unwrap()).unwrap();
        assert_eq!(&patch[..8], b"a=1 b=2 ");
        assert!(patch[7..].iter().all(|byte| *byte == b' '));
        let full = Cmdline::parse(["x".repeat(ISO_PATCH_SIZE)]).unwrap();
        assert!(iso_cmdline(&full).is_ok());
        let over = Cmdline::parse(["x".repeat(ISO_PATCH_SIZE + 1)]).unwrap();
        assert_eq!(iso_cmdline(&over), Err(BootError::IsoFull { length: 1025, room: 1024 }));
    }
}
