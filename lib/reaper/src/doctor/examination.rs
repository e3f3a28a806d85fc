//! The examination: reads both stores, checks every suspicion again, and reports the ones that stay.

use super::{
    evidence::Evidence,
    fleet, hints, lines,
    notebook::{Finding, Notebook, Suspicion},
    schedules,
};
use crate::error::Error;
use leasehold_ports::{OperatorHead, OperatorStore};
use serde::Serialize;
use std::time::Duration;
use tokio::time::sleep;

/// A dozen ticks of a reaper. Within this time the reaper makes its repairs, and jobs that were only changing their
/// state have changed it.
const PATIENCE: Duration = Duration::from_secs(3);
/// How this time is divided between the readings, in fifteenths: most suspicions disappear at the second reading.
const LOOK_AGAIN_AFTER: [u32; 5] = [1, 2, 3, 4, 5];

/// The checks and the findings of doctor.
#[derive(Clone, Debug, Serialize)]
pub struct Examination {
    /// Every check: its name, the store, and the number of things that were checked.
    pub checks: Vec<(String, &'static str, u64)>,
    /// The problems; empty for a healthy system.
    pub findings: Vec<Finding>,
    /// Facts that are no problems but may interest an operator: jobs without a worker, paused queues.
    pub notes: Vec<String>,
}

/// Checks every invariant that can be checked on a live system, in both stores. A suspicion is checked again before it
/// becomes a finding, because jobs change their state during the examination. A quiet, healthy system needs one
/// reading; any other takes about three seconds. Changes nothing.
///
/// # Errors
/// A store does not answer, so the examination has no result.
pub async fn examine(store: &dyn OperatorStore, handoff: &dyn OperatorHead) -> Result<Examination, Error> {
    examine_for(store, handoff, PATIENCE).await
}

/// The same with another patience: how long a problem must last to become a finding. A patience of less than a few
/// ticks is useful only if no reaper runs.
///
/// # Errors
/// A store does not answer.
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
    schedules::check(&evidence, &mut notebook);
    Ok(notebook)
}

/// The new suspicions that already existed at the earlier reading, with their new texts.
fn seen_again(before: &[Suspicion], now: Vec<Suspicion>) -> Vec<Suspicion> {
    now.into_iter().filter(|suspicion| before.iter().any(|earlier| earlier.is_same_as(suspicion))).collect()
}
