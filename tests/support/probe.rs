//! A job that writes down when it runs and under which fence: what handlers saw, beside what the stores say.

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

/// One line of the log, as [`LogLine::of`] reads it.
#[derive(Clone, Debug)]
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

/// A line as it stands in the file.
#[derive(Serialize, Deserialize)]
struct Written {
    step: Step,
    id: Uuid,
    epoch: i32,
    worker: Uuid,
    pid: u32,
    /// On the monotonic clock, which all processes of the machine share: the other one may be wrong.
    monotonic_ms: i64,
    /// On the wall clock of the worker.
    clock_ms: i64,
}

impl LogLine {
    /// Reads a line, if it is a whole one.
    #[must_use]
    pub fn of(text: &[u8]) -> Option<Self> {
        let Written { step, id, epoch, worker, pid, monotonic_ms, .. } = serde_json::from_slice(text).ok()?;
        Some(Self { step, id, epoch, worker, pid, at_ms: booted_at_ms() + monotonic_ms })
    }
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
                    _ => Step::Stopped,
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

/// Every line so far. A last one that is being written is left out.
#[must_use]
pub fn read_log(log: &Path) -> Vec<LogLine> {
    read(log).lines().filter_map(|line| LogLine::of(line.as_bytes())).collect()
}

/// By how much the wall clock of each process was ahead, in ms: the least and the most, of when it was wrong at all.
/// libfaketime reads its file anew for each answer, and now and then a true one slips through where threads ask at once.
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

/// What may lie between the two looks that an error is the difference of.
const RIGHT_WITHIN_MS: i64 = 1000;

fn read(log: &Path) -> String {
    std::fs::read_to_string(log).unwrap_or_default()
}

/// What the wall clock of this process said when the monotonic one began. JobStatus at once, so that lines keep their order.
fn booted_at_ms() -> i64 {
    static BOOTED_AT_MS: OnceLock<i64> = OnceLock::new();
    *BOOTED_AT_MS.get_or_init(|| chrono::Utc::now().timestamp_millis() - monotonic_ms())
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
