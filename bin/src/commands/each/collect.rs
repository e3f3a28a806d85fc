//! Prints the results of the jobs in the order of their lines. Each result is printed as soon as all earlier results
//! are printed.

use super::plan::Plan;
use crate::{
    context::Context,
    failure::Failure,
    output::{self, jobs},
};
use indicatif::ProgressBar;
use leasehold::{Finished, JobId, State, Store};
use serde_json::value::RawValue;
use std::{collections::HashMap, time::Duration};
use tokio::{sync::watch, time::Instant};

/// The number of lines that are asked for in one call. Results after the first unfinished line are kept in memory
/// until that line has finished.
const WINDOW: usize = 1_000;
/// The delay after a check that found a result. It doubles with each check that found none, up to [`SLOWEST`].
const FIRST: Duration = Duration::from_millis(20);
const SLOWEST: Duration = Duration::from_millis(500);
/// The time without any finished job after which the user is told the reason. The check is repeated after twice the
/// time, again and again, because a queue may be paused at any time.
const QUIET: Duration = Duration::from_secs(3);
const QUIET_MAX: Duration = Duration::from_secs(60);

/// The result of a batch.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) succeeded: usize,
    /// Lines whose jobs did not succeed: the number of the line, counted from 0, and how the job ended.
    pub(crate) failed: Vec<(usize, Finished)>,
}

/// Collects results until all jobs have ended.
pub(crate) struct Collector<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) store: &'a Store,
    pub(crate) context: &'a Context,
    pub(crate) bar: &'a ProgressBar,
    pub(crate) ends: Ends,
    /// The results of lines that are not printed yet.
    kept: HashMap<JobId, Finished>,
    /// The first line that is not printed.
    next: usize,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(plan: &'a Plan, store: &'a Store, context: &'a Context, bar: &'a ProgressBar) -> Self {
        Self { plan, store, context, bar, ends: Ends::default(), kept: HashMap::new(), next: 0 }
    }

    /// Runs until the last line is printed. `sent` says how many lines have a job. `when_quiet` is called when no job
    /// has finished for a while, with the first job that has not finished; it returns whether all reasons have been
    /// shown.
    pub(crate) async fn run(
        &mut self,
        mut sent: watch::Receiver<usize>,
        mut when_quiet: impl AsyncFnMut(JobId) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let mut delay = FIRST;
        // `None` after all reasons for a delay have been shown.
        let mut last_end = Some(Instant::now());
        let mut quiet = QUIET;
        while self.next < self.plan.len() {
            let end = (*sent.borrow_and_update()).min(self.next + WINDOW);
            let window = self.plan.ids()[self.next..end].iter();
            let asked: Vec<JobId> = window.filter(|id| !self.kept.contains_key(id)).copied().collect();
            if self.look(&asked).await? > 0 {
                self.print()?;
                delay = FIRST;
                last_end = last_end.map(|_| Instant::now());
                quiet = QUIET;
            } else {
                delay = (delay * 2).min(SLOWEST);
                if last_end.is_some_and(|since| since.elapsed() > quiet) {
                    last_end = if when_quiet(self.plan.ids()[self.next]).await? { None } else { Some(Instant::now()) };
                    quiet = (quiet * 2).min(QUIET_MAX);
                }
            }
            if self.next < self.plan.len() {
                tokio::time::sleep(delay).await;
            }
        }
        Ok(())
    }

    /// Asks which of these jobs have ended, and keeps their results. Waits while PostgreSQL is unavailable: the jobs
    /// are safe.
    async fn look(&mut self, asked: &[JobId]) -> Result<usize, Failure> {
        if asked.is_empty() {
            return Ok(0);
        }
        match self.store.finished(asked).await {
            Ok(finished) => {
                let found = finished.len();
                self.kept.extend(finished.into_iter().map(|job| (job.id, job)));
                self.bar.set_position((self.next + self.kept.len()) as u64);
                Ok(found)
            }
            Err(error) if error.is_transient() => {
                tracing::warn!("still waiting: {}", self.context.config.explain_store(&error));
                Ok(0)
            }
            Err(error) => Err(self.context.store_failure(error)),
        }
    }

    /// Prints the results that are next in the order of the lines.
    fn print(&mut self) -> Result<(), Failure> {
        let mut out = Vec::new();
        while let Some(end) = self.plan.ids().get(self.next).and_then(|id| self.kept.remove(id)) {
            if self.context.json {
                let mut object = jobs::finished_json(&end);
                object["line"] = (self.next + 1).into();
                object["input"] = self.plan.line(self.next).into();
                serde_json::to_writer(&mut out, &object).map_err(|error| Failure::new(error.to_string()))?;
                out.push(b'\n');
            } else if end.state == State::Succeeded {
                out.extend(as_line(end.result.as_deref()).as_bytes());
                out.push(b'\n');
            }
            if end.state == State::Succeeded {
                self.ends.succeeded += 1;
            } else {
                self.ends.failed.push((self.next, end));
            }
            self.next += 1;
        }
        self.bar.suspend(|| output::bytes(&out))
    }
}

/// A result as the command printed it, without its last line break: a string without quotes, any other value as JSON.
fn as_line(result: Option<&RawValue>) -> String {
    let Some(result) = result else { return String::new() };
    let text = serde_json::from_str::<String>(result.get()).unwrap_or_else(|_| result.get().to_owned());
    text.strip_suffix('\n').map(str::to_owned).unwrap_or(text)
}
