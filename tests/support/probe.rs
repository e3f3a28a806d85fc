//! A job that writes down when it runs and under which fence: what handlers saw, beside what the stores say.

use crate::clock::monotonic_ms;
use leasehold::{Job, JobError, Run, StopReason};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};
use uuid::Uuid;

/// Sleeps for so long, and writes a line to `log` at its start and at its end. Once the file [`hurry`] is there, no probe
/// sleeps: so a long line is soon drained.
#[derive(Debug, Serialize, Deserialize)]
pub struct Probe {
    /// A file that every worker process appends to.
    pub log: PathBuf,
    /// How long one run takes, in ms.
    #[serde(default)]
    pub ms: u64,
    /// Exits the whole process in the middle of the run, as a crash of native code would.
    #[serde(default)]
    pub is_poison: bool,
}

/// What a run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The handler began.
    Start,
    /// The handler came to its end.
    End,
    /// The handler was told that its lease is lost.
    LeaseLost,
    /// The handler was told that a cancel is wanted.
    Cancelled,
    /// The handler was told to stop, since the worker stops or its time is over.
    Stopped,
}

/// One line of the log.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LogLine {
    /// What happened.
    pub step: Step,
    /// The job.
    pub id: Uuid,
    /// The claim.
    pub epoch: i32,
    /// The worker.
    pub worker: Uuid,
    /// The worker's process.
    pub pid: u32,
    /// When, in ms on the clock of whoever reads the log.
    pub at_ms: i64,
}

/// A line as it stands in the file, with `at_ms` on the monotonic clock: the other one may be wrong.
#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    line: LogLine,
    /// What the worker's wall clock said.
    clock_ms: i64,
}

impl Job for Probe {
    const KIND: &'static str = "probe";
    type Output = i32;

    async fn run(self, run: &Run) -> Result<i32, JobError> {
        let write = |step| append(&self.log, run, step);
        write(Step::Start)?;
        if self.is_poison {
            std::process::abort();
        }
        let ms = if hurry(&self.log).exists() { 0 } else { self.ms };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            reason = run.cancelled() => {
                write(match reason {
                    StopReason::LeaseLost => Step::LeaseLost,
                    StopReason::Cancelled => Step::Cancelled,
                    StopReason::TimedOut | StopReason::Stopping => Step::Stopped,
                })?;
                return Err(JobError::failed("told to stop"));
            }
        }
        write(Step::End)?;
        Ok(run.fence().epoch)
    }
}

/// The file that tells the probes of this log to sleep no more.
#[must_use]
pub fn hurry(log: &Path) -> PathBuf {
    log.with_extension("hurry")
}

/// One `write` of less than a page to a file opened for appending: lines of many processes do not mix.
fn append(log: &Path, run: &Run, step: Step) -> std::io::Result<()> {
    let fence = run.fence();
    let (pid, at_ms) = (std::process::id(), monotonic_ms());
    let line = LogLine { step, id: fence.id.0, epoch: fence.epoch, worker: fence.worker.0, pid, at_ms };
    let written = Written { line, clock_ms: chrono::Utc::now().timestamp_millis() };
    let text = format!("{}\n", serde_json::to_string(&written)?);
    OpenOptions::new().create(true).append(true).open(log)?.write_all(text.as_bytes())
}

/// Every line so far. A last one that is being written is left out.
#[must_use]
pub fn read_log(log: &Path) -> Vec<LogLine> {
    read(log).map(|written| written.line).collect()
}

/// By how much the wall clock of each process was ahead, in ms: the least and the most.
#[must_use]
pub fn clock_errors(log: &Path) -> BTreeMap<u32, (i64, i64)> {
    let mut errors = BTreeMap::new();
    for Written { line, clock_ms } in read(log) {
        let ahead = clock_ms - line.at_ms;
        let (least, most) = errors.entry(line.pid).or_insert((ahead, ahead));
        (*least, *most) = (ahead.min(*least), ahead.max(*most));
    }
    errors
}

fn read(log: &Path) -> impl Iterator<Item = Written> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let booted_ms = chrono::Utc::now().timestamp_millis() - monotonic_ms();
    let lines: Vec<Written> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    lines.into_iter().map(move |mut written| {
        written.line.at_ms += booted_ms;
        written
    })
}

/// How often each job was started.
#[must_use]
pub fn starts(lines: &[LogLine]) -> BTreeMap<Uuid, usize> {
    let mut starts = BTreeMap::new();
    for line in lines.iter().filter(|line| line.step == Step::Start) {
        *starts.entry(line.id).or_default() += 1;
    }
    starts
}
