//! Runs many seeds, on all cores.

use crate::world::{Order, Outcome, run};
use leasehold_tests::Broken;
use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
};

/// How many lines of a failed run are shown.
const LINES_SHOWN: usize = 400;

/// The results of many runs.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    pub(crate) done: u64,
    /// The errors, by seed.
    pub(crate) failed: BTreeMap<u64, Vec<String>>,
    /// In how many runs each event was seen.
    pub(crate) seen: BTreeMap<String, u64>,
}

/// One run. A panic counts as an error of the run.
pub(crate) fn run_one(order: Order) -> Outcome {
    catch_unwind(AssertUnwindSafe(|| run(order))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let wrong = vec![format!("panicked: {}", text.unwrap_or_default())];
        Outcome { wrong, seen: BTreeMap::new(), lines: Vec::new() }
    })
}

/// Runs the seeds from `first` on, until one fails if `stops_early`.
pub(crate) fn run_many(first: u64, count: u64, broken: Option<Broken>, stops_early: bool) -> Runs {
    let (next, over, runs) = (AtomicU64::new(first), AtomicBool::new(false), Mutex::new(Runs::default()));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= first + count || over.load(Relaxed) {
                        return;
                    }
                    let outcome = run_one(Order { seed, broken, keeps_lines: false });
                    let mut runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
                    runs.done += 1;
                    for what in outcome.seen.into_keys() {
                        *runs.seen.entry(what).or_default() += 1;
                    }
                    if !outcome.wrong.is_empty() {
                        over.store(stops_early, Relaxed);
                        runs.failed.insert(seed, outcome.wrong);
                    }
                }
            });
        }
    });
    runs.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// How to repeat a run.
pub(crate) fn replay(seed: u64) -> String {
    format!("make sim SEED={seed}")
}

/// The end of a run, for a reader.
pub(crate) fn story_of(seed: u64, broken: Option<Broken>) -> String {
    let lines = run_one(Order { seed, broken, keeps_lines: true }).lines;
    let shown = lines.len().saturating_sub(LINES_SHOWN);
    lines[shown..].join("\n")
}
