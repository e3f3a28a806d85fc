//! Ends runs whose lease has run out: the worker died, or could not reach PostgreSQL for too long.
//!
//! The statement decides the new state of each job: queued, dead, or cancelled. A run whose row was locked a moment ago is
//! not expired yet (see `locked.rs`). This step uses only PostgreSQL, so a stalled Redis does not delay the next run of this
//! step. A second step, `TellExpired`, updates Redis: hints of jobs that wait again return to their heads, and the hints of
//! the other jobs are removed.
//!
//! While the guard in `expiry_guard.rs` forbids expiry, the step sends the statement with a limit of no rows. If even this
//! statement is blocked, somebody has locked the table, and the wait begins again.

use crate::{
    by_queue::by_queue,
    conditions::Condition,
    error::Error,
    expiry_guard::Permit,
    locked::{Locked, spared_for},
    step::{Needs, Ran, Step},
    tick::{BATCHES_PER_TICK, Tick},
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, Drift, FailPoint, State, pass};
use leasehold_ports::{Expired, Expiry, Hint};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// A statement that finds nothing to expire takes a few milliseconds. A statement that takes this long has probably waited for a lock.
const WAITED: Duration = Duration::from_millis(500);
/// Timeout of the statement that records that leases may expire. Only a lock on its row makes it slow.
const WATCH_TIMEOUT: Duration = Duration::from_millis(500);

/// How a read of the leases went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    Free,
    /// It waited this long, probably for a lock.
    Waited(Duration),
}

/// The step that asks PostgreSQL.
#[derive(Debug, Default)]
pub(crate) struct Expire {
    locked: Locked,
    /// The last run of this step timed out before its end.
    is_unfinished: bool,
}

#[async_trait]
impl Step for Expire {
    fn name(&self) -> &'static str {
        "expire"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some()
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let permit = self.permit(tick);
        self.is_unfinished = true;
        let looked = match permit {
            Permit::None => look(tick).await.map(|look| (look, 0)),
            Permit::One => self.expire(tick, 1, 1).await,
            Permit::All => self.expire(tick, BATCHES_PER_TICK, BATCH_MAX).await,
        };
        self.is_unfinished = false;
        {
            let (mut guard, now) = (tick.shared.expiry_guard(), Instant::now());
            match &looked {
                Ok((Look::Free, expired)) => {
                    guard.looked(now);
                    if permit == Permit::One {
                        guard.can_write(now, *expired > 0);
                    }
                }
                Ok((Look::Waited(time), _)) => guard.waited(now, *time),
                Err(_) => guard.cannot_write(now),
            }
        }
        looked?;
        keep_watch(tick).await;
        Ok(if permit == Permit::None { Ran::Waited } else { Ran::Done })
    }
}

impl Expire {
    fn permit(&self, tick: &Tick) -> Permit {
        let (mut guard, now) = (tick.shared.expiry_guard(), Instant::now());
        if self.is_unfinished {
            guard.held_up(now);
        }
        guard.about_to_look(now);
        guard.permit(now)
    }

    async fn expire(&mut self, tick: &Tick, batches: usize, batch_max: usize) -> Result<(Look, usize), Error> {
        let soon = spared_for(tick.settings.lease);
        let (scan_start, mut all) = (tick.shared.known().leases, 0);
        for _ in 0..batches {
            let now = Instant::now();
            let spared = self.locked.spared(now, soon);
            let Expiry { expired, locked: seen } =
                tick.store()?.expire_except(batch_max as i64, scan_start.at, &spared, soon).await?;
            if expired.is_empty() && now.elapsed() >= WAITED {
                return Ok((Look::Waited(now.elapsed()), all));
            }
            let is_any_locked = !(seen.is_empty() && spared.is_empty());
            self.locked.see(seen, now);
            let batch = expired.len();
            all += batch;
            tick.counts.found(batch as u64);
            tick.counts.changed(batch as u64);
            tick.counts.drifted(Drift::LeaseExpired, batch as u64);
            tick.counts.repaired(Drift::LeaseExpired, batch as u64);
            if batch > 0 {
                pass(FailPoint::ExpireCommitted);
                tick.shared.exchange().expired.extend(expired);
            }
            if batch < batch_max {
                // If rows are locked, some leases that ended before this time still have to be expired.
                if let Some(time) = tick.began.filter(|_| !is_any_locked) {
                    tick.shared.known().leases.done(scan_start, time);
                }
                break;
            }
        }
        Ok((Look::Free, all))
    }
}

/// Checks whether leases could be renewed now, and expires none.
async fn look(tick: &Tick) -> Result<Look, Error> {
    let (began, scan_start) = (Instant::now(), tick.shared.known().leases.at);
    tick.store()?.expire_except(0, scan_start, &[], Duration::ZERO).await?;
    let took = began.elapsed();
    Ok(if took >= WAITED { Look::Waited(took) } else { Look::Free })
}

/// Records in PostgreSQL that leases may expire, for a reaper that starts later.
async fn keep_watch(tick: &Tick) {
    if !tick.shared.expiry_guard().has_to_say(Instant::now()) {
        return;
    }
    // The next read of the leases must not come so late that the guard takes it for a blocked read.
    let within = WATCH_TIMEOUT.min(tick.settings.lease / 10);
    let wrong = match tick.store() {
        Ok(store) => match timeout(within, store.keep_watch()).await {
            Ok(kept) => kept.err().map(|error| error.to_string()),
            Err(_) => Some(format!("no answer within {} ms", within.as_millis())),
        },
        Err(error) => Some(error.to_string()),
    };
    tick.shared.log(Condition::WatchNotKept, wrong.as_deref());
}

/// The step that updates Redis. If this step fails, the lease in Redis runs out, and the `leases` step asks PostgreSQL.
#[derive(Debug)]
pub(crate) struct TellExpired;

#[async_trait]
impl Step for TellExpired {
    fn name(&self) -> &'static str {
        "expire"
    }

    fn needs(&self) -> Needs {
        Needs::Redis
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        let mut exchange = tick.shared.exchange();
        if tick.handoff.is_none() {
            exchange.expired.clear();
        }
        !exchange.expired.is_empty()
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let handoff = tick.handoff()?;
        let expired = std::mem::take(&mut tick.shared.exchange().expired);
        let (waiting, ended): (Vec<Expired>, Vec<Expired>) =
            expired.into_iter().partition(|job| job.state == State::Queued);
        let hint = |job: Expired| (job.queue, Hint { id: job.id, line_at: job.line_at });
        for (queue, hints) in by_queue(waiting.into_iter().map(hint)) {
            // A push would refuse the hint, because Redis still has the lease of the dead worker.
            handoff.release(&queue, &hints).await?;
        }
        let ended = by_queue(ended.into_iter().map(|job| (job.queue, job.id)));
        handoff.ack(&ended.into_iter().collect::<Vec<_>>()).await?;
        Ok(Ran::Done)
    }
}
