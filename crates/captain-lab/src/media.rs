//! What the lab's machines boot from.

use std::path::Path;

use captain_model::Mac;
use tokio::io::AsyncWriteExt;

use crate::api;
use crate::error::LabError;

/// What a machine boots from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Media {
    /// Its network card.
    #[default]
    Network,
    /// A CD: the ISO that captaind has for it, as a management controller's virtual media.
    Cd,
    /// The same ISO on a USB stick.
    Usb,
}

impl Media {
    /// QEMU's arguments, where the machine starts from the ISO in `file`.
    pub(crate) fn arguments(self, file: &str) -> Vec<String> {
        let drive = |kind: &str| format!("if=none,id=m0,format=raw,readonly=on,{kind}file={file}");
        let words: &[&str] = match self {
            Self::Network => &[],
            Self::Cd => &["-drive", &drive("media=cdrom,"), "-device", "virtio-scsi-pci", "-device", CD],
            Self::Usb => &["-drive", &drive(""), "-device", "qemu-xhci", "-device", STICK],
        };
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    /// Gets the ISO of the machine `mac` from the daemon into `folder`, where it starts from that.
    ///
    /// # Errors
    /// The daemon has none, or the disk is full.
    pub(crate) async fn fetch(self, mac: Mac, folder: &Path) -> Result<(), LabError> {
        match self {
            Self::Network => return Ok(()),
            Self::Cd | Self::Usb => {}
        }
        let file = folder.join(format!("{}.iso", mac.dashed()));
        let mut out = tokio::fs::File::create(&file).await.map_err(LabError::file(&file))?;
        let path = format!("/iso/{}/captaind.iso", mac.dashed());
        let mut body = api::body(&path).await?;
        while let Some(piece) = body.next().await? {
            out.write_all(&piece).await.map_err(LabError::file(&file))?;
        }
        out.flush().await.map_err(LabError::file(&file))?;
        Ok(())
    }
}

/// The boot order that the network card has otherwise.
const CD: &str = "scsi-cd,drive=m0,bootindex=1";
const STICK: &str = "usb-storage,drive=m0,removable=on,bootindex=1";
