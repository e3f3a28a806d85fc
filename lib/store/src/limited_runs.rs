//! The limit keys of the runs that this process has claimed. When such a run ends, its keys have room, and the store brings the
//! next jobs of these keys into the line.
//!
//! Correctness does not need this memory: if the process dies or loses the run, a reaper finds the key.

use leasehold_core::{Epoch, Fence, JobId};
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// A run that is not settled after this time has probably lost its lease. If it is settled nevertheless, a reaper finds its keys.
const KEPT_FOR: Duration = Duration::from_secs(3600);
/// The number of stored runs from which old runs are removed.
const MANY: usize = 4096;

/// For this time after the last job with limit keys, hints that `claim` did not get are tried as jobs with limit keys.
const LIKELY_FOR: Duration = Duration::from_secs(60);
/// Without Redis there are no hints of such jobs, so the worker searches the line for them at this interval.
const ASKED_EVERY: Duration = Duration::from_millis(100);

/// When a run was claimed, and its keys.
type LimitedRun = (Instant, Vec<String>);

/// The limited runs of this process.
#[derive(Debug, Default)]
pub(crate) struct LimitedRuns {
    runs: Mutex<BTreeMap<(JobId, Epoch), LimitedRun>>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    /// When a job with limit keys was last seen.
    found: Option<Instant>,
    /// When the line was last searched for such jobs.
    asked: Option<Instant>,
}

impl LimitedRuns {
    /// A job with limit keys was seen.
    pub(crate) fn found(&self) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).found = Some(Instant::now());
    }

    /// Whether refused hints may belong to jobs with limit keys. A fleet without such jobs sends no extra statement.
    pub(crate) fn are_likely(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.found.is_some_and(|found| found.elapsed() < LIKELY_FOR)
    }

    /// Whether to search the line for such jobs now.
    pub(crate) fn are_asked_for(&self) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let is_likely = seen.found.is_some_and(|found| found.elapsed() < LIKELY_FOR);
        let is_time = seen.asked.is_none_or(|asked| asked.elapsed() >= ASKED_EVERY);
        if is_time {
            seen.asked = Some(Instant::now());
        }
        is_likely || is_time
    }

    /// These runs have begun.
    pub(crate) fn begun(&self, runs: impl IntoIterator<Item = (Fence, Vec<String>)>) {
        self.found();
        let now = Instant::now();
        let mut known = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        known.extend(runs.into_iter().map(|(fence, keys)| ((fence.id, fence.epoch), (now, keys))));
        if known.len() > MANY {
            known.retain(|_, (begun, _)| begun.elapsed() < KEPT_FOR);
        }
    }

    /// These runs have ended. Returns their keys, each once.
    pub(crate) fn ended(&self, runs: impl IntoIterator<Item = Fence>) -> Vec<String> {
        let mut known = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return Vec::new();
        }
        let runs = runs.into_iter().filter_map(|fence| known.remove(&(fence.id, fence.epoch)));
        let mut keys: Vec<String> = runs.flat_map(|(_, keys)| keys).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::WorkerId;

    #[test]
    fn each_key_of_runs_that_end_is_told_once() {
        let runs = LimitedRuns::default();
        let worker = WorkerId::new();
        let [a, b, plain] = [(); 3].map(|()| Fence { id: JobId::new(), epoch: 1, worker });
        runs.begun([(a, vec!["x".into(), "y".into()]), (b, vec!["x".into()])]);
        assert_eq!(runs.ended([plain]), [""; 0]);
        assert_eq!(runs.ended([a, b, plain]), ["x", "y"]);
        assert_eq!(runs.ended([a, b]), [""; 0], "they have ended already");
    }
}
