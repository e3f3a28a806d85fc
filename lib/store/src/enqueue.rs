//! enqueue: jobs into the store, each exactly once however often it is sent.

use crate::{
    bounded::Bounded,
    connect::Store,
    error::Error,
    row::{job_id, millis, word},
};
use chrono::{DateTime, Utc};
use leasehold_core::{BATCH_MAX, JobId, NewJob, State};
use serde::Serialize;
use sqlx::{PgConnection, Postgres, Row, postgres::PgArguments, postgres::PgRow, query::Query};
use std::collections::HashMap;
use uuid::Uuid;

const ENQUEUE: &str = include_str!("../sql/enqueue.sql");
const ENQUEUE_NEW: &str = include_str!("../sql/enqueue_new.sql");
const ENQUEUE_CHECKED: &str = include_str!("../sql/enqueue_checked.sql");
const DOING: &str = "enqueueing jobs";

/// How often a statement that the server rolled back for others' sake is sent. Each time somebody got on, so two
/// batches need two; more only when many meet at once.
const TRIES: u32 = 5;

/// The SQLSTATE of a row that another one is in the way of.
const UNIQUE_VIOLATION: &str = "23505";

/// The answer to one enqueued job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Enqueued {
    /// The job's id: the one sent, or that of the job which was there already.
    pub id: JobId,
    /// Whether this call made it.
    pub inserted: bool,
    /// Its state.
    pub state: State,
}

impl Store {
    /// Validates and enqueues; answers in the order of `jobs`. Sent in batches of `BATCH_MAX`; sending again by id when
    /// the outcome of a statement is unknown is the caller's business (`id_may_exist`).
    ///
    /// # Errors
    /// [`Error::Invalid`] before anything is sent, or that a statement failed: batches before it were accepted.
    pub async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        jobs.iter().try_for_each(NewJob::validate)?;
        let mut answers = Vec::with_capacity(jobs.len());
        for batch in jobs.chunks(BATCH_MAX) {
            answers.extend(enqueue_batch(&mut Way::Ours(&self.bounded), batch).await?);
        }
        Ok(answers)
    }

    /// The same inside the caller's transaction. A job whose id may exist already (`id_may_exist`) needs one that is
    /// `READ COMMITTED`.
    ///
    /// # Errors
    /// As [`Store::enqueue`]. After an error of the server the transaction can only be rolled back.
    pub async fn enqueue_in(connection: &mut PgConnection, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        jobs.iter().try_for_each(NewJob::validate)?;
        let mut answers = Vec::with_capacity(jobs.len());
        for batch in jobs.chunks(BATCH_MAX) {
            answers.extend(enqueue_batch(&mut Way::Callers(connection), batch).await?);
        }
        Ok(answers)
    }
}

/// Through which statements go.
enum Way<'a> {
    /// Each is a transaction.
    Ours(&'a Bounded),
    /// All belong to the transaction of the caller.
    Callers(&'a mut PgConnection),
}

/// One statement for jobs whose ids are new; a second one for the others, and for those that the first found
/// something in the way of.
async fn enqueue_batch(way: &mut Way<'_>, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
    let mut answers: Vec<Option<Enqueued>> = vec![None; jobs.len()];
    let fresh: Vec<usize> = (0..jobs.len()).filter(|&nth| !jobs[nth].id_may_exist).collect();
    if !fresh.is_empty() {
        let mut inserted = HashMap::with_capacity(fresh.len());
        for row in insert(way, jobs, &fresh).await? {
            let decoded = job_id(&row, "id").and_then(|id| Ok((id, word(&row, "state")?)));
            let (id, state) = decoded.map_err(Error::sql(DOING))?;
            inserted.insert(id, state);
        }
        for nth in fresh {
            let id = jobs[nth].id;
            // Removed, since a second job of the same id in the batch was not inserted.
            answers[nth] = inserted.remove(&id).map(|state| Enqueued { id, inserted: true, state });
        }
    }
    let rest: Vec<usize> = (0..jobs.len()).filter(|&nth| answers[nth].is_none()).collect();
    if !rest.is_empty() {
        let accepted = jobs.len() - rest.len();
        let rows = send(way, ENQUEUE_CHECKED, jobs, &rest).await;
        let rows = rows.map_err(|error| match way {
            // What the first statement wrote stands: a caller that is told of a refusal would believe that nothing does.
            Way::Ours(_) if accepted > 0 => Error::InPart { accepted, source: Box::new(error) },
            _ => error,
        })?;
        for row in rows {
            let (nth, answer) = checked(&row).map_err(Error::sql(DOING))?;
            if let Some(&nth) = rest.get(nth) {
                answers[nth] = Some(answer);
            }
        }
    }
    let answers: Option<Vec<Enqueued>> = answers.into_iter().collect();
    answers.ok_or_else(|| Error::sql(DOING)(sqlx::Error::RowNotFound))
}

/// Those of `jobs` whose ids are new, in the cheaper way if there is one. It fails where something is in the way after all,
/// which would leave the caller a transaction that can only be rolled back.
async fn insert(way: &mut Way<'_>, jobs: &[NewJob], fresh: &[usize]) -> Result<Vec<PgRow>, Error> {
    let is_free = matches!(way, Way::Ours(_)) && fresh.iter().all(|&nth| jobs[nth].unique_key.is_none());
    if is_free {
        match send(way, ENQUEUE_NEW, jobs, fresh).await {
            Err(error) if error.code().as_deref() == Some(UNIQUE_VIOLATION) => {}
            answer => return answer,
        }
    }
    send(way, ENQUEUE, jobs, fresh).await
}

async fn send(
    way: &mut Way<'_>,
    statement: &'static str,
    jobs: &[NewJob],
    which: &[usize],
) -> Result<Vec<PgRow>, Error> {
    let mut tried = 1;
    loop {
        let query = bound(statement, which.iter().map(|&nth| &jobs[nth]));
        let sent = match way {
            Way::Ours(bounded) => query.fetch_all(*bounded).await,
            // Without a name: the caller's connection may lead through a pooler, whatever ours does.
            Way::Callers(connection) => {
                return query.persistent(false).fetch_all(&mut **connection).await.map_err(Error::sql(DOING));
            }
        };
        match sent.map_err(Error::sql(DOING)) {
            Err(error) if error.is_rolled_back() && tried < TRIES => tried += 1,
            answer => return answer,
        }
    }
}

/// One array a column.
fn bound<'a>(
    statement: &'static str,
    jobs: impl Iterator<Item = &'a NewJob> + Clone,
) -> Query<'a, Postgres, PgArguments> {
    fn column<'a, T>(jobs: impl Iterator<Item = &'a NewJob> + Clone, of: impl Fn(&'a NewJob) -> T) -> Vec<T> {
        jobs.map(of).collect()
    }
    let timeout_ms = |job: &NewJob| job.timeout.map(|timeout| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX));
    sqlx::query(statement)
        .bind(column::<Uuid>(jobs.clone(), |job| job.id.0))
        .bind(column(jobs.clone(), |job| job.queue.as_str()))
        .bind(column(jobs.clone(), |job| job.kind.as_str()))
        .bind(column(jobs.clone(), |job| job.payload.get()))
        .bind(column(jobs.clone(), |job| job.priority))
        .bind(column::<Option<DateTime<Utc>>>(jobs.clone(), |job| job.run_at))
        .bind(column(jobs.clone(), |job| job.delay.map(millis)))
        .bind(column(jobs.clone(), |job| job.max_attempts))
        .bind(column(jobs.clone(), |job| job.max_crashes))
        .bind(column(jobs.clone(), timeout_ms))
        .bind(column(jobs.clone(), |job| job.unique_key.as_deref()))
        .bind(column(jobs, |job| job.limit_key.as_deref()))
}

/// Which of the jobs sent, from 0, and its answer.
fn checked(row: &PgRow) -> Result<(usize, Enqueued), sqlx::Error> {
    let nth: i64 = row.try_get("nth")?;
    let answer = Enqueued { id: job_id(row, "id")?, inserted: row.try_get("inserted")?, state: word(row, "state")? };
    Ok((usize::try_from(nth - 1).unwrap_or(usize::MAX), answer))
}
