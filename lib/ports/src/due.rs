//! Work that is due: leases that ran out, scheduled jobs, cancels that a worker must be told about.

use crate::error::Error;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{Epoch, JobId, QueueName, State, WorkerId};
use std::{fmt, time::Duration};

/// A run whose lease ran out.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Expired {
    pub id: JobId,
    pub queue: QueueName,
    /// The job's position in the line, if the job is queued again.
    pub line_at: Option<DateTime<Utc>>,
    pub worker: WorkerId,
    pub epoch: Epoch,
    /// The job's state now: queued, dead or cancelled.
    pub state: State,
}

/// The result of an expire.
#[derive(Clone, Debug, Default)]
pub struct Expiry {
    /// The runs that were ended.
    pub expired: Vec<Expired>,
    /// Running jobs whose lease ran out or is about to run out, and whose rows another transaction has locked: their
    /// workers cannot renew the lease. These jobs did not change.
    pub locked: Vec<JobId>,
}

/// A job that is now in the line, so that its id can be pushed to the head; or that waits for room behind the line.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Waiting {
    pub id: JobId,
    pub queue: QueueName,
    pub line_at: DateTime<Utc>,
    /// `false`: the job waits behind the line, for room of a limit key or in the lane of its fair key. Its id must not be in the head.
    pub is_in_line: bool,
}

/// The result of an admission.
#[derive(Clone, Debug, Default)]
pub struct Admitted {
    /// The jobs that are now in the line.
    pub waiting: Vec<Waiting>,
    /// The last key, or queue, that the call examined; `None`: there are no more.
    pub last_key: Option<String>,
}

/// A waiting job that may not begin any more and that has ended for this reason.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Lapsed {
    pub id: JobId,
    pub queue: QueueName,
    /// The state of the job now: cancelled or dead.
    pub state: State,
}

/// A running job whose worker must be told to stop.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct CancelWanted {
    pub id: JobId,
    pub queue: QueueName,
    pub worker: WorkerId,
    pub epoch: Epoch,
}

/// Scheduled jobs that have come into the line.
#[derive(Clone, Debug, Default)]
pub struct Promoted {
    /// The jobs.
    pub jobs: Vec<Waiting>,
    /// How long after its time each job came into the line, in the order of `jobs`.
    pub lateness: Vec<Duration>,
    /// The time until the next scheduled job is due, if it is due within a minute.
    pub next_in: Option<Duration>,
}

/// A few due jobs of each of some queues that have come into the line.
#[derive(Clone, Debug, Default)]
pub struct Share {
    /// The jobs. `next_in` is not known.
    pub promoted: Promoted,
    /// How many queues were read.
    pub queues: i64,
    /// The last of these queues.
    pub last: Option<QueueName>,
}

/// Work that becomes due by the database's clock.
#[async_trait]
pub trait DueJobs: fmt::Debug + Send + Sync {
    /// Ends up to `limit` runs whose lease ran out: all such runs, or only those whose lease ended at or after `since`.
    /// Skips `spared` jobs. Also reports the locked rows, including those whose lease runs out within `soon`.
    async fn expire_except(
        &self,
        limit: i64,
        since: Option<DateTime<Utc>>,
        spared: &[JobId],
        soon: Duration,
    ) -> Result<Expiry, Error>;

    /// Moves up to `limit` due scheduled jobs into the line, the oldest first: from all jobs, or only from the jobs that became
    /// due at or after `since`.
    async fn promote(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<Promoted, Error>;

    /// Moves up to `limit` due scheduled jobs of each of the next `queues` queues after the queue `after` into the line.
    async fn promote_share(&self, limit: i64, after: Option<&QueueName>, queues: i64) -> Result<Share, Error>;

    /// Applies the changes of limits that transactions have asked for. Waits for the claims of jobs with limit keys that are under
    /// way. False: they took too long, and a later call tries again.
    async fn apply_limits(&self) -> Result<bool, Error>;

    /// Brings jobs that wait for room of limit keys back into the line, if their keys have room: of up to `keys` keys after this
    /// key, up to `limit` jobs for each queue and kind.
    async fn admit_next(&self, after: &str, keys: i32, limit: i32) -> Result<Admitted, Error>;

    /// The same for the keys whose next token comes soon. Its cost does not depend on the number of keys without a token.
    async fn admit_tokens(&self, limit: i32) -> Result<Vec<Waiting>, Error>;

    /// Brings parked jobs with fair keys into the line, in the order of fair shares: of up to `queues` queues after this queue.
    /// `last_key` of the answer is the last of these queues.
    async fn admit_fair_next(&self, after: &str, queues: i32) -> Result<Admitted, Error>;

    /// Tells the remaining children of up to `limit` ended parents, among the parents that were noted until `until`. Returns the
    /// children that are now in the line.
    async fn tell_children(&self, limit: i64, until: DateTime<Utc>) -> Result<Vec<Waiting>, Error>;

    /// Ends up to `limit` waiting jobs that may not begin any more: cancelled, if they have expired; dead, if their time for
    /// retries has ended.
    async fn lapse(&self, limit: i64) -> Result<Vec<Lapsed>, Error>;

    /// Enqueues the callback jobs of sealed batches whose first job is dead or whose jobs have all ended, each once. Returns
    /// these jobs.
    async fn end_batches(&self, limit: i64) -> Result<Vec<Waiting>, Error>;

    /// Puts up to `limit` running jobs back into the line that no HTTP worker has received: their server died before it wrote the
    /// answer. No attempt is spent.
    async fn release_undelivered(&self, limit: i64) -> Result<Vec<Waiting>, Error>;

    /// Running jobs whose workers must be told to stop.
    async fn cancel_wanted(&self, limit: i64) -> Result<Vec<CancelWanted>, Error>;
}
