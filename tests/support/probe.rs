//! A job that logs its runs and their fences, so that tests can compare what handlers saw with what the stores say.

use crate::clock::monotonic_ms;
use leasehold::{Job, JobError, Run, StopReason};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};
use uuid::Uuid;

/// Sleeps for `ms`, and writes a line to `log` at its start and at its end. After the file [`no_sleep_file`] exists, no probe
/// sleeps any more, so that a long line drains quickly.
#[derive(Debug, Serialize, Deserialize)]
pub struct Probe {
    /// The file that every worker process appends to.
    pub log: PathBuf,
    /// The duration of one run, in ms.
    #[serde(default)]
    pub ms: u64,
    /// Exits the whole process during the run, like a crash of native code.
    #[serde(default)]
    pub is_poison: bool,
}

/// An event of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The handler started.
    Start,
    /// The handler ran to its end.
    End,
    /// The handler learned that its lease was lost.
    LeaseLost,
    /// The handler learned that a cancel was requested.
    Cancelled,
    /// The handler was told to stop: the worker stops, or the job's timeout is over.
    Stopped,
}

/// One line of the log, as [`LogLine::of`] reads it.
#[derive(Clone, Debug)]
pub struct LogLine {
    /// The event.
    pub step: Step,
    /// The id of the job.
    pub id: Uuid,
    /// The epoch of the claim.
    pub epoch: i32,
    /// The id of the worker.
    pub worker: Uuid,
    /// The process id of the worker.
    pub pid: u32,
    /// The time, in ms on the clock of the reader of the log.
    pub at_ms: i64,
}

/// A line in the form in which it is written.
#[derive(Serialize, Deserialize)]
struct Written {
    step: Step,
    id: Uuid,
    epoch: i32,
    worker: Uuid,
    pid: u32,
    /// On the monotonic clock, which all processes of the machine share. The wall clock may be wrong.
    monotonic_ms: i64,
    /// On the wall clock of the worker.
    clock_ms: i64,
}

impl LogLine {
    /// Parses a line. `None` if it is incomplete.
    #[must_use]
    pub fn of(text: &[u8]) -> Option<Self> {
        let Written { step, id, epoch, worker, pid, monotonic_ms, .. } = serde_json::from_slice(text).ok()?;
        Some(Self { step, id, epoch, worker, pid, at_ms: booted_at_ms() + monotonic_ms })
    }
}

impl Job for Probe {
    const KIND: &'static str = "probe";
    type Output = i32;

    #[tracing::instrument(name = "probe", skip_all)]
    async fn run(self, run: &Run) -> Result<i32, JobError> {
        let write = |step| append(&self.log, run, step);
        write(Step::Start)?;
        if self.is_poison {
            std::process::abort();
        }
        let ms = if no_sleep_file(&self.log).exists() { 0 } else { self.ms };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(ms)) => {}
            reason = run.cancelled() => {
                write(match reason {
                    StopReason::LeaseLost => Step::LeaseLost,
                    StopReason::Cancelled => Step::Cancelled,
                    // Timed out, stopping, and whatever reasons will be added.
                    _ => Step::Stopped,
                })?;
                return Err(JobError::failed("told to stop"));
            }
        }
        write(Step::End)?;
        Ok(run.fence().epoch)
    }
}

/// The file that tells the probes of this log not to sleep any more.
#[must_use]
pub fn no_sleep_file(log: &Path) -> PathBuf {
    log.with_extension("no_sleep_file")
}

/// Appends a line with one `write` of less than a page, so that lines of many processes do not mix.
fn append(log: &Path, run: &Run, step: Step) -> std::io::Result<()> {
    let fence = run.fence();
    let written = Written {
        step,
        id: fence.id.0,
        epoch: fence.epoch,
        worker: fence.worker.0,
        pid: std::process::id(),
        monotonic_ms: monotonic_ms(),
        clock_ms: chrono::Utc::now().timestamp_millis(),
    };
    let text = format!("{}\n", serde_json::to_string(&written)?);
    OpenOptions::new().create(true).append(true).open(log)?.write_all(text.as_bytes())
}

/// All lines so far, without an incomplete last line.
#[must_use]
pub fn read_log(log: &Path) -> Vec<LogLine> {
    read(log).lines().filter_map(|line| LogLine::of(line.as_bytes())).collect()
}

/// How far the wall clock of each process was ahead, in ms: minimum and maximum, of all times at which it was wrong.
/// libfaketime reads its file again for each answer. Now and then it gives the true time, when several threads ask at
/// once.
#[must_use]
pub fn clock_errors(log: &Path) -> BTreeMap<u32, (i64, i64)> {
    let mut errors = BTreeMap::new();
    for written in read(log).lines().filter_map(|line| serde_json::from_str::<Written>(line).ok()) {
        let ahead = written.clock_ms - booted_at_ms() - written.monotonic_ms;
        if ahead.abs() < RIGHT_WITHIN_MS {
            continue;
        }
        let (least, most) = errors.entry(written.pid).or_insert((ahead, ahead));
        (*least, *most) = (ahead.min(*least), ahead.max(*most));
    }
    errors
}

/// The maximum time between the two clock readings whose difference is the error.
const RIGHT_WITHIN_MS: i64 = 1000;

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

/// The wall clock of this process at the time when the monotonic clock was 0. Computed only once, so that lines keep
/// their order.
fn booted_at_ms() -> i64 {
    static BOOTED_AT_MS: OnceLock<i64> = OnceLock::new();
    *BOOTED_AT_MS.get_or_init(|| chrono::Utc::now().timestamp_millis() - monotonic_ms())
}

/// How many times each job was started.
#[must_use]
pub fn starts(lines: &[LogLine]) -> BTreeMap<Uuid, usize> {
    let mut starts = BTreeMap::new();
    for line in lines.iter().filter(|line| line.step == Step::Start) {
        *starts.entry(line.id).or_default() += 1;
    }
    starts
}
