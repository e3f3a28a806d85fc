//! Ends runs whose lease ran out: their worker died, or could not reach PostgreSQL for too long.
//!
//! The statement decides what becomes of each job: back in the line, dead, or cancelled. This step puts the hints of jobs that
//! wait again to the front of their heads, since these jobs have waited once already, and makes Redis forget the other hints.
//! A run whose row was locked a moment ago is spared (see `locked.rs`).
//!
//! While the expiry guard forbids it (see `expiry_guard.rs`), nothing is expired. The statement is sent all the same, with a
//! limit of no rows: if a lock on the table holds up this statement, the wait of the guard begins again.

use crate::{
    by_queue::by_queue,
    error::Error,
    locked::{Locked, spared_for},
    tick::{BATCHES_PER_TICK, Tick},
};
use leasehold_core::{BATCH_MAX, Drift, FailPoint, State, pass};
use leasehold_line::Surveys;
use leasehold_ports::Expiry;
use std::time::Duration;
use tokio::time::Instant;

/// A statement that finds nothing to expire takes a few milliseconds. One that took this long has waited for a lock.
const HELD_UP: Duration = Duration::from_millis(500);

/// Whether the look at the leases was held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    Free,
    HeldUp,
}

/// Checks whether leases could be renewed now, and expires none.
pub(crate) async fn look(tick: &Tick<'_>, surveys: &Surveys) -> Result<Look, Error> {
    let began = Instant::now();
    tick.store()?.expire_except(0, surveys.leases_scan_start(), &[], Duration::ZERO).await?;
    Ok(if began.elapsed() >= HELD_UP { Look::HeldUp } else { Look::Free })
}

pub(crate) async fn step(tick: &Tick<'_>, surveys: &mut Surveys, locked: &mut Locked) -> Result<Look, Error> {
    let soon = spared_for(tick.settings.lease);
    for _ in 0..BATCHES_PER_TICK {
        let now = Instant::now();
        let spared = locked.spared(now, soon);
        let Expiry { expired, locked: seen } =
            tick.store()?.expire_except(BATCH_MAX as i64, surveys.leases_scan_start(), &spared, soon).await?;
        if expired.is_empty() && now.elapsed() >= HELD_UP {
            return Ok(Look::HeldUp);
        }
        let is_any_locked = !(seen.is_empty() && spared.is_empty());
        locked.see(seen, now);
        let batch = expired.len();
        tick.counts.found(batch as u64);
        tick.counts.changed(batch as u64);
        tick.counts.drifted(Drift::LeaseExpired, batch as u64);
        tick.counts.repaired(Drift::LeaseExpired, batch as u64);
        if batch > 0 {
            pass(FailPoint::ExpireCommitted);
        }
        if let Some(handoff) = tick.handoff {
            let groups = by_queue(expired.into_iter().map(|job| (job.queue, job.state == State::Queued, job.id)));
            for ((queue, waits_again), ids) in groups {
                if waits_again {
                    // Not a push: while the dead worker's lease stands in Redis, that would refuse the hint as held.
                    handoff.release(&queue, &ids).await?;
                } else {
                    handoff.ack(&[(queue, ids)]).await?;
                }
            }
        }
        if batch < BATCH_MAX {
            // A locked run has a lease that ended before that time.
            if let Some(time) = tick.began.filter(|_| !is_any_locked) {
                surveys.expired_until(time);
            }
            break;
        }
    }
    Ok(Look::Free)
}
