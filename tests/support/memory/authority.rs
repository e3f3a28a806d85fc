//! PostgreSQL in memory, as one process reaches it.

use super::{
    broken::Broken,
    clock::Clock,
    link::{Direct, Link, Lost},
    rows::Rows,
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{ClaimedJob, Fence, FinishedRun, JobId, JobRecord, NewJob, QueueName, Settled, WorkerId};
use leasehold_store::{
    Authority, CancelWanted, Cancelled, Deferred, Enqueued, Error, Expired, Expiry, Fingerprints, Front, JobStatus,
    Kinds, Lease, Line, LinePosition, LineSummary, Renewed, Repair, Retained, Revived, Slice, Stretch, Survey, Uptime,
    Waiting,
};
use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

/// PostgreSQL in memory. Cheap to clone: all clones are of one database.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
    link: Arc<dyn Link>,
    /// How long a survey walks over dead rows.
    dead_rows: Duration,
}

impl MemoryStore {
    /// An empty database, reached without faults.
    #[must_use]
    pub fn new(clock: Clock, broken: Option<Broken>) -> Self {
        Self { rows: Arc::new(Mutex::new(Rows::new(clock, broken))), link: Arc::new(Direct), dead_rows: Duration::ZERO }
    }

    /// The same database, if it has to keep dead rows: how long a survey walks over them.
    #[must_use]
    pub fn with_dead_rows(self, dead_rows: Duration) -> Self {
        Self { dead_rows, ..self }
    }

    /// The same database, reached in another way.
    #[must_use]
    pub fn by(&self, link: Arc<dyn Link>) -> Self {
        Self { rows: Arc::clone(&self.rows), link, dead_rows: self.dead_rows }
    }

    /// All that is in it, to be looked at from outside.
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T>(&self, verb: &'static str, work: impl FnOnce(&mut Rows) -> T) -> Result<T, Error> {
        let lost = |Lost| Error::Sql {
            doing: verb,
            source: sqlx::Error::Io(io::Error::new(io::ErrorKind::ConnectionReset, "the connection was lost")),
        };
        self.link.there(verb).await.map_err(lost)?;
        let answer = work(&mut self.rows());
        self.link.back(verb).await.map_err(lost)?;
        Ok(answer)
    }
}

/// What clients and operators do.
impl MemoryStore {
    /// As [`leasehold_store::Store::enqueue`].
    ///
    /// # Errors
    /// As that.
    pub async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        jobs.iter().try_for_each(NewJob::validate)?;
        self.call("enqueue", |rows| rows.enqueue(jobs)).await
    }

    /// As [`leasehold_store::Store::cancel`].
    ///
    /// # Errors
    /// As that.
    pub async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error> {
        self.call("cancel", |rows| rows.cancel(ids)).await
    }

    /// As [`leasehold_store::Store::pause`].
    ///
    /// # Errors
    /// As that.
    pub async fn pause(&self, queue: &QueueName) -> Result<bool, Error> {
        self.call("pause", |rows| rows.pause(queue)).await
    }

    /// As [`leasehold_store::Store::resume`].
    ///
    /// # Errors
    /// As that.
    pub async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        self.call("resume", |rows| rows.resume(queue)).await
    }

    /// As [`leasehold_store::Store::unblock`].
    ///
    /// # Errors
    /// As that.
    pub async fn unblock(&self, ids: &[JobId]) -> Result<Vec<Waiting>, Error> {
        self.call("unblock", |rows| rows.unblock(ids)).await
    }

    /// As [`leasehold_store::Store::revive`].
    ///
    /// # Errors
    /// As that.
    pub async fn revive(&self, ids: &[JobId]) -> Result<Vec<Revived>, Error> {
        self.call("revive", |rows| rows.revive(ids)).await?.map_err(Error::UniqueKeyTaken)
    }

    /// As [`leasehold_store::Store::job`].
    ///
    /// # Errors
    /// As that.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        self.call("job", |rows| rows.live.get(&id).or(rows.history.get(&id)).map(super::rows::Row::record)).await
    }
}

#[async_trait]
impl Authority for MemoryStore {
    async fn claim(
        &self,
        worker: WorkerId,
        ids: &[JobId],
        kinds: &Kinds,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        self.call("claim", |rows| rows.claim(worker, ids, kinds, usize::MAX, lease)).await
    }

    async fn claim_careful(
        &self,
        worker: WorkerId,
        ids: &[JobId],
        kinds: &Kinds,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        self.call("claim_careful", |rows| rows.claim(worker, ids, kinds, limit, lease)).await
    }

    async fn claim_line(
        &self,
        worker: WorkerId,
        queue: &QueueName,
        kinds: &Kinds,
        limit: i64,
        lease: Duration,
        with_crashed: bool,
    ) -> Result<Vec<ClaimedJob>, Error> {
        self.call("claim_line", |rows| rows.claim_line(worker, queue, kinds, limit, lease, with_crashed)).await
    }

    async fn renew(&self, worker: WorkerId, runs: &[Fence], lease: Duration) -> Result<Vec<Renewed>, Error> {
        self.call("renew", |rows| rows.renew(worker, runs, lease)).await
    }

    async fn settle(&self, worker: WorkerId, runs: &[FinishedRun]) -> Result<Vec<Settled>, Error> {
        self.call("settle", |rows| rows.settle(worker, runs)).await
    }

    async fn defer(&self, ends: &[Deferred]) -> Result<(), Error> {
        let ends = ends.iter().map(|end| (end.run.fence, end.clone()));
        self.call("defer", |rows| rows.deferred.extend(ends)).await
    }

    async fn deferred(&self, limit: i64) -> Result<Vec<Deferred>, Error> {
        let limit = usize::try_from(limit).unwrap_or_default();
        self.call("deferred", |rows| rows.deferred.values().take(limit).cloned().collect()).await
    }

    async fn deferred_done(&self, runs: &[Fence]) -> Result<(), Error> {
        self.call("deferred_done", |rows| rows.deferred.retain(|fence, _| !runs.contains(fence))).await
    }

    async fn look(&self, ids: &[JobId], kinds: &Kinds) -> Result<Vec<JobStatus>, Error> {
        self.call("look", |rows| rows.look(ids, kinds)).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.call("ping", |_| ()).await
    }

    async fn uptime(&self) -> Result<Uptime, Error> {
        self.call("uptime", |rows| Uptime {
            now: rows.clock.now(),
            up_for: Duration::from_millis(u64::try_from(rows.clock.ms() - rows.up_since_ms).unwrap_or_default()),
            snapshot: rows.journal.len().to_string(),
            has_deferred: !rows.deferred.is_empty(),
            watched_ago: rows.watched_at.map(|at| (rows.clock.now() - at).to_std().unwrap_or_default()),
        })
        .await
    }

    async fn keep_watch(&self) -> Result<(), Error> {
        self.call("keep_watch", |rows| rows.watched_at = Some(rows.clock.now())).await
    }

    async fn expire(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Expired>, Error> {
        self.call("expire", |rows| rows.expire(limit, since, &[])).await
    }

    /// Nothing is ever locked here.
    async fn expire_except(
        &self,
        limit: i64,
        since: Option<DateTime<Utc>>,
        spared: &[JobId],
        soon: Duration,
    ) -> Result<Expiry, Error> {
        let expire = |rows: &mut Rows| Expiry {
            expired: rows.expire(limit, since, spared),
            locked: rows.locked_and_about_to_run_out(soon),
        };
        self.call("expire", expire).await
    }

    async fn promote(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Waiting>, Error> {
        self.call("promote", |rows| rows.promote(limit, since)).await
    }

    async fn cancel_wanted(&self, limit: i64) -> Result<Vec<CancelWanted>, Error> {
        self.call("cancel_wanted", |rows| rows.cancel_wanted(limit)).await
    }

    async fn paused(&self) -> Result<Vec<QueueName>, Error> {
        self.call("paused", |rows| rows.paused.iter().cloned().collect()).await
    }

    async fn survey(&self, queue: Option<&QueueName>) -> Result<Survey, Error> {
        let survey = self.call("survey", |rows| rows.survey(queue)).await?;
        sleep(self.dead_rows).await;
        Ok(Survey { took: self.dead_rows, ..survey })
    }

    async fn fingerprint(&self, slices: &[Slice], limit: i64) -> Result<Fingerprints, Error> {
        let answer = self.call("fingerprint", |rows| rows.fingerprint(slices, limit)).await?;
        sleep(self.dead_rows).await;
        Ok(Fingerprints { took: self.dead_rows, ..answer })
    }

    async fn survey_slices(&self, slices: &[Slice]) -> Result<Vec<Vec<LineSummary>>, Error> {
        self.call("survey_slices", |rows| slices.iter().map(|slice| rows.survey_slice(slice)).collect()).await
    }

    async fn lines(&self, fronts: &[Front]) -> Result<Vec<(Line, Vec<Stretch>)>, Error> {
        self.call("lines", |rows| {
            let line = |front: &Front| rows.line(&front.queue, &front.stretches, i64::from(front.limit));
            fronts.iter().map(line).collect()
        })
        .await
    }

    async fn line(&self, queue: &QueueName, stretches: &[Stretch], limit: i64) -> Result<(Line, Vec<Stretch>), Error> {
        self.call("line", |rows| rows.line(queue, stretches, limit)).await
    }

    async fn line_after(
        &self,
        queue: &QueueName,
        kinds: &Kinds,
        after: &LinePosition,
        limit: i64,
    ) -> Result<Line, Error> {
        self.call("line_after", |rows| rows.line_after(queue, kinds, after, limit)).await
    }

    async fn leases(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Lease>, Error> {
        self.call("leases", |rows| rows.leases(limit, since)).await
    }

    async fn note_repairs(&self, repair: &Repair) -> Result<Vec<JobId>, Error> {
        self.call("note_repairs", |rows| rows.note_repairs(repair)).await
    }

    async fn held(&self, worker: WorkerId) -> Result<Vec<Lease>, Error> {
        self.call("held", |rows| rows.held(worker)).await
    }

    /// History is kept: it is what is judged in the end.
    async fn retain(&self, _keep: Duration) -> Result<Retained, Error> {
        self.call("retain", |_| Retained::default()).await
    }
}
