//! Compiling in a container, over Docker's API: files are copied in and out, nothing of this machine is mounted and
//! there is no network inside. A container lives as long as our connection to its standard input: however captaind
//! ends, the engine then ends the container and removes it.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::errors::Error as Refusal;
use bollard::exec::{CreateExecOptions, StartExecResults};
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, CreateImageOptionsBuilder,
    DownloadFromContainerOptionsBuilder, RemoveContainerOptionsBuilder, StartContainerOptions,
    UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use tokio_util::io::ReaderStream;

use crate::bench::Bench;
use crate::engine::Engine;
use crate::error::Error;
use crate::journal::Journal;
use crate::stages::Stage;

const WORK: &str = "/build";
/// A tar ends with two empty blocks.
const END: [u8; 1024] = [0; 1024];

/// A running container.
pub(crate) struct Container {
    engine: Engine,
    name: String,
    /// Its first process reads this and ends when nobody holds it any more.
    life: Pin<Box<dyn tokio::io::AsyncWrite + Send>>,
    /// For what passes between here and there.
    scratch: PathBuf,
}

/// Whether the engine has the image already.
pub(crate) async fn has_image(engine: &Engine, image: &str) -> bool {
    engine.docker.inspect_image(image).await.is_ok()
}

/// Gives the engine the image `name` (with its tag), whose one layer is the tar at `layer`.
pub(crate) async fn import(engine: &Engine, name: &str, layer: &Path) -> Result<(), Error> {
    // Podman hears no tag that stands apart, Docker takes both.
    let options = CreateImageOptionsBuilder::default().from_src("-").repo(name).build();
    let file = tokio::fs::File::open(layer).await.map_err(Error::io(layer))?;
    let body = bollard::body_try_stream(ReaderStream::with_capacity(file, 1 << 18));
    let told = engine.docker.create_image(Some(options), Some(body), None).try_collect::<Vec<_>>().await;
    told.map(drop).map_err(engine.refuses("import the builder image"))
}

impl Container {
    /// Starts a container of `image` that only waits for us to go.
    pub(crate) async fn start(
        engine: Engine,
        image: &str,
        name: &str,
        scratch: &Path,
    ) -> Result<Self, Error> {
        let docker = &engine.docker;
        let options = CreateContainerOptionsBuilder::default().name(name).build();
        let made = docker.create_container(Some(options), description(image)).await;
        made.map_err(engine.refuses(format!("make a container of {image}")))?;
        let life = AttachContainerOptionsBuilder::default().stdin(true).stream(true).build();
        let started = async {
            let attached = docker.attach_container(name, Some(life)).await?;
            docker.start_container(name, None::<StartContainerOptions>).await?;
            Ok(attached.input)
        };
        match started.await.map_err(engine.refuses(format!("start container {name}"))) {
            Ok(life) => Ok(Self { engine, name: name.to_owned(), life, scratch: scratch.to_owned() }),
            Err(refused) => {
                // What never ran does not end by itself. Where the engine is gone, there is nothing to do about it.
                let _ = remove(&engine, name).await;
                Err(refused)
            }
        }
    }

    fn download(&self, path: &str) -> impl Stream<Item = Result<Bytes, Refusal>> {
        let options = DownloadFromContainerOptionsBuilder::default().path(&format!("{WORK}/{path}")).build();
        self.engine.docker.download_from_container(&self.name, Some(options))
    }

    async fn exit_code(&self, exec: &str) -> Result<Option<i64>, Error> {
        let inspected = self.engine.docker.inspect_exec(exec).await;
        Ok(inspected.map_err(self.engine.refuses("say how a stage ended"))?.exit_code)
    }
}

impl Bench for Container {
    async fn put(&self, name: &str, path: &Path) -> Result<(), Error> {
        let file = tokio::fs::File::open(path).await.map_err(Error::io(path))?;
        let size = file.metadata().await.map_err(Error::io(path))?.len();
        let mut header = tar::Header::new_gnu();
        header.set_path(name).map_err(Error::io(path))?;
        header.set_mode(0o644);
        header.set_size(size);
        header.set_cksum();
        // At most 511: a usize holds it.
        let padding = (512 - size % 512) as usize % 512;
        let end = [vec![0; padding], END.to_vec()].concat();
        let whole = |bytes: Vec<u8>| stream::iter([Ok::<_, std::io::Error>(Bytes::from(bytes))]);
        let tar = whole(header.as_bytes().to_vec())
            .chain(ReaderStream::with_capacity(file, 1 << 18))
            .chain(whole(end));
        let options = UploadToContainerOptionsBuilder::default().path(WORK).build();
        let body = bollard::body_try_stream(tar);
        let sent = self.engine.docker.upload_to_container(&self.name, Some(options), body).await;
        sent.map_err(self.engine.refuses(format!("take in {}", path.display())))
    }

    async fn run(&self, stage: &Stage, journal: &mut Journal) -> Result<(), Error> {
        let refuses = || self.engine.refuses(&stage.name);
        let exec = CreateExecOptions {
            cmd: Some(vec!["sh", "-e", "-c", &stage.command]),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..CreateExecOptions::default()
        };
        let exec = self.engine.docker.create_exec(&self.name, exec).await.map_err(refuses())?;
        let started = self.engine.docker.start_exec(&exec.id, None).await.map_err(refuses())?;
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(piece) = output.next().await {
                let piece: LogOutput = piece.map_err(refuses())?;
                journal.note(piece.as_ref())?;
            }
        }
        if self.exit_code(&exec.id).await? == Some(0) { Ok(()) } else { Err(journal.failed(stage)) }
    }

    async fn read(&self, path: &str) -> Result<String, Error> {
        let pieces = self.download(path).try_collect::<Vec<_>>().await;
        let tar = pieces.map_err(self.engine.refuses(format!("hand out {path}")))?.concat();
        let mut text = String::new();
        let mut archive = tar::Archive::new(&tar[..]);
        for entry in archive.entries().map_err(Error::io(path))? {
            entry.and_then(|mut entry| entry.read_to_string(&mut text)).map_err(Error::io(path))?;
        }
        Ok(text)
    }

    async fn collect(&self, to: &Path) -> Result<(), Error> {
        let place = self.scratch.join("out.tar");
        let mut file = File::create(&place).map_err(Error::io(&place))?;
        let mut pieces = Box::pin(self.download("out"));
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(self.engine.refuses("hand out the kernel"))?;
            file.write_all(&piece).map_err(Error::io(&place))?;
        }
        let to = to.to_owned();
        let unpacked = tokio::task::spawn_blocking(move || unpack(&place, &to)).await;
        unpacked.map_err(|error| Error::io("out.tar")(std::io::Error::other(error)))?
    }

    async fn close(self) -> Result<(), Error> {
        let removed = remove(&self.engine, &self.name).await;
        drop(self.life);
        removed.map_err(self.engine.refuses(format!("remove container {}", self.name)))
    }
}

/// A container of `image` without a network, which the engine removes when its standard input is closed.
fn description(image: &str) -> ContainerCreateBody {
    let work = format!("WORK={WORK}");
    let environment = [work.as_str(), "LC_ALL=C", "PATH=/usr/sbin:/usr/bin"];
    ContainerCreateBody {
        image: Some(image.to_owned()),
        cmd: Some(vec!["cat".to_owned()]),
        attach_stdin: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        env: Some(environment.map(str::to_owned).to_vec()),
        network_disabled: Some(true),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            auto_remove: Some(true),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}

/// Removes a container, running or not; one that is gone or on its way is no error.
async fn remove(engine: &Engine, name: &str) -> Result<(), Refusal> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match engine.docker.remove_container(name, Some(options)).await {
        Err(Refusal::DockerResponseServerError { status_code: 404 | 409, .. }) => Ok(()),
        removed => removed,
    }
}

/// Unpacks the folder `out` of the tar at `place` as `to`: files and folders; no link leads anywhere.
fn unpack(place: &Path, to: &Path) -> Result<(), Error> {
    let file = File::open(place).map_err(Error::io(place))?;
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    std::fs::create_dir_all(to).map_err(Error::io(to))?;
    for entry in archive.entries().map_err(Error::io(place))? {
        let mut entry = entry.map_err(Error::io(place))?;
        let path = entry.path().map_err(Error::io(place))?.into_owned();
        let below: PathBuf = path.components().skip(1).collect();
        let safe = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        let target = to.join(&below);
        let made = match entry.header().entry_type() {
            tar::EntryType::Directory if safe => std::fs::create_dir_all(&target),
            tar::EntryType::Regular if safe => entry.unpack(&target).map(drop),
            _ => Err(std::io::Error::other("the container handed out something that is no file or folder")),
        };
        made.map_err(Error::io(&target))?;
    }
    std::fs::remove_file(place).map_err(Error::io(place))
}
