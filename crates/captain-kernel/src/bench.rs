//! A place with a compiler, where the stages run: a container or this machine.

use std::path::Path;

use crate::error::Error;
use crate::journal::Journal;
use crate::stages::Stage;

/// What every such place can do. Paths are below its `$WORK`.
pub(crate) trait Bench {
    /// Puts the file at `file` there as `name`.
    async fn put(&self, name: &str, file: &Path) -> Result<(), Error>;
    /// Runs one stage; what it prints goes into the journal.
    async fn run(&self, stage: &Stage, journal: &mut Journal) -> Result<(), Error>;
    /// The text of a file there.
    async fn read(&self, path: &str) -> Result<String, Error>;
    /// Brings everything below `out` into the empty folder `to`.
    async fn collect(&self, to: &Path) -> Result<(), Error>;
    /// Takes the place down.
    async fn close(self) -> Result<(), Error>;
}
