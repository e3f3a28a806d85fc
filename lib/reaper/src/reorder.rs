//! Moves the jobs of a line after the priority step of its queue has changed.
//!
//! The client that changes the step moves the waiting jobs itself. It may die half-way, it may find jobs locked, and a transaction
//! that saw the old step may commit a job long after. So the change of the step is stored, and a reaper reads all jobs two more
//! times: immediately, and again when every transaction that may have seen the old step has ended. See ADR 27.
//!
//! The progress is in memory. A reaper that starts again begins from the first job.

use crate::{
    error::Error,
    step::{Needs, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use leasehold_core::{JobId, QueueName};
use leasehold_ports::{ReaperStore, Reorder as Change};
use std::{collections::BTreeMap, time::Duration};
use tokio::time::Instant;

/// The number of jobs that one statement reads: some milliseconds of work.
const BATCH: i64 = 1_000;
/// For how long one run of the step moves jobs. The next run continues.
const RUN_FOR: Duration = Duration::from_secs(1);
/// How many locked jobs are tried again one by one. If there are more, all jobs are read again.
const LOCKED_MAX: usize = 1_000;

#[derive(Debug, Default)]
pub(crate) struct Reorder {
    under_way: BTreeMap<QueueName, Progress>,
}

/// The progress of the move of one line.
#[derive(Debug)]
struct Progress {
    since: i64,
    /// The pass that reads all jobs now; `None`: the next pass is not due yet.
    pass: Option<Pass>,
    /// A pass has read all jobs, but some transactions had seen the old step.
    is_read_once: bool,
    /// No session sees the old step any more, and no transaction before this one may have seen it.
    horizon: Option<i64>,
    /// Jobs that must move and that other sessions have locked.
    locked: Vec<JobId>,
    /// The last pass has ended.
    is_read: bool,
}

/// One pass over all jobs.
#[derive(Clone, Copy, Debug)]
struct Pass {
    after: Option<JobId>,
    /// All transactions that may have seen the old step had ended when the pass began.
    is_last: bool,
    /// More jobs were locked than are tried again one by one.
    has_more_locked: bool,
}

impl Progress {
    const fn new(since: i64) -> Self {
        Self { since, pass: None, is_read_once: false, horizon: None, locked: Vec::new(), is_read: false }
    }

    /// Decides whether a pass begins.
    fn look(&mut self, change: &Change) {
        if self.horizon.is_none() && !change.is_seen_before {
            self.horizon = Some(change.begins_from);
        }
        let is_last = self.horizon.is_some_and(|horizon| horizon <= change.running_from);
        if self.pass.is_none() && !self.is_read && (is_last || !self.is_read_once) {
            self.pass = Some(Pass { after: None, is_last, has_more_locked: false });
        }
    }

    /// Moves jobs until `until`. Returns how many waiting jobs moved.
    async fn advance(&mut self, store: &dyn ReaperStore, queue: &QueueName, until: Instant) -> Result<u64, Error> {
        let mut moved = 0;
        if !self.locked.is_empty() {
            let batch = store.reorder_jobs(queue, &self.locked).await?;
            moved += batch.moved;
            self.locked = batch.locked;
        }
        while let Some(pass) = &mut self.pass
            && Instant::now() < until
        {
            let batch = store.reorder_line(queue, pass.after, BATCH).await?;
            moved += batch.moved;
            let room = LOCKED_MAX.saturating_sub(self.locked.len());
            pass.has_more_locked |= batch.locked.len() > room;
            self.locked.extend(batch.locked.into_iter().take(room));
            match batch.last {
                Some(last) => pass.after = Some(last),
                None => {
                    self.is_read_once = true;
                    self.is_read = pass.is_last && !pass.has_more_locked;
                    self.pass = None;
                }
            }
        }
        Ok(moved)
    }

    const fn is_done(&self) -> bool {
        self.is_read && self.locked.is_empty()
    }
}

#[async_trait]
impl Step for Reorder {
    fn name(&self) -> &'static str {
        "reorder"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some() && tick.has_reorders
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let store = tick.store()?;
        let changes = store.reorders().await?;
        let until = Instant::now() + RUN_FOR;
        self.under_way.retain(|queue, _| changes.iter().any(|change| change.queue == *queue));
        for change in changes {
            let progress = self.under_way.entry(change.queue.clone()).or_insert_with(|| Progress::new(change.since));
            if progress.since != change.since {
                *progress = Progress::new(change.since);
            }
            progress.look(&change);
            let moved = progress.advance(store, &change.queue, until).await?;
            tick.counts.found(moved);
            tick.counts.changed(moved);
            if moved > 0
                && let Some(handoff) = tick.handoff.as_deref()
            {
                // The head has the old positions. The next fill brings the new ones.
                handoff.clear(&change.queue).await?;
            }
            if progress.is_done() {
                store.reorder_done(&change.queue, change.since).await?;
                self.under_way.remove(&change.queue);
            }
        }
        Ok(Ran::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(is_seen_before: bool, running_from: i64, begins_from: i64) -> Change {
        Change { queue: QueueName::default(), since: 100, is_seen_before, running_from, begins_from }
    }

    #[test]
    fn the_last_pass_begins_when_no_transaction_can_have_seen_the_old_step() {
        let mut progress = Progress::new(100);
        progress.look(&change(true, 90, 110));
        assert!(progress.pass.take().is_some_and(|pass| !pass.is_last), "the first pass begins at once");
        progress.is_read_once = true;
        progress.look(&change(true, 105, 120));
        assert!(progress.pass.is_none(), "a session still sees the old step");
        progress.look(&change(false, 105, 130));
        assert!(progress.pass.is_none(), "transaction 105 may have seen it");
        progress.look(&change(true, 129, 140));
        assert!(progress.pass.is_none(), "transaction 129 may have seen it");
        progress.look(&change(true, 130, 140));
        assert!(progress.pass.is_some_and(|pass| pass.is_last), "the horizon stays, whatever begins later");
    }
}
