//! TFTP: the engine's port, the files behind it, and its outcomes as events.

mod desk;
mod files;
mod names;

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use captain_model::{Event, EventKind};
pub(crate) use captain_tftp::Engine;
use captain_tftp::{EngineConfig, Finished, Outcome};

use crate::appliance::Appliance;
use crate::clock::now;
use crate::net::open::Purpose;
use crate::{BindError, Settings, TftpSettings};
pub(crate) use desk::{Asker, Found, machine_of, open as open_file};
use files::Files;

/// Takes the port on each device of [`Settings::devices`]; notes the one really taken in `settings`.
///
/// # Errors
/// The port is taken, or may not be bound.
pub(crate) fn open(settings: &mut Settings) -> Result<Vec<Engine>, BindError> {
    let (listen, devices) = (settings.listen, settings.devices());
    let Some(tftp) = &mut settings.tftp else { return Ok(Vec::new()) };
    devices.into_iter().map(|device| open_on(device, listen, tftp)).collect()
}

fn open_on(device: Option<String>, listen: Ipv4Addr, tftp: &mut TftpSettings) -> Result<Engine, BindError> {
    let config = EngineConfig {
        listen: SocketAddrV4::new(listen, tftp.port),
        interface: device,
        block_size: tftp.block_size,
        window_size: tftp.window_size,
        single_port: tftp.single_port,
        ..EngineConfig::default()
    };
    let purpose = Purpose { service: "TFTP", transport: "UDP", port: tftp.port };
    let engine = Engine::bind(config).map_err(|error| purpose.failed(error))?;
    tftp.port = engine.local_addr().port();
    Ok(engine)
}

/// Serves until the appliance stops.
///
/// # Errors
/// The socket's.
pub(crate) async fn serve(appliance: Arc<Appliance>, engine: Engine) -> io::Result<()> {
    let handler = Files::new(appliance.clone());
    let stop = appliance.stopping.clone().cancelled_owned();
    let loads = handler.loads();
    let note = move |finished: Finished| {
        let _kept = loads.end(finished.peer);
        note(&appliance, finished);
    };
    engine.run(handler, note, stop).await
}

fn note(appliance: &Appliance, finished: Finished) {
    let Finished { peer, local, file, outcome } = finished;
    let named = names::mac_in(&file);
    // A transfer to ourselves is an operator trying it out.
    let mac = named.or_else(|| appliance.who((*peer.ip()).into())).filter(|_| peer.ip() != local.ip());
    let kind = match outcome {
        Outcome::Sent { bytes, millis } => EventKind::TftpDone { file, bytes, millis },
        Outcome::Probe => EventKind::TftpProbe { file },
        Outcome::Refused { why } | Outcome::Failed { why } => EventKind::TftpFailed { file, why },
    };
    appliance.publish(Event::new(now(), mac, kind));
}
