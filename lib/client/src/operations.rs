//! Bulk changes that servers execute in the background. Each operation is a row in PostgreSQL with a cursor. A server takes the
//! operation on a lease, and changes one page after another. If the server dies, another server continues after the last page.
//! The pages are the pages of [`Bulk`].

use crate::{
    Bulk, BulkCursor, Client, Error,
    bulk::{LOCKED_FOR, LOCKED_PAUSE, PAGE, Part},
};
use chrono::{DateTime, Utc};
use leasehold_core::{BulkAction, BulkFilter, JobId, Kind, QueueName, State, WorkerId};
use leasehold_store::{NewOperation, OperationFence, OperationPage, PageEnd, PageOutcome, PageWork};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long a server keeps an operation without a renewal. A page takes a tenth of a second.
const LEASE: Duration = Duration::from_secs(15);
/// The number of jobs that one transaction revives.
const REVIVED_PAGE: i64 = 500;
/// Locked jobs that are tried again in one transaction.
const TRIED_AT_ONCE: usize = 1_000;
/// The most locked jobs that are remembered.
const LOCKED_MAX: usize = 10_000;

/// The conditions, as they are stored and shown. The age of the jobs is in the cursor too: there it is a time.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Conditions {
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<QueueName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    state: Vec<State>,
    #[serde(skip_serializing_if = "Option::is_none")]
    older_than_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_like: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    batch: Option<String>,
}

impl From<&BulkFilter> for Conditions {
    fn from(filter: &BulkFilter) -> Self {
        Self {
            queue: filter.queue.clone(),
            kind: filter.kind.clone(),
            state: filter.states.clone(),
            older_than_s: filter.older_than.map(|age| age.as_secs()),
            error_like: filter.error_like.clone(),
            batch: filter.batch.clone(),
        }
    }
}

impl From<Conditions> for BulkFilter {
    fn from(stored: Conditions) -> Self {
        Self::default().with(|filter| {
            (filter.queue, filter.kind, filter.states) = (stored.queue, stored.kind, stored.state);
            filter.older_than = stored.older_than_s.map(Duration::from_secs);
            (filter.error_like, filter.batch) = (stored.error_like, stored.batch);
        })
    }
}

/// An operation that this process works on.
#[derive(Debug)]
pub struct OperationRun {
    fence: OperationFence,
    bulk: Bulk,
    is_counted: bool,
}

/// The result of a step of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationStep {
    /// There are more pages.
    More,
    /// All jobs were read. This number of them are locked by other sessions and were not changed.
    Complete {
        /// The locked jobs.
        locked: usize,
    },
    /// Somebody wants the operation to stop.
    CancelWanted,
    /// Another server has the operation.
    Lost,
}

impl OperationRun {
    /// The id of the operation.
    #[must_use]
    pub const fn id(&self) -> Uuid {
        self.fence.id
    }

    /// The work of the next page; `None`: only locked jobs are left.
    fn work(&self) -> Option<PageWork> {
        let cursor = self.bulk.cursor();
        let after = cursor.after;
        Some(match (&self.bulk.action, self.bulk.part()?) {
            (BulkAction::Cancel, Part::Live) => PageWork::Cancel { after },
            (BulkAction::Place(place), Part::Live) => PageWork::Place { place: place.clone(), after },
            (BulkAction::Retry, Part::Live) => PageWork::Hurry { after },
            (BulkAction::Retry, Part::Finished(_)) => PageWork::Revive { after: (cursor.after_at, after) },
            (BulkAction::Cancel | BulkAction::Place(_), Part::Finished(_)) => PageWork::Nothing,
        })
    }

    /// Tries these jobs again, which were locked before.
    fn again(&self, ids: Vec<JobId>) -> PageWork {
        match &self.bulk.action {
            BulkAction::Cancel => PageWork::CancelThese(ids),
            BulkAction::Place(place) => PageWork::PlaceThese(place.clone(), ids),
            BulkAction::Retry => PageWork::ReviveThese(ids),
        }
    }

    fn page(&self, work: PageWork) -> OperationPage {
        let states = match (&work, self.bulk.part()) {
            (PageWork::Revive { .. }, Some(Part::Finished(state))) => vec![state],
            _ => self.bulk.states.clone(),
        };
        let limit = if self.bulk.action == BulkAction::Retry { REVIVED_PAGE } else { PAGE };
        OperationPage { filter: self.bulk.filter.clone(), states, until: self.bulk.cursor().until, work, limit }
    }
}

impl Client {
    /// Begins a change of all jobs that a filter chooses and that have been enqueued up to now. Servers do the work. `None`: too many
    /// operations are open.
    ///
    /// # Errors
    /// [`Error::Bulk`] if the filter cannot be used, or PostgreSQL fails.
    pub async fn new_operation(
        &self,
        action: BulkAction,
        filter: BulkFilter,
        actor: &str,
    ) -> Result<Option<Uuid>, Error> {
        let conditions = text(&Conditions::from(&filter))?;
        let bulk = self.bulk(action.clone(), filter).await?;
        let new = NewOperation { action: &action, filter: conditions, actor, cursor: text(bulk.cursor())? };
        Ok(self.bulk_store()?.new_operation(&new).await?)
    }

    /// Takes an operation that no server works on, for this server.
    ///
    /// # Errors
    /// PostgreSQL fails, or the row is from another version of this program and cannot be read.
    pub async fn take_operation(&self, server: WorkerId) -> Result<Option<OperationRun>, Error> {
        let Some(taken) = self.bulk_store()?.take_operation(server, LEASE).await? else { return Ok(None) };
        let (filter, cursor): (Conditions, _) = (read(&taken.filter)?, read(&taken.cursor)?);
        let mut bulk = self.resume_bulk(taken.action, filter.into(), cursor).await?;
        bulk.locked = taken.locked;
        Ok(Some(OperationRun { fence: taken.fence, bulk, is_counted: taken.is_counted }))
    }

    /// Does the next part of an operation: one page.
    ///
    /// # Errors
    /// PostgreSQL fails. The pages before are done. The call can be repeated until the lease runs out.
    pub async fn operation_step(&self, run: &mut OperationRun) -> Result<OperationStep, Error> {
        if !run.is_counted {
            let total = self.bulk_counts(&run.bulk).await?.iter().map(|count| count.count).sum();
            run.is_counted = true;
            let is_ours = self.bulk_store()?.count_operation(run.fence, total, LEASE).await?;
            return Ok(if is_ours { OperationStep::More } else { OperationStep::Lost });
        }
        match run.work() {
            Some(work) => {
                let next = run.bulk.clone();
                let kept = run.bulk.locked.clone();
                self.page(run, work, kept, move |last| next.after(last)).await
            }
            None => self.try_locked_again(run).await,
        }
    }

    /// Changes one page. `kept`: the jobs that are locked already. `next`: the cursor behind the page.
    async fn page(
        &self,
        run: &mut OperationRun,
        work: PageWork,
        kept: Vec<JobId>,
        next: impl Fn(Option<Last>) -> BulkCursor + Clone + Send + 'static,
    ) -> Result<OperationStep, Error> {
        let (write, mut locked) = (next.clone(), kept.clone());
        let page = run.page(work);
        let done = self.bulk_store()?.operation_page(run.fence, LEASE, page, move |done| {
            locked.extend(&done.locked);
            // A cursor is a small object, which can always be written.
            PageEnd { cursor: serde_json::to_string(&write(done.last)).unwrap_or_default(), locked }
        });
        let done = match done.await? {
            PageOutcome::Done(done) => done,
            PageOutcome::CancelWanted => return Ok(OperationStep::CancelWanted),
            PageOutcome::Lost => return Ok(OperationStep::Lost),
        };
        run.bulk.cursor = next(done.last);
        run.bulk.locked = kept;
        run.bulk.locked.extend(&done.locked);
        self.tell_of_cancels(&done.cancelled).await;
        self.tell_of_places(&done.placed).await;
        self.tell_of_revived(&done.revived).await;
        let is_full = run.bulk.locked.len() > LOCKED_MAX;
        Ok(if is_full { OperationStep::Complete { locked: run.bulk.locked.len() } } else { OperationStep::More })
    }

    /// Tries jobs again that other sessions had locked.
    async fn try_locked_again(&self, run: &mut OperationRun) -> Result<OperationStep, Error> {
        let since = *run.bulk.locked_since.get_or_insert_with(Instant::now);
        let locked = run.bulk.locked.len();
        if locked == 0 || since.elapsed() >= LOCKED_FOR {
            return Ok(OperationStep::Complete { locked });
        }
        tokio::time::sleep(LOCKED_PAUSE).await;
        let (tried, left) = run.bulk.locked.split_at(locked.min(TRIED_AT_ONCE));
        let (tried, left, cursor) = (tried.to_vec(), left.to_vec(), run.bulk.cursor.clone());
        let work = run.again(tried);
        let step = self.page(run, work, left, move |_| cursor.clone()).await?;
        if run.bulk.locked.len() < locked {
            // The other sessions make progress: another operation may change the same jobs.
            run.bulk.locked_since = None;
        }
        Ok(step)
    }

    /// Ends an operation, or gives it back so that another server continues it.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn end_operation(&self, run: &OperationRun, end: OperationEnd<'_>) -> Result<(), Error> {
        let (state, reason) = match end {
            OperationEnd::Done => ("done", None),
            OperationEnd::Cancelled => ("cancelled", None),
            OperationEnd::Failed(reason) => ("failed", Some(reason)),
            OperationEnd::GivenBack => ("waiting", None),
        };
        self.bulk_store()?.end_operation(run.fence, state, reason).await?;
        Ok(())
    }
}

type Last = (Option<DateTime<Utc>>, JobId);

/// The end of this server's work on an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationEnd<'a> {
    /// All jobs were changed.
    Done,
    /// Somebody has stopped it.
    Cancelled,
    /// It cannot continue, for this reason.
    Failed(&'a str),
    /// Another server continues it.
    GivenBack,
}

/// The text of a stored value. A row that cannot be read is from another version of this program.
fn text(value: &impl Serialize) -> Result<String, Error> {
    serde_json::to_string(value).map_err(Error::Operation)
}

fn read<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text).map_err(Error::Operation)
}
