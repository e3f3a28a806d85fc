//! Fires schedules whose tick has come: enqueues their jobs, and pushes their hints.
//!
//! Every reaper may fire every schedule. PostgreSQL's clock decides what is due. If two reapers fire the same tick, one of
//! them finds the row changed. If a hint is not pushed (Redis is unavailable, or this process dies here), the head step
//! pushes it later.
//!
//! The step asks PostgreSQL only when a schedule is due, or when some transaction has ended since the last read, because
//! this transaction may have changed a schedule. The answer says when the next tick is, and the reaper runs this step again
//! at that moment.

use crate::{
    by_queue::by_queue,
    error::Error,
    step::{Needs, Ran, Step},
    tick::{BATCHES_PER_TICK, Tick},
};
use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{BATCH_MAX, FailPoint, ScheduleName, State, pass};
use leasehold_ports::{DueSchedule, Fire, FireOutcome, Hint, TickJob};
use leasehold_schedule::Calendar;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::time::Instant;

/// A read begins this long before the last read. So it skips the dead index entries of earlier ticks, which PostgreSQL must
/// keep while an old transaction is open. A client that sets a schedule writes a tick that is not older than the call.
const LOOK_BACK: TimeDelta = TimeDelta::minutes(1);
/// How often everything is read nevertheless, for rows that somebody wrote by hand.
const FULL_LOOK_EVERY: Duration = Duration::from_secs(60);
/// The shortest pause before a read at the time that PostgreSQL has named: its clock may be a little slower.
const SOONEST: Duration = Duration::from_millis(2);
/// The longest pause. It delays nothing: every tick of the reaper reads too, if something has changed.
const LATEST: Duration = Duration::from_secs(3600);
/// The pause before this program retries a schedule whose row it cannot read: a newer program may know the time zone.
const UNREADABLE_AGAIN_AFTER: TimeDelta = TimeDelta::minutes(1);

#[derive(Debug, Default)]
pub(crate) struct Schedules {
    looked: Option<Look>,
    /// Schedules whose last tick made no job. The log says when this condition begins and when it ends.
    failing: BTreeSet<ScheduleName>,
}

/// A read that found no due schedule, or after which all due schedules were fired.
#[derive(Clone, Debug)]
struct Look {
    /// Which transactions had ended before this read.
    snapshot: Arc<str>,
    /// How often PostgreSQL had been unavailable before this read.
    outages: u64,
    now: DateTime<Utc>,
    next_due: Option<DateTime<Utc>>,
    /// The last read without a scan start.
    full_at: Instant,
}

impl Look {
    fn is_true_still(&self, tick: &Tick) -> bool {
        let is_unchanged = tick.snapshot.as_ref().is_some_and(|snapshot| *snapshot == self.snapshot);
        let is_due = tick.began.is_none_or(|began| began < self.now || self.next_due.is_some_and(|due| due <= began));
        is_unchanged && !is_due && self.outages == tick.shared.known().outages && !self.is_old()
    }

    fn is_old(&self) -> bool {
        self.full_at.elapsed() >= FULL_LOOK_EVERY
    }
}

#[async_trait]
impl Step for Schedules {
    fn name(&self) -> &'static str {
        "schedules"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some() && (tick.is_moment || !self.looked.as_ref().is_some_and(|look| look.is_true_still(tick)))
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        tick.shared.next_fire().take();
        let outages = tick.shared.known().outages;
        let before = self.looked.take().filter(|look| look.outages == outages && !look.is_old());
        let since = before.as_ref().map(|look| look.now - LOOK_BACK);
        let full_at = before.map_or_else(Instant::now, |look| look.full_at);
        for _ in 0..BATCHES_PER_TICK {
            let asked_at = Instant::now();
            let seen = tick.store()?.due_schedules(BATCH_MAX as i64, since).await?;
            let fires: Vec<Fire> = seen.due.iter().map(|schedule| fire(schedule, seen.now)).collect();
            let next = seen.next_due.into_iter().chain(fires.iter().map(|fire| fire.next_at)).min();
            let next_in = next.map(|next| (next - seen.now).to_std().unwrap_or_default().clamp(SOONEST, LATEST));
            tick.shared.next_fire().learn(next_in.map(|next_in| asked_at + next_in));
            tick.counts.found(fires.len() as u64);
            let left = self.fire_all(tick, &fires).await?;
            if seen.due.len() < BATCH_MAX {
                let snapshot = tick.snapshot.clone().filter(|_| left == 0);
                let look = |snapshot| Look { snapshot, outages, now: seen.now, next_due: seen.next_due, full_at };
                self.looked = snapshot.map(look);
                break;
            }
            if left == fires.len() {
                break;
            }
        }
        Ok(Ran::Done)
    }
}

impl Schedules {
    /// Fires the schedules, in statements of a limited number of jobs. Returns how many are still due.
    async fn fire_all(&mut self, tick: &Tick, fires: &[Fire]) -> Result<usize, Error> {
        let mut left = 0;
        for batch in batches(fires) {
            let outcomes = tick.store()?.fire_schedules(batch).await?;
            pass_if_any(&outcomes);
            let mut jobs = Vec::new();
            for (fire, outcome) in batch.iter().zip(outcomes) {
                match outcome {
                    FireOutcome::Fired(made) => {
                        tick.counts.changed(1);
                        jobs.extend(made);
                        if self.failing.remove(&fire.name) {
                            tracing::info!(schedule = %fire.name, "the schedule makes jobs again");
                        }
                    }
                    FireOutcome::Refused(problem) => {
                        tick.counts.changed(1);
                        if self.failing.insert(fire.name.clone()) {
                            tracing::error!(schedule = %fire.name, problem, "a tick of the schedule made no job");
                        }
                    }
                    FireOutcome::Elsewhere | FireOutcome::Held => left += 1,
                }
            }
            push(tick, jobs).await?;
        }
        Ok(left)
    }
}

fn pass_if_any(outcomes: &[FireOutcome]) {
    if outcomes.iter().any(|outcome| matches!(outcome, FireOutcome::Fired(jobs) if !jobs.is_empty())) {
        pass(FailPoint::SchedulesFired);
    }
}

async fn push(tick: &Tick, jobs: Vec<TickJob>) -> Result<(), Error> {
    let Some(handoff) = tick.handoff.as_deref() else { return Ok(()) };
    let in_line = jobs.into_iter().filter(|job| job.inserted && job.state == State::Queued);
    let hint = |job: TickJob| (job.queue, Hint { id: job.id, line_at: job.line_at });
    for (queue, hints) in by_queue(in_line.map(hint)) {
        handoff.push(&queue, &hints).await?;
    }
    Ok(())
}

/// What to do with a due schedule.
fn fire(schedule: &DueSchedule, now: DateTime<Utc>) -> Fire {
    let due = Calendar::of(&schedule.timing).map_err(|error| error.to_string()).and_then(|calendar| {
        let due = calendar.due(schedule.next_at, now, schedule.missed);
        due.ok_or_else(|| "the schedule has no further tick".to_owned())
    });
    let (ticks, next_at, error) = match due {
        Ok(due) => (due.ticks, due.next_at, None),
        Err(error) => (Vec::new(), now + UNREADABLE_AGAIN_AFTER, Some(error)),
    };
    Fire { name: schedule.name.clone(), revision: schedule.revision, due_at: schedule.next_at, ticks, next_at, error }
}

/// Parts that make up to [`BATCH_MAX`] jobs each.
fn batches(mut fires: &[Fire]) -> Vec<&[Fire]> {
    let mut batches = Vec::new();
    while !fires.is_empty() {
        let mut jobs = 0;
        let fits = |fire: &&Fire| {
            jobs += fire.ticks.len().max(1);
            jobs <= BATCH_MAX
        };
        let count = fires.iter().take_while(fits).count().max(1);
        let (batch, rest) = fires.split_at(count);
        batches.push(batch);
        fires = rest;
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_ticks(count: usize) -> Fire {
        Fire {
            name: "s".parse().expect("a name"),
            revision: 1,
            due_at: DateTime::UNIX_EPOCH,
            ticks: vec![DateTime::UNIX_EPOCH; count],
            next_at: DateTime::UNIX_EPOCH,
            error: None,
        }
    }

    #[test]
    fn a_batch_makes_a_limited_number_of_jobs() {
        let fires: Vec<Fire> = [1, BATCH_MAX - 1, 1, BATCH_MAX, BATCH_MAX, 0, 3].map(of_ticks).into();
        let sizes: Vec<usize> = batches(&fires).into_iter().map(<[Fire]>::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1, 2]);
        assert!(batches(&[]).is_empty());
    }
}
