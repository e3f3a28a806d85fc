//! Renews the leases of all runs, in both stores, each store in one batch. At its next heartbeat at the latest, a
//! worker learns that a lease is lost or that a cancel was requested.

use crate::{
    run::{Run, StopReason},
    settled_hints::by_queue,
    worker_state::WorkerState,
};
use leasehold_core::{BATCH_MAX, Fence};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// So many heartbeats in a row must find leases blocked until the log says so. After an outage, leases are overdue, and a statement
/// that was late too may have locked their rows for a moment.
const LOCKED_BEATS: u32 = 3;

/// Renews leases until `done`.
pub(crate) async fn beat(state: Arc<WorkerState>, done: CancellationToken) {
    // Four checks in each third of a lease. A lease is renewed after one third. A check alone costs no round trip.
    let period = (state.settings.lease / 12).clamp(Duration::from_millis(10), Duration::from_secs(1));
    let mut ticks = tokio::time::interval(period);
    let mut locked_beats = 0;
    // After a freeze, the process makes one missed check, not all of them.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = done.cancelled() => return,
            _ = ticks.tick() => {}
        }
        state.pulse.beat();
        let due = state.runs.due(Instant::now());
        let (overdue, ()) = tokio::join!(renew_leases(&state, &due.leases), renew_hints(&state, due.hints));
        tell_of_locks(overdue, &mut locked_beats);
    }
}

/// Logs once when a transaction blocks the renewal of leases, and once when it no longer does. `locked_beats` counts the heartbeats
/// since the renewal has been blocked.
fn tell_of_locks(overdue: Option<usize>, locked_beats: &mut u32) {
    let Some(runs) = overdue else { return };
    if runs > 0 {
        *locked_beats = locked_beats.saturating_add(1);
    } else if std::mem::take(locked_beats) >= LOCKED_BEATS {
        tracing::info!("all leases are renewed again");
    }
    if *locked_beats == LOCKED_BEATS {
        tracing::warn!(
            runs,
            "leases of running jobs cannot be renewed: another transaction has locked their rows or their table; \
             trying again at every heartbeat"
        );
    }
}

/// PostgreSQL decides. If PostgreSQL does not answer, nothing is decided, and the handlers continue. Returns how many
/// leases are more than half over because another transaction has locked their rows, or `None` if PostgreSQL did not
/// answer.
async fn renew_leases(state: &WorkerState, due: &[Fence]) -> Option<usize> {
    let mut overdue = 0;
    for fences in due.chunks(BATCH_MAX) {
        state.pulse.beat();
        let sent_at = Instant::now();
        let renewed = match state.store.renew(state.id, fences, state.settings.lease).await {
            Ok(renewed) => renewed,
            Err(error) => {
                state.postgres.failed(&error);
                return None;
            }
        };
        state.postgres.answered();
        let mut lost: BTreeSet<Fence> = fences.iter().copied().collect();
        for lease in renewed {
            let fence = Fence { id: lease.id, epoch: lease.epoch, worker: state.id };
            lost.remove(&fence);
            if lease.locked {
                // The renewal stays due, so the next heartbeat tries again.
                overdue += usize::from(state.runs.is_overdue(fence));
            } else {
                state.runs.renewed(fence, sent_at);
            }
            if lease.cancel_wanted {
                state.runs.tell(fence, StopReason::Cancelled);
            }
        }
        for fence in lost {
            if state.runs.lost(fence) {
                state.counters.leases_lost.add(1);
            }
        }
    }
    Some(overdue)
}

/// Redis: these leases only save other workers useless claims of these jobs.
async fn renew_hints(state: &WorkerState, due: Vec<Run>) {
    if due.is_empty() || state.redis.is_unavailable() {
        return;
    }
    let sent_at = Instant::now();
    if let Err(error) = state.handoff.renew(&by_queue(due.iter(), |job| job.fence.id), state.settings.lease).await {
        state.redis.failed(&error);
        return;
    }
    let ended = state.runs.hints_renewed(due, sent_at);
    if !ended.is_empty()
        && let Err(error) = state.handoff.ack(&by_queue(ended.iter(), |job| job.fence.id)).await
    {
        state.redis.failed(&error);
    }
}
