//! The container engine: which socket, and whether somebody answers there.

use std::path::Path;

use bollard::{API_DEFAULT_VERSION, Docker};

use crate::error::Error;

/// Seconds that one answer may take: an engine unpacks an image of some hundred MB before it says anything.
const PATIENCE: u64 = 1800;

/// An engine that answers.
#[derive(Clone)]
pub(crate) struct Engine {
    pub(crate) docker: Docker,
    pub(crate) socket: String,
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names, or to the first that answers where Docker and Podman listen.
    ///
    /// # Errors
    /// [`Error::NoEngine`] with everything that was tried.
    pub(crate) async fn connect() -> Result<Self, Error> {
        let named = std::env::var("DOCKER_HOST").ok().filter(|host| !host.is_empty());
        let runtime = std::env::var("XDG_RUNTIME_DIR").ok().filter(|folder| !folder.is_empty());
        Self::first(sockets(named, runtime.as_deref())).await
    }

    async fn first(sockets: Vec<String>) -> Result<Self, Error> {
        let mut tried = Vec::new();
        for socket in sockets {
            match open(&socket).await {
                Ok(docker) => return Ok(Self { docker, socket }),
                Err(why) => tried.push(format!("{socket}: {why}")),
            }
        }
        Err(Error::NoEngine { tried })
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
        Some(("unix", path)) if !Path::new(path).exists() => Err("is not there".to_owned()),
        Some(("unix", path)) => {
            Docker::connect_with_unix(path, PATIENCE, API_DEFAULT_VERSION).map_err(|error| error.to_string())
        }
        Some(("tcp" | "http", _)) => Docker::connect_with_http(socket, PATIENCE, API_DEFAULT_VERSION)
            .map_err(|error| error.to_string()),
        _ => Err("only unix://, tcp:// and http:// are understood".to_owned()),
    };
    docker?.negotiate_version().await.map_err(|error| error.to_string())
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
        let told = Engine::first(sockets.clone()).await.err().unwrap().to_string();
        for part in [&*sockets[0], &*sockets[1], "is not there", "--builder host", "DOCKER_HOST"] {
            assert!(told.contains(part), "no {part}: {told}");
        }
        let told = Engine::first(vec!["ssh://x".to_owned()]).await.err().unwrap().to_string();
        assert!(told.contains("ssh://x: only unix://"), "{told}");
    }
}
