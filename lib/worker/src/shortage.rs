//! What a worker does when it lacks something that every job needs: it takes fewer jobs at a time, pauses, and tries
//! again. It logs once when the lack begins and once when the lack ends.
//!
//! The share of usable slots is halved when a run ends in [`Outcome::Lacking`](leasehold_core::Outcome), and grows
//! slowly while no other run ends this way. If the limit stays (such as `ulimit -n`), the worker reaches it from time
//! to time. Each time costs a few claims and no attempt.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU32, Ordering},
};
use tokio::sync::Notify;

/// All slots, as a share.
const ALL: u32 = 1000;
/// What a worker lacks, and how this limits the number of jobs that it takes.
#[derive(Debug)]
pub(crate) struct Shortage {
    /// The share of the slots in use, in thousandths; 0 during a pause.
    share: AtomicU32,
    state: Mutex<Option<Lack>>,
    pub(crate) again: Notify,
}

#[derive(Debug)]
struct Lack {
    what: String,
    /// The share after the pause.
    share: u32,
    paused: bool,
}

impl Default for Shortage {
    fn default() -> Self {
        Self { share: AtomicU32::new(ALL), state: Mutex::new(None), again: Notify::new() }
    }
}

impl Shortage {
    /// How many of `slots` slots are used: none during a pause, else at least one.
    pub(crate) fn within(&self, slots: usize) -> usize {
        match self.share.load(Ordering::Acquire) {
            ALL => slots,
            0 => 0,
            share => (slots * share as usize / ALL as usize).max(1),
        }
    }

    /// Whether the worker may prefetch jobs.
    pub(crate) fn may_hold_ahead(&self) -> bool {
        self.share.load(Ordering::Acquire) == ALL
    }

    /// What the worker lacks.
    pub(crate) fn what(&self) -> Option<String> {
        self.state().as_ref().map(|lack| lack.what.clone())
    }

    /// A run met a lack. Returns whether the lack is new.
    pub(crate) fn begin(&self, what: &str) -> bool {
        let mut state = self.state();
        let new = state.is_none();
        let lack = state.get_or_insert_with(|| Lack { what: what.to_owned(), share: ALL, paused: false });
        // All runs that were in progress together count as one step.
        if !lack.paused {
            (lack.share, lack.paused) = ((lack.share / 2).max(1), true);
            what.clone_into(&mut lack.what);
            self.share.store(0, Ordering::Release);
            // The task that waits for this signal may not listen yet when the lack is new.
            if !new {
                self.again.notify_one();
            }
        }
        new
    }

    /// The pause continues for this reason.
    pub(crate) fn still(&self, what: String) {
        if let Some(lack) = self.state().as_mut() {
            lack.what = what;
        }
    }

    pub(crate) fn end_pause(&self) {
        if let Some(lack) = self.state().as_mut() {
            lack.paused = false;
            self.share.store(lack.share, Ordering::Release);
        }
    }

    /// No run met the lack for a while: more slots are used. Returns whether all slots are used again.
    pub(crate) fn grow(&self) -> bool {
        let mut state = self.state();
        let Some(lack) = state.as_mut() else { return true };
        if lack.paused {
            return false;
        }
        lack.share = grown(lack.share);
        self.share.store(lack.share, Ordering::Release);
        let over = lack.share == ALL;
        if over {
            *state = None;
        }
        over
    }

    fn state(&self) -> MutexGuard<'_, Option<Lack>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One eighth more, and at least a fiftieth of all slots.
fn grown(share: u32) -> u32 {
    (share + (share / 8).max(ALL / 50)).min(ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lack_of_many_runs_halves_the_slots_once_and_all_come_back() {
        let shortage = Shortage::default();
        assert_eq!((shortage.within(50), shortage.what()), (50, None));
        assert!(shortage.begin("files"));
        assert!(!shortage.begin("files") && !shortage.begin("files"));
        assert_eq!((shortage.within(50), shortage.may_hold_ahead()), (0, false));
        assert!(!shortage.grow(), "not during a pause");
        shortage.end_pause();
        assert_eq!((shortage.within(50), shortage.what().as_deref()), (25, Some("files")));
        assert!(!shortage.begin("processes"));
        shortage.end_pause();
        assert_eq!((shortage.within(50), shortage.within(1), shortage.what().as_deref()), (12, 1, Some("processes")));
        let steps = (1..100).find(|_| shortage.grow()).expect("an end");
        assert!((10..20).contains(&steps), "{steps}");
        assert_eq!((shortage.within(50), shortage.what()), (50, None));
    }
}
