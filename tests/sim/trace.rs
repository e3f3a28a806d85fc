//! The events of one run, in order: they show whether two runs are equal, and a person reads them when a run fails.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::time::Instant;

/// The events, and how often each event happened that must happen in some run.
#[derive(Debug)]
pub(crate) struct Trace {
    start: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// The lines, if they are kept.
    lines: Option<Vec<String>>,
    counts: BTreeMap<String, u64>,
    wrong: Vec<String>,
}

impl Trace {
    pub(crate) fn start(keeps_lines: bool) -> Self {
        let inner = Inner { lines: keeps_lines.then(Vec::new), ..Inner::default() };
        Self { start: Instant::now(), inner: Mutex::new(inner) }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an event.
    pub(crate) fn line(&self, who: &str, what: &dyn fmt::Display) {
        // The trace of most runs is never read, and formatting the text would take much of the time of a run.
        if let Some(lines) = &mut self.inner().lines {
            lines.push(format!("{:>9.3} {who:<10} {what}", self.start.elapsed().as_secs_f64()));
        }
    }

    /// Records an event that some run must show.
    pub(crate) fn count(&self, what: impl Into<String>) {
        *self.inner().counts.entry(what.into()).or_default() += 1;
    }

    /// Records an error.
    pub(crate) fn wrong(&self, what: String) {
        self.inner().wrong.push(what);
    }

    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.inner().wrong.clone()
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        self.inner().counts.clone()
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.inner().lines.clone().unwrap_or_default()
    }
}
