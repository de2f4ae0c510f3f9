//! Progress of long work: bars on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use captain_debian::{Progress, Task};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// The way that fits standard error: bars, or a line per task and every few seconds.
pub(crate) fn for_stderr() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() { Box::new(Bars(MultiProgress::new())) } else { Box::new(Lines) }
}

struct Bars(MultiProgress);

struct Bar {
    bar: ProgressBar,
    task: String,
}

impl Progress for Bars {
    fn begin(&self, task: &str, total: Option<u64>) -> Box<dyn Task> {
        let bar = self.0.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
        bar.set_style(style(total.is_some()));
        bar.set_message(task.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Box::new(Bar { bar, task: task.to_owned() })
    }
}

fn style(bounded: bool) -> ProgressStyle {
    let template =
        if bounded { "{msg:36!} {wide_bar} {bytes:>10}/{total_bytes} {eta:>4}" } else { "{spinner} {msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Task for Bar {
    fn advance(&self, by: u64) {
        self.bar.inc(by);
    }

    fn total(&self, total: u64) {
        self.bar.set_length(total);
        self.bar.set_style(style(true));
    }

    fn at(&self, place: &str) {
        self.bar.set_message(format!("{}: {place}", self.task));
    }

    fn done(&self, note: &str) {
        let task = &self.task;
        self.bar.set_style(style(false));
        self.bar.finish_with_message(if note.is_empty() { task.clone() } else { format!("{task}: {note}") });
    }
}

struct Lines;

struct Line {
    task: String,
    /// 0 where nobody knows.
    total: AtomicU64,
    begun: Instant,
    done: AtomicU64,
    told: Mutex<Instant>,
}

/// How often a task without a terminal says how far it is.
const EVERY: Duration = Duration::from_secs(5);
/// How often one of those that take many minutes says where it is.
const SELDOM: Duration = Duration::from_secs(30);

impl Progress for Lines {
    fn begin(&self, task: &str, total: Option<u64>) -> Box<dyn Task> {
        eprintln!("{task} ...");
        let now = Instant::now();
        Box::new(Line {
            task: task.to_owned(),
            total: AtomicU64::new(total.unwrap_or(0)),
            begun: now,
            done: AtomicU64::new(0),
            told: Mutex::new(now),
        })
    }
}

impl Task for Line {
    fn advance(&self, by: u64) {
        let done = self.done.fetch_add(by, Ordering::Relaxed) + by;
        let (total @ 1.., Ok(mut told)) = (self.total.load(Ordering::Relaxed), self.told.try_lock()) else {
            return;
        };
        if told.elapsed() >= EVERY {
            *told = Instant::now();
            eprintln!("{}: {} %", self.task, done.saturating_mul(100) / total);
        }
    }

    fn total(&self, total: u64) {
        self.total.store(total, Ordering::Relaxed);
    }

    fn at(&self, place: &str) {
        if let Ok(mut told) = self.told.try_lock()
            && told.elapsed() >= SELDOM
        {
            *told = Instant::now();
            eprintln!("{}: {place}", self.task);
        }
    }

    fn done(&self, note: &str) {
        let seconds = self.begun.elapsed().as_secs_f32();
        let note = if note.is_empty() { "done" } else { note };
        eprintln!("{}: {note} ({seconds:.1} s)", self.task);
    }
}
