//! Progress messages: on a terminal one line that changes, otherwise plain lines.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::IsTerminal as _,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The maximum time without a message, so that a person sees that the run continues.
const SILENCE: Duration = Duration::from_secs(3);

/// Prints progress messages. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    scenario: String,
    begun: Instant,
    /// When the last message was printed.
    last_message: Arc<Mutex<Instant>>,
}

impl Progress {
    pub(crate) fn of(nth: usize, count: usize, scenario: &str) -> Self {
        let scenario = format!("[{nth}/{count}] {scenario}");
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner().with_style(
                ProgressStyle::with_template("{spinner} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner()),
            );
            bar.enable_steady_tick(Duration::from_millis(200));
            bar
        });
        Self { bar, scenario, begun: Instant::now(), last_message: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Reports the next phase.
    pub(crate) fn phase(&self, phase: &str) {
        *self.last_message.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        match &self.bar {
            Some(bar) => bar.set_message(self.line(phase)),
            None => eprintln!("{}", self.line(phase)),
        }
    }

    /// Reports the progress of a phase, but only after a time without messages.
    pub(crate) fn now_and_then(&self, how_far: &str) {
        let silent = self.last_message.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
        if silent >= SILENCE {
            self.phase(how_far);
        }
    }

    /// Prints a line that stays on the screen.
    pub(crate) fn note(&self, note: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{}", self.line(note))),
            None => eprintln!("{}", self.line(note)),
        }
    }

    fn line(&self, what: &str) -> String {
        format!("{} · {:3} s · {what}", self.scenario, self.begun.elapsed().as_secs())
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
