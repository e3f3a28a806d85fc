//! Remembers the findings of the last statements. They decide which variant of the next statement is sent.
//!
//! The statements that workers send most are optimized for the usual case. They wait for a locked row, because checking first
//! whether each row is locked makes every job a fifth more expensive. They skip jobs with rules that need a longer statement.
//! When a statement finds another case, the variant for this case is sent: immediately, and then for the next statements until
//! they no longer find the case.

use leasehold_core::QueueName;
use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How long the variant is used after the last find. A statement whose wait for a lock times out costs 50 ms, so such waits use
/// at most a fortieth of the time.
const RECENT: Duration = Duration::from_secs(2);

/// How long a find is remembered for a queue. If jobs with rules come to a queue now and then, each of them should not need two
/// claims. Plain jobs in the same queue pay a fifth of a claim for this.
const RECENT_IN_QUEUE: Duration = Duration::from_secs(60);

/// How many queues are kept at most, after queues without a recent find have been removed.
const QUEUES_MAX: usize = 1_000;

/// When a statement last found this.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Option<Instant>>);

impl Recent {
    /// A statement found it.
    pub(crate) fn found(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a statement found it recently.
    pub(crate) fn found_recently(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|found| found.elapsed() < RECENT)
    }
}

/// In which queues statements found this.
#[derive(Debug, Default)]
pub(crate) struct RecentByQueue(Mutex<HashMap<QueueName, Instant>>);

impl RecentByQueue {
    /// A statement found it in this queue.
    pub(crate) fn found(&self, queue: &QueueName) {
        let mut found = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = found.get_mut(queue) {
            *at = Instant::now();
            return;
        }
        if found.len() >= QUEUES_MAX {
            found.retain(|_, at| at.elapsed() < RECENT_IN_QUEUE);
        }
        if found.len() < QUEUES_MAX {
            found.insert(queue.clone(), Instant::now());
        }
    }

    /// Whether a statement found it in this queue recently.
    pub(crate) fn found_recently(&self, queue: &QueueName) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(queue)
            .is_some_and(|found| found.elapsed() < RECENT_IN_QUEUE)
    }
}
