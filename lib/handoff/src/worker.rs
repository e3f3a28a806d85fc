//! What a worker does in Redis: it takes hints, renews their leases, and acks or returns them.

use crate::{
    connect::Handoff,
    error::Error,
    position::in_order,
    producer::Mode,
    scripts::{ACK, ASIDE, RENEW, Step, TAKE, command},
};
use leasehold_core::{JobId, Kind, QueueName};
use leasehold_ports::{Hint, Notice, Taken};
use redis::Value;
use std::time::Duration;

/// The maximum length of a list of hints aside, as a part of the head. It is long enough to give a new worker of the kind
/// its first jobs, and short enough that ten kinds without workers do not double the memory of the head.
const ASIDE_PART_OF_HEAD: u32 = 8;

impl Handoff {
    /// Leases `adopt` (which a blocking take moved to `claimed`) and up to `limit` more hints, first the hints that are
    /// set aside for `kinds`. An id of `adopt` that another process has already adopted is not in the answer.
    ///
    /// # Errors
    /// If Redis does not answer in time. Hints that the failed call has leased come back when their leases run out.
    pub async fn take(
        &self,
        queue: &QueueName,
        adopt: &[JobId],
        kinds: &[Kind],
        limit: u32,
        lease: Duration,
    ) -> Result<Taken, Error> {
        let keys = self.keys().of(queue);
        let fixed = [keys.ready(), keys.claimed(), keys.leases(), keys.flags(), keys.asides(), keys.bell()];
        let call = TAKE
            .on(fixed.into_iter().chain(kinds.iter().map(|kind| keys.aside(kind.as_str()))))
            .arg(self.inner.head_max)
            .arg(milliseconds(lease))
            .arg(limit)
            .args(kinds)
            .args(adopt);
        type Answer = (bool, bool, Vec<Vec<u8>>, Vec<String>);
        let ((paused, low, members, aside),): (Answer,) = self.run("taking hints", vec![call.into()]).await?;
        let (ids, strays) = parse_members(members);
        self.forget_strays(queue, strays).await;
        Ok(Taken { ids, aside: aside.iter().filter_map(|kind| kind.parse().ok()).collect(), low, paused })
    }

    /// Sets the leases of running jobs, also of jobs that Redis does not hold.
    ///
    /// # Errors
    /// If Redis does not answer in time. Only the lease in PostgreSQL counts.
    pub async fn renew(&self, runs: &[(QueueName, Vec<JobId>)], lease: Duration) -> Result<(), Error> {
        let mut steps: Vec<Step> = Vec::with_capacity(runs.len() * 2);
        for (queue, ids) in runs.iter().filter(|(_, ids)| !ids.is_empty()) {
            let leases = self.keys().of(queue).leases();
            steps.push(RENEW.on([leases]).arg(milliseconds(lease)).arg("keep").args(ids).into());
            steps.push(self.note_queue(queue));
        }
        self.run_unless_empty("renewing leases in Redis", steps).await
    }

    /// Keeps the leases of hints that a worker has parked: a hint that has lost its lease, or waits in the head again, is
    /// left alone.
    ///
    /// # Errors
    /// If Redis does not answer in time. The leases run out, and the reaper gives the hints back.
    pub async fn hold(&self, queue: &QueueName, ids: &[JobId], lease: Duration) -> Result<(), Error> {
        if ids.is_empty() {
            return Ok(());
        }
        let call = RENEW.on([self.keys().of(queue).leases()]).arg(milliseconds(lease)).arg("held").args(ids);
        self.run::<(Value,)>("holding hints", vec![call.into()]).await.map(drop)
    }

    /// Removes hints whose jobs are finished, held by another worker, or no longer in the line.
    ///
    /// # Errors
    /// If Redis does not answer in time. The leases run out, and the reaper removes the hints.
    pub async fn ack(&self, hints: &[(QueueName, Vec<JobId>)]) -> Result<(), Error> {
        let steps = hints.iter().filter(|(_, ids)| !ids.is_empty()).map(|(queue, ids)| {
            let keys = self.keys().of(queue);
            ACK.on([keys.leases(), keys.claimed()]).args(ids).into()
        });
        self.run_unless_empty("forgetting hints", steps.collect()).await
    }

    /// Returns hints to the head, each to its position: leased hints, hints that a blocking take left in `claimed`, and
    /// hints that Redis does not know. Waiting hints stay where they are. In a paused queue, all of these hints are
    /// removed.
    ///
    /// # Errors
    /// Redis does not answer in time. The leases run out, and the reaper returns the hints.
    pub async fn release(&self, queue: &QueueName, hints: &[Hint]) -> Result<(), Error> {
        self.push_in("giving hints back", queue, hints, Mode::Return).await.map(|_| ())
    }

    /// Sets leased hints aside for workers of another kind, and notifies these workers. Hints beyond the bound are
    /// dropped (the line has their jobs).
    ///
    /// # Errors
    /// If Redis does not answer in time. The leases run out, and the hints are offered again.
    pub async fn set_aside(&self, queue: &QueueName, kind: &Kind, hints: &[Hint]) -> Result<(), Error> {
        if hints.is_empty() {
            return Ok(());
        }
        let keys = self.keys().of(queue);
        let call = ASIDE
            .on([keys.aside(kind.as_str()), keys.asides(), keys.leases(), keys.flags()])
            .arg(kind.as_str())
            .arg(self.aside_max())
            .args(in_order(hints));
        let ((kept, _forgotten),): ((u32, u32),) = self.run("setting hints aside", vec![call.into()]).await?;
        if kept > 0 {
            self.notify(&[Notice::Aside { queue: queue.clone(), kind: kind.clone() }]).await?;
        }
        Ok(())
    }

    /// The queues among these that have waiting hints, or hints set aside.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn with_hints(&self, queues: &[QueueName]) -> Result<Vec<QueueName>, Error> {
        let exists = |queue| {
            let keys = self.keys().of(queue);
            command("EXISTS", (keys.ready(), keys.asides())).into()
        };
        let found: Vec<u32> =
            self.run("looking for queues that have hints", queues.iter().map(exists).collect()).await?;
        Ok(queues.iter().zip(found).filter(|(_, found)| *found > 0).map(|(queue, _)| queue.clone()).collect())
    }

    /// The lock under which one worker at a time fills a head; free again after `ttl`, or when the fill is done. Whether
    /// this call got the permission.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn lock_fill(&self, queue: &QueueName, ttl: Duration) -> Result<bool, Error> {
        let mut lock = redis::cmd("SET");
        lock.arg(self.keys().of(queue).fill_lock()).arg(1).arg("NX").arg("PX").arg(milliseconds(ttl).max(1));
        let (answer,): (Value,) = self.run("locking a fill", vec![lock.into()]).await?;
        Ok(answer != Value::Nil)
    }

    /// The fill is done. (If the fill took longer than the lock lasts, this may remove the lock of another worker. A
    /// second fill does no harm.)
    ///
    /// # Errors
    /// If Redis does not answer in time; then the lock ends by itself.
    pub async fn unlock_fill(&self, queue: &QueueName) -> Result<(), Error> {
        let mut unlock = redis::cmd("DEL");
        unlock.arg(self.keys().of(queue).fill_lock());
        let (_,): (Value,) = self.run("ending a fill", vec![unlock.into()]).await?;
        Ok(())
    }

    /// The most hints kept aside for one kind of one queue.
    pub(crate) fn aside_max(&self) -> u32 {
        (self.inner.head_max / ASIDE_PART_OF_HEAD).max(1)
    }

    /// Removes members that are no ids: no worker could ever ack them.
    pub(crate) async fn forget_strays(&self, queue: &QueueName, strays: Vec<Vec<u8>>) {
        if strays.is_empty() {
            return;
        }
        tracing::warn!(%queue, count = strays.len(), "Redis held hints that are no job ids; forgetting them");
        let keys = self.keys().of(queue);
        let call = ACK.on([keys.leases(), keys.claimed()]).arg(strays);
        if let Err(error) = self.run::<(u32,)>("forgetting what is no hint", vec![call.into()]).await {
            tracing::debug!(%queue, %error, "they come up again when their lease runs out");
        }
    }

    async fn run_unless_empty(&self, doing: &'static str, steps: Vec<Step>) -> Result<(), Error> {
        if steps.is_empty() { Ok(()) } else { self.run::<Vec<Value>>(doing, steps).await.map(|_| ()) }
    }
}

/// Whole milliseconds, as Redis counts.
pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Splits these members into job ids and other strings.
pub(crate) fn parse_members(members: Vec<Vec<u8>>) -> (Vec<JobId>, Vec<Vec<u8>>) {
    let mut ids = Vec::with_capacity(members.len());
    let mut strays = Vec::new();
    for member in members {
        match parse_member(&member) {
            Some(id) => ids.push(id),
            None => strays.push(member),
        }
    }
    (ids, strays)
}

/// The job id, if it is one, in the spelling of this program (another spelling would be another member).
pub(crate) fn parse_member(member: &[u8]) -> Option<JobId> {
    let text = std::str::from_utf8(member).ok()?;
    let id: JobId = text.parse().ok()?;
    (id.to_string() == text).then_some(id)
}
