//! Tells the children of ended jobs that their parent has ended, if the transaction that ended the parent could not do this:
//! there were too many children, or another session had locked a child.
//!
//! Each parent is tried once in a tick. A parent that is left is tried at the next tick.

use crate::{
    by_queue::by_queue,
    error::Error,
    step::{Needs, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, FailPoint, pass};
use leasehold_ports::{Hint, ReaperHead, Waiting};

#[derive(Debug)]
pub(crate) struct Children;

#[async_trait]
impl Step for Children {
    fn name(&self) -> &'static str {
        "children"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some() && tick.has_ended_parents
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let Some(until) = tick.began else { return Ok(Ran::Done) };
        let unblocked = tick.store()?.tell_children(BATCH_MAX as i64, until).await?;
        if !unblocked.is_empty() {
            pass(FailPoint::ChildrenTold);
        }
        tick.counts.found(unblocked.len() as u64);
        tick.counts.changed(unblocked.len() as u64);
        if let Some(handoff) = tick.handoff.as_deref() {
            push(handoff, unblocked).await?;
        }
        Ok(Ran::Done)
    }
}

/// Pushes the hints of jobs that have come into the line because other jobs have ended. Removes the hints of jobs that have left
/// the line.
pub(crate) async fn push(handoff: &dyn ReaperHead, unblocked: Vec<Waiting>) -> Result<(), Error> {
    let (in_line, behind): (Vec<Waiting>, Vec<Waiting>) = unblocked.into_iter().partition(|job| job.is_in_line);
    for (queue, ids) in by_queue(behind.into_iter().map(|job| (job.queue, job.id.to_string().into_bytes()))) {
        handoff.forget(&queue, &ids).await?;
    }
    for (queue, mut hints) in by_queue(in_line.into_iter().map(|job| (job.queue, Hint::at(job.id, job.line_at)))) {
        hints.sort_unstable_by_key(|hint| (hint.line_at, hint.id));
        handoff.push(&queue, &hints).await?;
    }
    Ok(())
}
