//! The examination: look, look again at what was suspected, and report what stayed.

use super::{
    evidence::Evidence,
    fleet, hints, lines,
    notebook::{Notebook, Suspicion},
};
use crate::error::Error;
use leasehold_core::{Drift, JobId, QueueName};
use leasehold_ports::{OperatorHead, OperatorStore};
use serde::Serialize;
use std::time::Duration;
use tokio::time::sleep;

/// A dozen ticks of a reaper: what it mends by itself, and what only moves, is gone by then.
const PATIENCE: Duration = Duration::from_secs(3);
/// How the patience is parted between looks, in fifteenths: most of what is suspected is gone at the second one.
const LOOK_AGAIN_AFTER: [u32; 5] = [1, 2, 3, 4, 5];

/// One thing that is not as it should be.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The name of the check.
    pub check: String,
    /// What kind of drift it is: the name that the counters of the reaper have for it.
    pub kind: Drift,
    /// The queue it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// The job it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Where it was seen: `postgres`, `redis` or `both`.
    pub store: &'static str,
    /// What was found.
    pub detail: String,
    /// What to do, if a person must.
    pub advice: String,
}

/// What doctor looked at and found.
#[derive(Clone, Debug, Serialize)]
pub struct Examination {
    /// Every check that was made: its name, the store it looked at, and how many things it looked at there.
    pub checks: Vec<(String, &'static str, u64)>,
    /// What is wrong; empty on a healthy system.
    pub findings: Vec<Finding>,
    /// Nothing wrong, but worth knowing: jobs that nobody serves, queues that are paused.
    pub notes: Vec<String>,
}

/// Checks every invariant that can be seen on a live system, in both stores. What moves while it looks is looked at
/// again before it is called wrong: on a quiet and healthy system it is done after one look, else within some
/// three seconds. Changes nothing.
///
/// # Errors
/// When a store does not answer: then nothing can be said.
pub async fn examine(store: &dyn OperatorStore, handoff: &dyn OperatorHead) -> Result<Examination, Error> {
    examine_for(store, handoff, PATIENCE).await
}

/// The same with another patience: how long something must stay wrong to be called so. Less than a few ticks of the
/// reaper is of use only where none is at work.
///
/// # Errors
/// When a store does not answer.
pub async fn examine_for(
    store: &dyn OperatorStore,
    handoff: &dyn OperatorHead,
    patience: Duration,
) -> Result<Examination, Error> {
    let first = look(store, handoff).await?;
    let (looked_at, notes) = (first.looked_at, first.notes);
    let mut suspicions = first.suspicions;
    for fifteenths in LOOK_AGAIN_AFTER {
        if suspicions.is_empty() {
            break;
        }
        sleep(patience * fifteenths / 15).await;
        suspicions = seen_again(&suspicions, look(store, handoff).await?.suspicions);
    }
    Ok(Examination {
        checks: looked_at.into_iter().map(|(name, (store, things))| (name.to_owned(), store, things)).collect(),
        findings: suspicions.into_iter().map(|suspicion| suspicion.finding).collect(),
        notes,
    })
}

async fn look(store: &dyn OperatorStore, handoff: &dyn OperatorHead) -> Result<Notebook, Error> {
    let evidence = Evidence::gather(store, handoff).await?;
    let mut notebook = Notebook::default();
    fleet::check(&evidence, &mut notebook);
    hints::check(&evidence, &mut notebook);
    lines::check(&evidence, &mut notebook);
    Ok(notebook)
}

/// Those of the new suspicions that were there before, in their newest words.
fn seen_again(before: &[Suspicion], now: Vec<Suspicion>) -> Vec<Suspicion> {
    now.into_iter().filter(|suspicion| before.iter().any(|earlier| earlier.is_same_as(suspicion))).collect()
}
