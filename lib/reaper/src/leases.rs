//! Asks PostgreSQL about hints whose lease in Redis has run out.
//!
//! The worker of such a hint died between take and claim, or between settle and ack, or could not reach Redis to renew the
//! lease. This step ends leases in Redis only. `expire` ends leases in PostgreSQL.

use crate::{
    by_queue::all_of,
    error::Error,
    note::Mend,
    step::{Needs, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use leasehold_core::{BATCH_MAX, Drift, FailPoint, JobId, QueueName, State, pass};
use leasehold_ports::{Hint, JobStatus, Kinds};
use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

#[derive(Debug)]
pub(crate) struct Leases;

#[async_trait]
impl Step for Leases {
    fn name(&self) -> &'static str {
        "leases"
    }

    fn needs(&self) -> Needs {
        Needs::Redis
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let overdue: Vec<_> = tick.heads.fresh().filter(|(_, head)| head.overdue > 0).collect();
        all_of(overdue.into_iter().map(|(queue, _)| one_queue(tick, queue))).await?;
        Ok(Ran::Done)
    }
}

async fn one_queue(tick: &Tick, queue: &QueueName) -> Result<(), Error> {
    let handoff = tick.handoff()?;
    let ran_out = handoff.expired(queue, BATCH_MAX as u32).await?;
    if ran_out.is_empty() {
        return Ok(());
    }
    tick.counts.found(ran_out.len() as u64);
    let plan = decide(queue, &ran_out, tick.store()?.look(&ran_out, &Kinds::All).await?, tick.settings.handoff_lease);
    let drift = [
        (Drift::LeaseInLine, plan.back.len()),
        (Drift::LeaseWithoutRun, plan.forget.len()),
        (Drift::LeaseMissing, plan.lapsed.len()),
    ];
    for (kind, things) in drift {
        tick.counts.drifted(kind, things as u64);
    }
    let back: Vec<JobId> = plan.back.iter().map(|hint| hint.id).collect();
    // Note the repair before it is made: after the repair, the job may be claimed and finished immediately, and then has no row
    // for the note.
    tick.note(&Mend { kind: Drift::LeaseInLine, done: "given back", state: Some(State::Queued) }, &back).await?;
    tick.note(&Mend { kind: Drift::LeaseMissing, done: "leased again", state: Some(State::Running) }, &plan.lapsed)
        .await?;
    pass(FailPoint::LeasesRead);
    if !plan.back.is_empty() {
        handoff.release(queue, &plan.back).await?;
    }
    if !plan.forget.is_empty() {
        handoff.ack(&[(queue.clone(), plan.forget)]).await?;
    }
    for (seconds, ids) in plan.hold {
        handoff.renew(&[(queue.clone(), ids)], Duration::from_secs(seconds)).await?;
    }
    for (kind, things) in drift {
        tick.counts.repaired(kind, things as u64);
    }
    tick.counts.changed(ran_out.len() as u64);
    Ok(())
}

/// What to do with each hint.
#[derive(Debug, Default, PartialEq, Eq)]
struct Plan {
    /// Return the hint to the head.
    back: Vec<Hint>,
    /// Remove the hint from Redis.
    forget: Vec<JobId>,
    /// Lease the hint for this number of seconds: the rest of the lease in PostgreSQL, rounded up so that there are few groups.
    hold: BTreeMap<u64, Vec<JobId>>,
    /// The hints in `hold` whose lease in PostgreSQL has not run out: Redis missed a renewal.
    lapsed: Vec<JobId>,
}

fn decide(queue: &QueueName, ran_out: &[JobId], looked: Vec<JobStatus>, handoff_lease: Duration) -> Plan {
    let ours = looked.into_iter().filter(|job| job.queue == *queue);
    let live: HashMap<JobId, JobStatus> = ours.map(|job| (job.id, job)).collect();
    let mut plan = Plan::default();
    for &id in ran_out {
        match live.get(&id) {
            Some(job) if job.claimability.may_be_claimed() => plan.back.push(Hint::at(id, job.line_at)),
            Some(job) if job.state == State::Running => {
                // If the lease has run out in PostgreSQL too, `expire` ends the run and tells Redis. Until then a short lease
                // keeps the hint out of the next batches, so that other hints have their turn.
                let ms_left = job.lease_ms_left.unwrap_or(0);
                if ms_left > 0 {
                    plan.lapsed.push(id);
                }
                let seconds = whole_seconds(ms_left).max(handoff_lease.as_secs());
                plan.hold.entry(seconds).or_default().push(id);
            }
            // A finished, scheduled, blocked or paused job, and a job that was moved to another queue, is not in the line, so its
            // hint does not belong in the head.
            _ => plan.forget.push(id),
        }
    }
    plan
}

/// The rest of a lease in PostgreSQL, rounded up: the lease in Redis must not run out before the lease in PostgreSQL.
pub(crate) fn whole_seconds(ms_left: i64) -> u64 {
    u64::try_from(ms_left).unwrap_or(0).div_ceil(1000).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use leasehold_core::Claimability;

    fn looked(state: State, paused: bool, lease_ms_left: Option<i64>) -> JobStatus {
        JobStatus {
            token_in: None,
            id: JobId::new(),
            state,
            queue: QueueName::default(),
            kind: "k".parse().expect("a kind"),
            line_at: DateTime::UNIX_EPOCH,
            claimability: Claimability::of(state, paused, true, 0, 3),
            lease_ms_left,
        }
    }

    #[test]
    fn each_hint_goes_where_its_job_is() {
        let queued = looked(State::Queued, false, None);
        let paused = looked(State::Queued, true, None);
        let running = looked(State::Running, false, Some(20_400));
        let overdue = looked(State::Running, false, Some(-3));
        let scheduled = looked(State::Scheduled, false, None);
        let moved = JobStatus { queue: "other".parse().expect("a queue"), ..looked(State::Queued, false, None) };
        let finished = JobId::new();
        let ids = [queued.id, paused.id, running.id, overdue.id, scheduled.id, finished, moved.id];
        let jobs = vec![queued, paused, running, overdue, scheduled, moved];
        let plan = decide(&QueueName::default(), &ids, jobs, Duration::from_secs(5));
        assert_eq!(plan.back, [Hint::at(ids[0], DateTime::UNIX_EPOCH)]);
        assert_eq!(plan.forget, [ids[1], ids[4], ids[5], ids[6]]);
        assert_eq!(plan.lapsed, [ids[2]]);
        assert_eq!(plan.hold, BTreeMap::from([(5, vec![ids[3]]), (21, vec![ids[2]])]));
    }
}
