//! PostgreSQL in memory, from the view of one process.

use crate::{
    broken::Broken,
    clock::Clock,
    link::{ConnectionLost, Direct, Link, Lost},
    rows::Rows,
};
use chrono::{DateTime, Utc};
use leasehold_core::{ClaimedJob, Fence, FinishedRun, JobId, JobRecord, NewJob, QueueName, Settled, WorkerId};
use leasehold_ports::{
    CancelWanted, Cancelled, Class, Deferred, DueSchedules, Enqueued, Error, Expired, Expiry, Fingerprints, Finished,
    Fire, FireOutcome, Front, JobMoment, JobStatus, Kinds, Lease, Line, LinePosition, LineSummary, Renewed, Repair,
    Retained, Revived, Slice, Stretch, Survey, Uptime, Waiting,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::sleep;

leasehold_ports::delegate_store!(MemoryStore);

/// PostgreSQL in memory. Cheap to clone: all clones share one database.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    rows: Arc<Mutex<Rows>>,
    link: Arc<dyn Link>,
    /// How long a survey walks over dead rows.
    dead_rows: Duration,
}

impl MemoryStore {
    /// An empty database, with a connection that has no faults.
    #[must_use]
    pub fn new(clock: Clock, broken: Option<Broken>) -> Self {
        Self { rows: Arc::new(Mutex::new(Rows::new(clock, broken))), link: Arc::new(Direct), dead_rows: Duration::ZERO }
    }

    /// The same database, which now has to keep dead rows: a survey walks over them for this long.
    #[must_use]
    pub fn with_dead_rows(self, dead_rows: Duration) -> Self {
        Self { dead_rows, ..self }
    }

    /// The same database over another connection.
    #[must_use]
    pub fn by(&self, link: Arc<dyn Link>) -> Self {
        Self { rows: Arc::clone(&self.rows), link, dead_rows: self.dead_rows }
    }

    /// The whole content, for inspection from outside.
    pub fn rows(&self) -> MutexGuard<'_, Rows> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T>(&self, doing: &'static str, work: impl FnOnce(&mut Rows) -> T) -> Result<T, Error> {
        let lost = |Lost| Error::new("PostgreSQL", doing, Class::Transient, ConnectionLost { doing });
        self.link.there(doing).await.map_err(lost)?;
        let answer = work(&mut self.rows());
        self.link.back(doing).await.map_err(lost)?;
        Ok(answer)
    }
}

/// The calls of clients and operators.
impl MemoryStore {
    /// As [`leasehold_ports::Jobs::enqueue`].
    ///
    /// # Errors
    /// As that.
    pub async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        let valid = jobs.iter().try_for_each(NewJob::validate);
        valid.map_err(|error| Error::new("PostgreSQL", "checking jobs", Class::Invalid, error))?;
        self.call("enqueue", |rows| rows.enqueue(jobs)).await
    }

    /// As [`leasehold_ports::Jobs::cancel`].
    ///
    /// # Errors
    /// As that.
    pub async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error> {
        self.call("cancel", |rows| rows.cancel(ids)).await
    }

    /// As [`leasehold_ports::Jobs::pause`].
    ///
    /// # Errors
    /// As that.
    pub async fn pause(&self, queue: &QueueName) -> Result<bool, Error> {
        self.call("pause", |rows| rows.pause(queue)).await
    }

    /// As [`leasehold_ports::Jobs::resume`].
    ///
    /// # Errors
    /// As that.
    pub async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        self.call("resume", |rows| rows.resume(queue)).await
    }

    /// The counterpart of `unblock` in the real store.
    ///
    /// # Errors
    /// As that.
    pub async fn unblock(&self, ids: &[JobId]) -> Result<Vec<Waiting>, Error> {
        self.call("unblock", |rows| rows.unblock(ids)).await
    }

    /// As [`leasehold_ports::Jobs::revive`].
    ///
    /// # Errors
    /// As that.
    pub async fn revive(&self, ids: &[JobId]) -> Result<Vec<Revived>, Error> {
        self.call("revive", |rows| rows.revive(ids)).await?.map_err(|id| {
            Error::new(
                "PostgreSQL",
                "reviving jobs",
                Class::Refused,
                format!("the unique key of {id} is taken by a live job"),
            )
        })
    }

    /// As [`leasehold_ports::Jobs::job`].
    ///
    /// # Errors
    /// As that.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        self.call("job", |rows| rows.job(id)).await
    }

    /// As [`leasehold_ports::Jobs::finished`].
    ///
    /// # Errors
    /// As that.
    pub async fn finished(&self, ids: &[JobId]) -> Result<Vec<Finished>, Error> {
        self.call("finished", |rows| rows.finished(ids)).await
    }

    /// As [`leasehold_ports::Jobs::set_priority_step`].
    ///
    /// # Errors
    /// As that.
    pub async fn set_priority_step(&self, queue: &QueueName, step: Duration) -> Result<u64, Error> {
        self.call("set_priority_step", |rows| rows.set_priority_step(queue, step)).await
    }

    /// As [`leasehold_ports::Jobs::purge`].
    ///
    /// # Errors
    /// As that.
    pub async fn purge(&self, queue: &QueueName, limit: i64) -> Result<Vec<JobId>, Error> {
        self.call("purge", |rows| rows.purge(queue, limit)).await
    }

    /// As [`leasehold_ports::ExplainJobs::job_moment`].
    ///
    /// # Errors
    /// As that.
    pub async fn job_moment(&self, id: JobId) -> Result<Option<JobMoment>, Error> {
        self.call("job_moment", |rows| rows.job_moment(id)).await
    }

    /// As [`leasehold_ports::ExplainJobs::position`].
    ///
    /// # Errors
    /// As that.
    pub async fn position(&self, id: JobId, limit: i64) -> Result<Option<i64>, Error> {
        self.call("position", |rows| rows.position(id, limit)).await
    }
}

/// The calls of workers and reapers.
#[expect(missing_docs, reason = "each verb is described at the port of the same name")]
impl MemoryStore {
    pub async fn claim(
        &self,
        worker: WorkerId,
        ids: &[JobId],
        kinds: &Kinds,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        self.call("claim", |rows| rows.claim(worker, ids, kinds, usize::MAX, lease)).await
    }

    pub async fn claim_careful(
        &self,
        worker: WorkerId,
        ids: &[JobId],
        kinds: &Kinds,
        limit: usize,
        lease: Duration,
    ) -> Result<Vec<ClaimedJob>, Error> {
        self.call("claim_careful", |rows| rows.claim(worker, ids, kinds, limit, lease)).await
    }

    pub async fn claim_line(
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

    pub async fn renew(&self, worker: WorkerId, runs: &[Fence], lease: Duration) -> Result<Vec<Renewed>, Error> {
        self.call("renew", |rows| rows.renew(worker, runs, lease)).await
    }

    pub async fn settle(&self, worker: WorkerId, runs: &[FinishedRun]) -> Result<Vec<Settled>, Error> {
        self.call("settle", |rows| rows.settle(worker, runs)).await
    }

    pub async fn defer(&self, ends: &[Deferred]) -> Result<(), Error> {
        let ends = ends.iter().map(|end| (end.run.fence, end.clone()));
        self.call("defer", |rows| rows.deferred.extend(ends)).await
    }

    pub async fn deferred(&self, limit: i64) -> Result<Vec<Deferred>, Error> {
        let limit = usize::try_from(limit).unwrap_or_default();
        self.call("deferred", |rows| rows.deferred.values().take(limit).cloned().collect()).await
    }

    pub async fn deferred_done(&self, runs: &[Fence]) -> Result<(), Error> {
        self.call("deferred_done", |rows| rows.deferred.retain(|fence, _| !runs.contains(fence))).await
    }

    pub async fn look(&self, ids: &[JobId], kinds: &Kinds) -> Result<Vec<JobStatus>, Error> {
        self.call("look", |rows| rows.look(ids, kinds)).await
    }

    pub async fn ping(&self) -> Result<(), Error> {
        self.call("ping", |_| ()).await
    }

    pub async fn uptime(&self) -> Result<Uptime, Error> {
        self.call("uptime", |rows| Uptime {
            now: rows.clock.now(),
            up_for: Duration::from_millis(u64::try_from(rows.clock.ms() - rows.up_since_ms).unwrap_or_default()),
            snapshot: format!("{}:{}", rows.journal.len(), rows.schedule_changes),
            has_deferred: !rows.deferred.is_empty(),
            watched_ago: rows.watched_at.map(|at| (rows.clock.now() - at).to_std().unwrap_or_default()),
        })
        .await
    }

    pub async fn keep_watch(&self) -> Result<(), Error> {
        self.call("keep_watch", |rows| rows.watched_at = Some(rows.clock.now())).await
    }

    /// Ends the runs whose lease ran out, and spares none of them.
    ///
    /// # Errors
    /// The call was lost on its way.
    pub async fn expire(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Expired>, Error> {
        self.call("expire", |rows| rows.expire(limit, since, &[])).await
    }

    /// No row is ever locked here.
    pub async fn expire_except(
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

    pub async fn promote(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Waiting>, Error> {
        self.call("promote", |rows| rows.promote(limit, since)).await
    }

    pub async fn due_schedules(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<DueSchedules, Error> {
        self.call("due_schedules", |rows| rows.due_schedules(limit, since)).await
    }

    pub async fn fire_schedules(&self, fires: &[Fire]) -> Result<Vec<FireOutcome>, Error> {
        self.call("fire_schedules", |rows| fires.iter().map(|fire| rows.fire_schedule(fire)).collect()).await
    }

    pub async fn cancel_wanted(&self, limit: i64) -> Result<Vec<CancelWanted>, Error> {
        self.call("cancel_wanted", |rows| rows.cancel_wanted(limit)).await
    }

    pub async fn paused(&self) -> Result<Vec<QueueName>, Error> {
        self.call("paused", |rows| rows.paused.iter().cloned().collect()).await
    }

    pub async fn survey(&self, queue: Option<&QueueName>) -> Result<Survey, Error> {
        let survey = self.call("survey", |rows| rows.survey(queue)).await?;
        sleep(self.dead_rows).await;
        Ok(Survey { took: self.dead_rows, ..survey })
    }

    pub async fn fingerprint(&self, slices: &[Slice], limit: i64) -> Result<Fingerprints, Error> {
        let answer = self.call("fingerprint", |rows| rows.fingerprint(slices, limit)).await?;
        sleep(self.dead_rows).await;
        Ok(Fingerprints { took: self.dead_rows, ..answer })
    }

    pub async fn survey_slices(&self, slices: &[Slice]) -> Result<Vec<Vec<LineSummary>>, Error> {
        self.call("survey_slices", |rows| slices.iter().map(|slice| rows.survey_slice(slice)).collect()).await
    }

    pub async fn lines(&self, fronts: &[Front]) -> Result<Vec<(Line, Vec<Stretch>)>, Error> {
        self.call("lines", |rows| {
            let line = |front: &Front| rows.line(&front.queue, &front.stretches, i64::from(front.limit));
            fronts.iter().map(line).collect()
        })
        .await
    }

    pub async fn line(
        &self,
        queue: &QueueName,
        stretches: &[Stretch],
        limit: i64,
    ) -> Result<(Line, Vec<Stretch>), Error> {
        self.call("line", |rows| rows.line(queue, stretches, limit)).await
    }

    pub async fn line_after(
        &self,
        queue: &QueueName,
        kinds: &Kinds,
        after: &LinePosition,
        limit: i64,
    ) -> Result<Line, Error> {
        self.call("line_after", |rows| rows.line_after(queue, kinds, after, limit)).await
    }

    pub async fn leases(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Vec<Lease>, Error> {
        self.call("leases", |rows| rows.leases(limit, since)).await
    }

    pub async fn note_repairs(&self, repair: &Repair) -> Result<Vec<JobId>, Error> {
        self.call("note_repairs", |rows| rows.note_repairs(repair)).await
    }

    pub async fn held(&self, worker: WorkerId) -> Result<Vec<Lease>, Error> {
        self.call("held", |rows| rows.held(worker)).await
    }

    /// History is kept, because the judge needs it in the end.
    pub async fn retain(&self, _keep: Duration) -> Result<Retained, Error> {
        self.call("retain", |_| Retained::default()).await
    }
}
