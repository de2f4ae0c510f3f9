//! Progress of work on another thread, told to the caller's [`Progress`] on the caller's own.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use captain_debian::{Progress, Task};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::error::Error;

enum Note {
    Begin(u64, String, Option<u64>),
    Advance(u64, u64),
    Done(u64, String),
}

/// The working side.
pub(crate) struct Relay {
    next: AtomicU64,
    notes: UnboundedSender<Note>,
}

struct Piece {
    id: u64,
    notes: UnboundedSender<Note>,
}

impl Progress for Relay {
    fn begin(&self, task: &str, total: Option<u64>) -> Box<dyn Task> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let piece = Piece { id, notes: self.notes.clone() };
        piece.tell(Note::Begin(id, task.to_owned(), total));
        Box::new(piece)
    }
}

impl Piece {
    fn tell(&self, note: Note) {
        // Whoever no longer listens does not want to know.
        let _ = self.notes.send(note);
    }
}

impl Task for Piece {
    fn advance(&self, by: u64) {
        self.tell(Note::Advance(self.id, by));
    }

    fn done(&self, note: &str) {
        self.tell(Note::Done(self.id, note.to_owned()));
    }
}

/// Runs `work` on a thread for blocking work and passes its progress on.
///
/// # Errors
/// What `work` returns; [`Error::Worker`] where it panics.
pub(crate) async fn blocking<T: Send + 'static>(
    progress: &dyn Progress,
    work: impl FnOnce(&dyn Progress) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (notes, heard) = unbounded_channel();
    let relay = Relay { next: AtomicU64::new(0), notes };
    let worker = tokio::task::spawn_blocking(move || work(&relay));
    forward(heard, progress).await;
    worker.await.map_err(|error| Error::Worker(error.to_string()))?
}

/// Ends when the working side is gone.
async fn forward(mut notes: UnboundedReceiver<Note>, progress: &dyn Progress) {
    let mut tasks: HashMap<u64, Box<dyn Task>> = HashMap::new();
    while let Some(note) = notes.recv().await {
        match note {
            Note::Begin(id, task, total) => {
                tasks.insert(id, progress.begin(&task, total));
            }
            Note::Advance(id, by) => {
                if let Some(task) = tasks.get(&id) {
                    task.advance(by);
                }
            }
            Note::Done(id, text) => {
                if let Some(task) = tasks.remove(&id) {
                    task.done(&text);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(std::sync::Arc<Mutex<Vec<String>>>);
    struct One(std::sync::Arc<Mutex<Vec<String>>>);

    impl Progress for Heard {
        fn begin(&self, task: &str, total: Option<u64>) -> Box<dyn Task> {
            self.0.lock().unwrap().push(format!("begin {task} {total:?}"));
            Box::new(One(self.0.clone()))
        }
    }

    impl Task for One {
        fn advance(&self, by: u64) {
            self.0.lock().unwrap().push(format!("advance {by}"));
        }
        fn done(&self, note: &str) {
            self.0.lock().unwrap().push(format!("done {note}"));
        }
    }

    #[tokio::test]
    async fn everything_is_passed_on_in_order_and_the_result_comes_back() {
        let heard = Heard::default();
        let result = blocking(&heard, |progress| {
            let task = progress.begin("unpack", Some(3));
            task.advance(3);
            task.done("3 files");
            Ok(42)
        });
        assert_eq!(result.await.unwrap(), 42);
        assert_eq!(*heard.0.lock().unwrap(), ["begin unpack Some(3)", "advance 3", "done 3 files"]);
    }
}
