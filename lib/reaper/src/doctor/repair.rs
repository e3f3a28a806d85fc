//! Repairs damage immediately: first checks the stores, so that the damage is known, then runs every step of a reaper.

use super::examination::examine_for;
use crate::{error::Error, reaper::Reaper, settings::Settings};
use leasehold_core::{Drift, Drifted, JobId, QueueName};
use leasehold_ports::{OperatorHead, OperatorStore, ReaperHead, ReaperStore};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::time::{Instant, sleep};

/// Long enough to distinguish damage from jobs that only change their state. The steps also repair damage that this
/// check misses.
const LOOK_FOR: Duration = Duration::from_millis(300);
/// How often a recount is tried while another process changes the counts, once a tick.
const RECOUNTS_MAX: u32 = 40;

/// Runs every step of a reaper twice, because the steps repair damage only when they see it a second time. The trails
/// of jobs name doctor. Returns the damage that was found and repaired, by kind.
///
/// # Errors
/// A store does not answer to the first reading.
pub async fn repair<S, H>(store: &S, handoff: &H, settings: Settings) -> Result<BTreeMap<Drift, Drifted>, Error>
where
    S: OperatorStore + Clone + 'static,
    H: OperatorHead + Clone + 'static,
{
    let mut missing = HashMap::<QueueName, HashSet<JobId>>::new();
    let (mut is_any_overdue, mut wrong_counts) = (false, 0);
    for finding in examine_for(store, handoff, LOOK_FOR).await?.findings {
        is_any_overdue |= finding.kind == Drift::LeaseExpired;
        wrong_counts += u64::from(finding.kind == Drift::CountWrong);
        if let (Drift::HintMissing, Some(queue), Some(job)) = (finding.kind, finding.queue, finding.job) {
            missing.entry(queue).or_default().insert(job);
        }
    }
    // A reaper that changes the counts at this moment soon ends.
    let mut is_counted = false;
    for _ in 0..RECOUNTS_MAX {
        if wrong_counts == 0 || is_counted {
            break;
        }
        is_counted = store.recount().await?;
        if !is_counted {
            sleep(settings.tick).await;
        }
    }
    let store_of_reaper: Arc<dyn ReaperStore> = Arc::new(store.clone());
    let head_of_reaper: Arc<dyn ReaperHead> = Arc::new(handoff.clone());
    let (lease, tick_every) = (settings.lease, settings.tick);
    let mut reaper = Reaper::new(store_of_reaper, head_of_reaper, settings).for_doctor(missing);
    if is_any_overdue {
        // No reaper was running, so it is unknown whether workers could renew these leases: the workers get the time
        // of one lease.
        let began = Instant::now();
        reaper.tick().await;
        while reaper.waits_to_expire() && began.elapsed() <= lease {
            sleep(tick_every).await;
            reaper.tick().await;
        }
    }
    for _ in 0..2 {
        reaper.round().await;
    }
    let mut drift = reaper.watch().totals().drift;
    if wrong_counts > 0 {
        let repaired = if is_counted { wrong_counts } else { 0 };
        drift.insert(Drift::CountWrong, Drifted { found: wrong_counts, repaired });
    }
    Ok(drift)
}
