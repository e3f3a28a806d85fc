//! bulk_cancel, bulk_place, bulk_find, bulk_find_finished and bulk_count: the actions of an operator on all jobs that a
//! filter chooses. Each statement handles one page, so that no lock lasts longer than a page.

use crate::{
    connect::Store,
    error::Error,
    place::placed,
    row::{job_id, time, word, worker},
    statement::statement,
};
use chrono::{DateTime, Utc};
use leasehold_core::{BulkCount, BulkFilter, Epoch, JobId, Kind, Place, State};
use leasehold_ports::{Cancelled, Placed};
use sqlx::{
    Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use uuid::Uuid;

const DOING: &str = "changing the jobs of a filter";

/// A filter with everything that a statement needs.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "parameters")]
pub struct Choice<'a> {
    pub filter: &'a BulkFilter,
    /// The states to choose.
    pub states: &'a [State],
    /// Only jobs that were enqueued at this time or before.
    pub until: DateTime<Utc>,
}

/// The result of one statement for a page of the live table.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The jobs that were changed, or found.
    pub done: Vec<T>,
    /// Jobs that the filter chooses, and that other sessions had locked.
    pub locked: Vec<JobId>,
    /// Where the next page begins. `None`: there are no more jobs.
    pub last: Option<(Option<DateTime<Utc>>, JobId)>,
}

impl<'a> Choice<'a> {
    fn bind<'q>(&self, statement: Query<'q, Postgres, PgArguments>) -> Query<'q, Postgres, PgArguments> {
        let states: Vec<&str> = self.states.iter().map(|state| state.as_str()).collect();
        statement
            .bind(self.filter.queue.as_ref().map(|queue| queue.as_str().to_owned()))
            .bind(self.filter.kind.as_ref().map(|kind| Kind::as_str(kind).to_owned()))
            .bind(states.into_iter().map(str::to_owned).collect::<Vec<String>>())
            .bind(self.until)
            .bind(self.filter.error_like.as_ref().map(|text| format!("%{text}%")))
            .bind(self.filter.batch.clone())
    }
}

impl Store {
    /// Cancels the jobs that a filter chooses among the next `limit` live jobs.
    ///
    /// # Errors
    /// The statement failed, and nothing of this page was changed.
    pub async fn bulk_cancel(
        &self,
        choice: &Choice<'_>,
        after: Option<JobId>,
        limit: i64,
    ) -> Result<Page<Cancelled>, Error> {
        self.page(cancel_page(choice, after, limit), cancelled).await
    }

    /// Gives another place to the waiting jobs that a filter chooses among the next `limit` live jobs.
    ///
    /// # Errors
    /// The statement failed, and nothing of this page was changed.
    pub async fn bulk_place(
        &self,
        choice: &Choice<'_>,
        place: &Place,
        after: Option<JobId>,
        limit: i64,
    ) -> Result<Page<Placed>, Error> {
        place.validate()?;
        self.page(place_page(choice, place, after, limit), placed).await
    }

    /// The jobs that a filter chooses among the next `limit` live jobs.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn bulk_find(&self, choice: &Choice<'_>, after: Option<JobId>, limit: i64) -> Result<Page<JobId>, Error> {
        self.page(find_page(choice, after, limit), |row| job_id(row, "id")).await
    }

    /// The jobs that a filter chooses among the next `limit` finished jobs of its state, which is dead or cancelled. `after`
    /// is the job before the page: when it was enqueued, and its id.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn bulk_find_finished(
        &self,
        choice: &Choice<'_>,
        after: (Option<DateTime<Utc>>, Option<JobId>),
        limit: i64,
    ) -> Result<Page<JobId>, Error> {
        let statement = find_finished_page(choice, after, limit);
        let rows = statement.fetch_all(&self.long_statements).await.map_err(Error::sql(DOING))?;
        read_finished(&rows).map_err(Error::sql(DOING))
    }

    /// How many jobs a filter chooses, by queue, kind and state. Reads the live table once.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn bulk_count(&self, choice: &Choice<'_>) -> Result<Vec<BulkCount>, Error> {
        let statement = choice.bind(sqlx::query(statement!("bulk_count")));
        let count = |row: PgRow| {
            let count: i64 = row.try_get("count")?;
            let count = u64::try_from(count).unwrap_or_default();
            Ok(BulkCount::new(row.try_get("queue")?, row.try_get("kind")?, word(&row, "state")?, count))
        };
        let rows = statement.try_map(count).fetch_all(&self.long_statements).await;
        rows.map_err(Error::sql("counting the jobs of a filter"))
    }

    async fn page<T>(
        &self,
        statement: Query<'_, Postgres, PgArguments>,
        decode: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
    ) -> Result<Page<T>, Error> {
        let rows = statement.fetch_all(&self.long_statements).await.map_err(Error::sql(DOING))?;
        read(&rows, decode).map_err(Error::sql(DOING))
    }
}

type Statement<'q> = Query<'q, Postgres, PgArguments>;

pub(crate) fn cancel_page(choice: &Choice<'_>, after: Option<JobId>, limit: i64) -> Statement<'static> {
    choice.bind(sqlx::query(statement!("bulk_cancel"))).bind(uuid_of(after)).bind(limit)
}

pub(crate) fn cancelled(row: &PgRow) -> Result<Cancelled, sqlx::Error> {
    let epoch: Epoch = row.try_get("epoch")?;
    let running = worker(row, "worker")?.map(|worker| (worker, epoch));
    let state = if running.is_some() { State::Running } else { State::Cancelled };
    Ok(Cancelled::new(job_id(row, "id")?, word(row, "queue")?, state, running, true))
}

pub(crate) fn place_page(choice: &Choice<'_>, place: &Place, after: Option<JobId>, limit: i64) -> Statement<'static> {
    let statement = choice.bind(sqlx::query(statement!("bulk_place"))).bind(uuid_of(after)).bind(limit);
    let queue = place.queue().map(|queue| queue.as_str().to_owned());
    statement.bind(place.priority().map(i32::from)).bind(queue)
}

pub(crate) fn find_page(choice: &Choice<'_>, after: Option<JobId>, limit: i64) -> Statement<'static> {
    choice.bind(sqlx::query(statement!("bulk_find"))).bind(uuid_of(after)).bind(limit)
}

pub(crate) fn find_finished_page(
    choice: &Choice<'_>,
    after: (Option<DateTime<Utc>>, Option<JobId>),
    limit: i64,
) -> Statement<'static> {
    let (at, id) = after;
    let statement = choice.bind(sqlx::query(statement!("bulk_find_finished")));
    statement.bind(at.unwrap_or(DateTime::UNIX_EPOCH)).bind(uuid_of(id)).bind(limit)
}

/// Reads the answer of a page of the live table.
pub(crate) fn read<T>(
    rows: &[PgRow],
    decode: impl Fn(&PgRow) -> Result<T, sqlx::Error>,
) -> Result<Page<T>, sqlx::Error> {
    let mut page = Page { done: Vec::new(), locked: Vec::new(), last: None };
    for row in rows {
        match row.try_get("what")? {
            "last" => page.last = Some((None, job_id(row, "id")?)),
            "locked" => page.locked.push(job_id(row, "id")?),
            _ => page.done.push(decode(row)?),
        }
    }
    Ok(page)
}

/// Reads the answer of a page of finished jobs.
pub(crate) fn read_finished(rows: &[PgRow]) -> Result<Page<JobId>, sqlx::Error> {
    let mut page = Page { done: Vec::new(), locked: Vec::new(), last: None };
    for row in rows {
        let (id, at) = (job_id(row, "id")?, time(row, "at")?);
        if row.try_get::<&str, _>("what")? == "last" { page.last = Some((Some(at), id)) } else { page.done.push(id) }
    }
    Ok(page)
}

fn uuid_of(after: Option<JobId>) -> Uuid {
    after.map_or(Uuid::nil(), |id| id.0)
}

/// The id just before this id: a page after it begins with this job.
#[must_use]
pub fn just_before(id: JobId) -> JobId {
    JobId(Uuid::from_u128(id.0.as_u128().saturating_sub(1)))
}
