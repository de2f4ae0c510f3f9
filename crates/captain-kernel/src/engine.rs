//! The container engine: which socket, and whether somebody answers there.

use std::io::ErrorKind;

use bollard::{API_DEFAULT_VERSION, ClientVersion, Docker};
use tokio::net::UnixStream;

use crate::error::Error;

/// Seconds that one answer may take: an engine unpacks an image of some hundred MB before it says anything.
const PATIENCE: u64 = 1800;

/// Docker 19.03, and every Podman with this interface: what an older one makes of our requests nobody has seen.
const OLDEST: ClientVersion = ClientVersion { major_version: 1, minor_version: 40 };

/// An engine that answers.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) docker: Docker,
    pub(crate) socket: String,
}

impl Engine {
    /// What to do without one.
    pub(crate) const FOR_KERNELS: &str = "build the kernel on this machine with --builder host";

    /// Connects to the engine that `DOCKER_HOST` names, or to the first that answers where Docker and Podman listen.
    ///
    /// `instead` is what one may do without an engine.
    ///
    /// # Errors
    /// [`Error::NoEngine`] with everything that was tried.
    pub(crate) async fn connect(instead: &'static str) -> Result<Self, Error> {
        let named = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let runtime = std::env::var("XDG_RUNTIME_DIR").ok().filter(|folder| !folder.is_empty());
        Self::first(sockets(named, runtime.as_deref()), instead).await
    }

    async fn first(sockets: Vec<String>, instead: &'static str) -> Result<Self, Error> {
        let mut tried = Vec::new();
        for socket in sockets {
            match open(&socket).await {
                Ok(docker) => return Ok(Self { docker, socket }),
                Err(why) => tried.push(format!("{socket}: {why}")),
            }
        }
        Err(Error::NoEngine { tried, instead })
    }

    /// For `map_err` on anything that the engine is asked to do.
    pub(crate) fn refuses(&self, what: impl Into<String>) -> impl FnOnce(bollard::errors::Error) -> Error {
        let (socket, what) = (self.socket.clone(), what.into());
        move |error| Error::Engine { socket, what, why: error.to_string() }
    }
}

/// Where to look, in this order.
fn sockets(named: Option<String>, runtime: Option<&str>) -> Vec<String> {
    if let Some(host) = named {
        return vec![host];
    }
    let mut all = vec!["unix:///var/run/docker.sock".to_owned()];
    let own = ["docker.sock", "podman/podman.sock"];
    all.extend(runtime.iter().flat_map(|folder| own.map(|name| format!("unix://{folder}/{name}"))));
    all.push("unix:///run/podman/podman.sock".to_owned());
    all
}

/// Older engines and Podman speak an older version of the protocol than we do: theirs is taken.
async fn open(socket: &str) -> Result<Docker, String> {
    let docker = match socket.split_once("://") {
        Some(("unix", path)) => {
            UnixStream::connect(path).await.map_err(|error| closed(error.kind()))?;
            Docker::connect_with_unix(path, PATIENCE, API_DEFAULT_VERSION)
        }
        Some(("tcp" | "http", _)) => Docker::connect_with_http(socket, PATIENCE, API_DEFAULT_VERSION),
        _ => return Err("only unix://, tcp:// and http:// are understood".to_owned()),
    };
    let docker = docker.map_err(|error| error.to_string())?;
    let docker = docker.negotiate_version().await.map_err(|error| error.to_string())?;
    let theirs = docker.client_version();
    if theirs < OLDEST {
        return Err(format!(
            "speaks version {theirs} of Docker's API and {OLDEST} is needed: renew the engine"
        ));
    }
    Ok(docker)
}

/// Why a socket let nobody in.
fn closed(kind: ErrorKind) -> String {
    match kind {
        ErrorKind::NotFound => "is not there".to_owned(),
        ErrorKind::PermissionDenied => {
            "this user may not use it (usermod -aG docker USER and a new login, or sudo)".to_owned()
        }
        ErrorKind::ConnectionRefused => "nobody listens there".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_host_stands_alone_and_otherwise_dockers_and_podmans_sockets_are_tried() {
        assert_eq!(sockets(Some("tcp://x:2375".to_owned()), Some("/run/user/1")), ["tcp://x:2375"]);
        assert_eq!(
            sockets(None, Some("/run/user/1")),
            [
                "unix:///var/run/docker.sock",
                "unix:///run/user/1/docker.sock",
                "unix:///run/user/1/podman/podman.sock",
                "unix:///run/podman/podman.sock"
            ]
        );
        assert_eq!(sockets(None, None).len(), 2);
    }

    #[tokio::test]
    async fn no_engine_is_one_error_that_names_each_socket_and_the_way_without_one() {
        let folder = tempfile::tempdir().unwrap();
        let deaf = folder.path().join("deaf.sock");
        // Bound and gone: the file is there, nobody listens.
        drop(std::os::unix::net::UnixListener::bind(&deaf).unwrap());
        let sockets = vec![
            format!("unix://{}/none.sock", folder.path().display()),
            format!("unix://{}", deaf.display()),
        ];
        let told = Engine::first(sockets.clone(), Engine::FOR_KERNELS).await.err().unwrap().to_string();
        let [none, deaf] = ["none.sock: is not there", "deaf.sock: nobody listens there"];
        for part in [none, deaf, "--builder host", "systemctl start docker", "DOCKER_HOST"] {
            assert!(told.contains(part), "no {part}: {told}");
        }
        let told =
            Engine::first(vec!["ssh://x".to_owned()], Engine::FOR_KERNELS).await.err().unwrap().to_string();
        assert!(told.contains("ssh://x: only unix://"), "{told}");
    }

    /// Answers one question as an engine of that version would.
    async fn engine(socket: &std::path::Path, version: &str) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::UnixListener::bind(socket).unwrap();
        let body = format!("{{\"ApiVersion\":\"{version}\"}}");
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length";
        let answer = format!("{head}: {}\r\n\r\n{body}", body.len());
        // The first connection only tries the door.
        drop(listener.accept().await.unwrap());
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
    }

    #[tokio::test]
    async fn an_engine_of_long_ago_is_named_with_its_version_and_a_newer_ones_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for (version, fault) in [("1.24", Some("1.24")), ("1.9", Some("1.9")), ("1.41", None)] {
            let socket = folder.path().join(version);
            let door = format!("unix://{}", socket.display());
            let asked = async {
                while !socket.exists() {
                    tokio::task::yield_now().await;
                }
                Engine::first(vec![door], Engine::FOR_KERNELS).await
            };
            let (opened, ()) = tokio::join!(asked, engine(&socket, version));
            let told = opened.map(|engine| engine.docker.client_version().to_string());
            match (fault, told) {
                (None, Ok(taken)) => assert_eq!(taken, version),
                (Some(fault), Err(told)) => {
                    assert!(told.to_string().contains(&format!("speaks version {fault} ")), "{told}");
                }
                (_, told) => panic!("{version}: {told:?}"),
            }
        }
    }

    #[test]
    fn a_socket_of_others_is_met_with_how_to_be_let_in() {
        assert!(closed(ErrorKind::PermissionDenied).contains("usermod -aG docker"));
    }
}
