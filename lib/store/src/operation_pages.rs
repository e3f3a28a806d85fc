//! operation_hold and operation_advance: one page of an operation. The page, the cursor after it and its counts are one
//! transaction, which begins with the check of the fence. So a page is done and counted exactly once, even if a server dies. A
//! server whose operation another server has taken over changes nothing.

use crate::{
    bulk::{
        Choice, cancel_page, cancelled, find_finished_page, find_page, just_before, place_page, read, read_finished,
    },
    connect::Store,
    error::Error,
    locked::{BATCH_LOCK_TIMEOUT, SINGLE_LOCK_TIMEOUT},
    operations::OperationFence,
    place::placed,
    revive,
    row::{job_id, millis, uuids},
};
use chrono::{DateTime, Utc};
use leasehold_core::{BulkFilter, JobId, Place, State};
use leasehold_ports::{Cancelled, Placed, Revived};
use sqlx::{Acquire, PgConnection, Row, postgres::PgRow};
use std::{collections::HashSet, time::Duration};

const DOING: &str = "changing a page of an operation";
/// The answer timeout of a page. A page may wait for locks of jobs to revive, for a moment each.
const WITHIN: Duration = Duration::from_secs(120);

/// A page to change.
#[derive(Clone, Debug)]
pub struct OperationPage {
    /// The conditions.
    pub filter: BulkFilter,
    /// The states to choose.
    pub states: Vec<State>,
    /// Only jobs that were enqueued at this time or before.
    pub until: DateTime<Utc>,
    /// The action.
    pub work: PageWork,
    /// How many jobs the page reads.
    pub limit: i64,
}

/// The action on a page.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the job before the page")]
pub enum PageWork {
    /// Cancels live jobs.
    Cancel { after: Option<JobId> },
    /// Gives live jobs another place.
    Place { place: Place, after: Option<JobId> },
    /// Makes scheduled jobs due.
    Hurry { after: Option<JobId> },
    /// Revives finished jobs of one state.
    Revive { after: (Option<DateTime<Utc>>, Option<JobId>) },
    /// Cancels these jobs, which were locked.
    CancelThese(Vec<JobId>),
    /// Gives these jobs another place; they were locked.
    PlaceThese(Place, Vec<JobId>),
    /// Revives these jobs, which were locked.
    ReviveThese(Vec<JobId>),
    /// Changes nothing. The cursor moves.
    Nothing,
}

/// The result of a page.
#[derive(Clone, Debug, Default)]
pub struct PageDone {
    /// Jobs that were cancelled, and running jobs whose workers must be told to stop.
    pub cancelled: Vec<Cancelled>,
    /// Jobs that have another place.
    pub placed: Vec<Placed>,
    /// Jobs that are in the line.
    pub revived: Vec<Revived>,
    /// Jobs whose unique key a live job has.
    pub taken: usize,
    /// Jobs that other sessions have locked.
    pub locked: Vec<JobId>,
    /// The last job that was read. `None`: there are no more jobs.
    pub last: Option<(Option<DateTime<Utc>>, JobId)>,
}

/// The state of the operation that is written after a page.
#[derive(Clone, Debug)]
pub struct PageEnd {
    /// The cursor of the operation, as JSON.
    pub cursor: String,
    /// All jobs that are locked.
    pub locked: Vec<JobId>,
}

/// How a page has ended.
#[derive(Clone, Debug)]
pub enum PageOutcome {
    /// The page is done.
    Done(PageDone),
    /// Somebody has cancelled the operation. Nothing was changed.
    CancelWanted,
    /// Another server has the operation, or it has ended. Nothing was changed.
    Lost,
}

impl Store {
    /// Changes one page, and writes the state that `end` computes from the result, in one transaction. Renews the lease.
    ///
    /// # Errors
    /// A statement failed, and nothing was changed, unless the answer to the commit was lost: then the next call with the same
    /// fence must first read the row.
    pub async fn operation_page(
        &self,
        of: OperationFence,
        lease: Duration,
        page: OperationPage,
        end: impl FnOnce(&PageDone) -> PageEnd + Send + 'static,
    ) -> Result<PageOutcome, Error> {
        let store = self.clone();
        let work = async move { store.change_page(of, lease, &page, end).await };
        self.to_its_end(DOING, WITHIN, work).await
    }

    async fn change_page(
        &self,
        of: OperationFence,
        lease: Duration,
        page: &OperationPage,
        end: impl FnOnce(&PageDone) -> PageEnd + Send,
    ) -> Result<PageOutcome, Error> {
        let mut transaction = self.transaction(DOING).await?;
        let held = sqlx::query(include_str!("../sql/operation_hold.sql"))
            .bind(of.id)
            .bind(of.worker.0)
            .bind(of.epoch)
            .bind(millis(lease))
            .persistent(false)
            .try_map(|row: PgRow| row.try_get::<bool, _>("cancel_wanted"))
            .fetch_optional(&mut *transaction)
            .await
            .map_err(Error::sql(DOING))?;
        let refused = match held {
            None => Some(PageOutcome::Lost),
            Some(true) => Some(PageOutcome::CancelWanted),
            Some(false) => None,
        };
        if let Some(refused) = refused {
            transaction.rollback().await.map_err(Error::sql(DOING))?;
            return Ok(refused);
        }
        let done = change(&mut transaction, page).await?;
        let PageEnd { cursor, locked } = end(&done);
        let running = done.cancelled.iter().filter(|job| job.running.is_some()).count();
        let changed = done.cancelled.len() - running + done.placed.len() + done.revived.len();
        let count = |jobs: usize| i64::try_from(jobs).unwrap_or(i64::MAX);
        sqlx::query(include_str!("../sql/operation_advance.sql"))
            .bind(of.id)
            .bind(of.worker.0)
            .bind(of.epoch)
            .bind(cursor)
            .bind(uuids(&locked))
            .bind(count(changed))
            .bind(count(running))
            .bind(count(done.taken))
            .persistent(false)
            .fetch_one(&mut *transaction)
            .await
            .map_err(Error::sql(DOING))?;
        transaction.commit().await.map_err(Error::sql(DOING))?;
        Ok(PageOutcome::Done(done))
    }
}

async fn change(connection: &mut PgConnection, page: &OperationPage) -> Result<PageDone, Error> {
    const REVIVED: &[State] = &[State::Scheduled];
    let of = |states| Choice { filter: &page.filter, states, until: page.until };
    let choice = of(&page.states);
    let mut done = PageDone::default();
    match &page.work {
        PageWork::Cancel { after } => cancel(connection, &choice, *after, page.limit, &mut done).await?,
        PageWork::Place { place, after } => {
            give_place(connection, &choice, place, *after, page.limit, &mut done).await?;
        }
        PageWork::CancelThese(ids) => {
            for id in ids {
                cancel(connection, &choice, Some(just_before(*id)), 1, &mut done).await?;
            }
        }
        PageWork::PlaceThese(place, ids) => {
            for id in ids {
                give_place(connection, &choice, place, Some(just_before(*id)), 1, &mut done).await?;
            }
        }
        PageWork::Hurry { after } => {
            let rows = find_page(&of(REVIVED), *after, page.limit).persistent(false).fetch_all(&mut *connection).await;
            let found = rows.and_then(|rows| read(&rows, |row| job_id(row, "id"))).map_err(Error::sql(DOING))?;
            done.last = found.last;
            revive_all(connection, found.done, &mut done).await?;
        }
        PageWork::Revive { after } => {
            let rows = find_finished_page(&choice, *after, page.limit).persistent(false);
            let rows = rows.fetch_all(&mut *connection).await;
            let found = rows.and_then(|rows| read_finished(&rows)).map_err(Error::sql(DOING))?;
            done.last = found.last;
            revive_all(connection, found.done, &mut done).await?;
        }
        PageWork::ReviveThese(ids) => revive_all(connection, ids.clone(), &mut done).await?,
        PageWork::Nothing => {}
    }
    Ok(done)
}

async fn cancel(
    connection: &mut PgConnection,
    choice: &Choice<'_>,
    after: Option<JobId>,
    limit: i64,
    done: &mut PageDone,
) -> Result<(), Error> {
    let rows = cancel_page(choice, after, limit).persistent(false).fetch_all(connection).await;
    let page = rows.and_then(|rows| read(&rows, cancelled)).map_err(Error::sql(DOING))?;
    done.cancelled.extend(page.done);
    done.locked.extend(page.locked);
    done.last = page.last;
    Ok(())
}

async fn give_place(
    connection: &mut PgConnection,
    choice: &Choice<'_>,
    place: &Place,
    after: Option<JobId>,
    limit: i64,
    done: &mut PageDone,
) -> Result<(), Error> {
    let rows = place_page(choice, place, after, limit).persistent(false).fetch_all(connection).await;
    let page = rows.and_then(|rows| read(&rows, placed)).map_err(Error::sql(DOING))?;
    done.placed.extend(page.done);
    done.locked.extend(page.locked);
    done.last = page.last;
    Ok(())
}

/// Revives these jobs. Jobs that are locked, or whose unique key is taken, stop no other job: a savepoint undoes only their part.
async fn revive_all(connection: &mut PgConnection, ids: Vec<JobId>, done: &mut PageDone) -> Result<(), Error> {
    let mut left = ids;
    while !left.is_empty() {
        let Some(rows) = try_to_revive(connection, &left, BATCH_LOCK_TIMEOUT).await? else {
            for id in left {
                match try_to_revive(connection, &[id], SINGLE_LOCK_TIMEOUT).await? {
                    None => done.locked.push(id),
                    Some(rows) => {
                        done.taken += rows.iter().filter(|(_, job)| job.is_none()).count();
                        done.revived.extend(rows.into_iter().filter_map(|(_, job)| job));
                    }
                }
            }
            return Ok(());
        };
        let taken: HashSet<JobId> = rows.iter().filter(|(_, job)| job.is_none()).map(|(id, _)| *id).collect();
        done.revived.extend(rows.into_iter().filter_map(|(_, job)| job));
        if taken.is_empty() {
            return Ok(());
        }
        left.retain(|id| !taken.contains(id));
        done.taken += taken.len();
    }
    Ok(())
}

type Rows = Vec<(JobId, Option<Revived>)>;

/// `None`: another session has locked one of the jobs, or takes its unique key. Nothing was changed.
async fn try_to_revive(
    connection: &mut PgConnection,
    ids: &[JobId],
    lock_timeout: &str,
) -> Result<Option<Rows>, Error> {
    let mut savepoint = connection.begin().await.map_err(Error::sql(DOING))?;
    let statement = revive::statement(ids, lock_timeout).persistent(false);
    let rows =
        statement.try_map(|row| revive::decode(&row)).fetch_all(&mut *savepoint).await.map_err(Error::sql(DOING));
    match rows {
        Ok(rows) => {
            savepoint.commit().await.map_err(Error::sql(DOING))?;
            Ok(Some(rows))
        }
        Err(error) if error.may_be_locked() || error.code().as_deref() == Some("23505") => {
            savepoint.rollback().await.map_err(Error::sql(DOING))?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
