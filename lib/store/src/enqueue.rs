//! enqueue: inserts jobs, each exactly once, no matter how often a job is sent.

use crate::{
    connect::Store,
    error::Error,
    graphs::Others,
    held::{ENQUEUE_JOBS, what_of},
    job_words,
    locked::{BATCH_LOCK_TIMEOUT, Lockable, Tries, retry_locked},
    locked_out::{Locked, LockedOut},
    row::{job_id, line_at, line_at_if_any, millis, word},
};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use leasehold_core::{BATCH_MAX, NewJob, State};
use leasehold_ports::Enqueued;
use sqlx::{PgConnection, Postgres, Row, postgres::PgArguments, postgres::PgRow, query::Query};
use std::{
    collections::{BTreeSet, HashMap},
    time::Instant,
};
use uuid::Uuid;

const ENQUEUE: &str = include_str!("../sql/enqueue.sql");
const ENQUEUE_NEW: &str = include_str!("../sql/enqueue_new.sql");
const ENQUEUE_CHECKED: &str = include_str!("../sql/enqueue_checked.sql");
const ENQUEUE_UNLESS_HELD: &str = include_str!("../sql/enqueue_unless_held.sql");
/// Supports all fields of a job. The other statements support only the fields of plain jobs, and cost less.
const DOING: &str = "enqueueing jobs";

/// How many times a statement is sent when the server rolls it back because of a conflict. In each conflict one of the
/// transactions succeeds, so two batches need two attempts. More are needed only when many batches conflict at the same
/// time.
const TRIES: u32 = 5;

/// The SQLSTATE of a conflict with another row (`unique_violation`).
const UNIQUE_VIOLATION: &str = "23505";

impl Store {
    /// Validates and enqueues jobs in batches of `BATCH_MAX`. Results are in the order of `jobs`. When the outcome of a
    /// statement is unknown, the caller must send the jobs again, with the same ids and `id_may_exist`.
    ///
    /// # Errors
    /// [`Error::Invalid`] before anything is sent. [`Error::Locked`] when open transactions of other sessions hold ids
    /// or unique keys for longer than `lock_timeout`; all other jobs were accepted. Or a statement failed; the batches
    /// before it were accepted.
    pub async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        jobs.iter().try_for_each(NewJob::validate)?;
        match self.enqueue_encrypted(&self.encrypted(jobs).await?).await {
            // The answer reports jobs that were accepted before as existing jobs.
            Err(error) if self.learns_of_a_queue(&error) => self.enqueue_encrypted(&self.encrypted(jobs).await?).await,
            answers => answers,
        }
    }

    /// The jobs must be in the form for PostgreSQL: encrypted, if their queues ask for it.
    async fn enqueue_encrypted(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut locked = Vec::new();
        for batch in jobs.chunks(BATCH_MAX) {
            let first = answers.len();
            let sent = match Dependents::of(batch) {
                Some(sent) => sent.answers(self.enqueue_together(&sent.jobs, Others::Enqueued).await),
                None => enqueue_batch(&mut Target::Pool(self), batch).await,
            };
            let (batch_answers, held) = sent.map_err(|error| match error {
                Error::InPart { answers: of_batch, source } => {
                    Error::InPart { answers: answers.iter().cloned().chain(of_batch).collect(), source }
                }
                error => error,
            })?;
            answers.extend(batch_answers);
            locked.extend(held.into_iter().map(|held| Locked { nth: first + held.nth, ..held }));
        }
        complete(answers, locked)
    }

    /// The same inside the caller's transaction. A job whose id may already exist (`id_may_exist`) needs the isolation
    /// level `READ COMMITTED`.
    ///
    /// # Errors
    /// See [`Store::enqueue`]. After an error of the server the transaction can only be rolled back.
    pub async fn enqueue_within(&self, connection: &mut PgConnection, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        jobs.iter().try_for_each(NewJob::validate)?;
        let answers = Self::enqueue_encrypted_in(connection, &self.encrypted(jobs).await?).await;
        // The caller's next transaction succeeds.
        answers.inspect_err(|error| {
            self.learns_of_a_queue(error);
        })
    }

    /// The same without keys: no payload is encrypted.
    ///
    /// # Errors
    /// See [`Store::enqueue_within`].
    pub async fn enqueue_in(connection: &mut PgConnection, jobs: &[NewJob]) -> Result<Vec<Enqueued>, Error> {
        jobs.iter().try_for_each(NewJob::validate)?;
        Self::enqueue_encrypted_in(connection, jobs).await
    }

    /// The jobs must be in the form for PostgreSQL: encrypted, if their queues ask for it.
    pub(crate) async fn enqueue_encrypted_in(
        connection: &mut PgConnection,
        jobs: &[NewJob],
    ) -> Result<Vec<Enqueued>, Error> {
        let mut answers = Vec::with_capacity(jobs.len());
        for batch in jobs.chunks(BATCH_MAX) {
            let sent = match Dependents::of(batch) {
                Some(sent) => {
                    let graph = Self::enqueue_graph_in(connection, sent.jobs.iter()).await;
                    sent.answers(graph.map(|answers| (answers.into_iter().map(Some).collect(), Vec::new())))
                }
                None => enqueue_batch(&mut Target::Transaction(connection), batch).await,
            };
            answers.extend(sent?.0);
        }
        complete(answers, Vec::new())
    }
}

/// A batch in which some jobs depend on others. It is one statement, so that PostgreSQL accepts all of it or nothing.
struct Dependents {
    /// The first job of each id.
    jobs: Vec<NewJob>,
    /// For each job of the batch, the place of the first job with its id.
    places: Vec<usize>,
}

impl Dependents {
    /// `None`: no job of the batch depends on others.
    fn of(batch: &[NewJob]) -> Option<Self> {
        if batch.iter().all(|job| job.depends_on.is_empty()) {
            return None;
        }
        let mut by_id = HashMap::with_capacity(batch.len());
        let mut jobs = Vec::with_capacity(batch.len());
        let place_of = |job: &NewJob| {
            *by_id.entry(job.id).or_insert_with(|| {
                jobs.push(job.clone());
                jobs.len() - 1
            })
        };
        let places = batch.iter().map(place_of).collect();
        Some(Self { jobs, places })
    }

    /// The answers for the whole batch. A second job with the same id is reported as an existing job.
    fn answers(&self, sent: Result<BatchAnswers, Error>) -> Result<BatchAnswers, Error> {
        let for_all = |answers: Vec<Option<Enqueued>>| -> Vec<Option<Enqueued>> {
            let mut answered = BTreeSet::new();
            let again = |answer: Enqueued| answer.with(|answer| (answer.inserted, answer.replaced) = (false, false));
            let answer = |&place: &usize| {
                let answer = answers.get(place).cloned().flatten();
                if answered.insert(place) { answer } else { answer.map(again) }
            };
            self.places.iter().map(answer).collect()
        };
        match sent {
            Ok((answers, held)) => {
                let held_at = |(nth, &place): (usize, &usize)| {
                    held.iter().find(|held| held.nth == place).map(|held| Locked { nth, ..held.clone() })
                };
                Ok((for_all(answers), self.places.iter().enumerate().filter_map(held_at).collect()))
            }
            Err(Error::InPart { answers, source }) => Err(Error::InPart { answers: for_all(answers), source }),
            Err(error) => Err(error),
        }
    }
}

/// The answers to a batch, and the jobs of the batch that other sessions hold. A held job has no answer.
type BatchAnswers = (Vec<Option<Enqueued>>, Vec<Locked>);

/// Where statements are sent.
enum Target<'a> {
    /// Each statement is a separate transaction.
    Pool(&'a Store),
    /// All statements belong to the caller's transaction.
    Transaction(&'a mut PgConnection),
}

/// One statement for plain jobs with new ids. A second statement for the other jobs, and for the jobs that conflicted in
/// the first one.
async fn enqueue_batch(target: &mut Target<'_>, jobs: &[NewJob]) -> Result<BatchAnswers, Error> {
    let begun = Instant::now();
    let mut answers: Vec<Option<Enqueued>> = vec![None; jobs.len()];
    // PostgreSQL may refuse jobs with rare fields. It must then refuse the whole batch, so the batch is sent as one
    // statement.
    let has_rare_words = jobs.iter().any(NewJob::has_rare_words);
    let fresh: Vec<usize> = (0..jobs.len()).filter(|&nth| !has_rare_words && !jobs[nth].id_may_exist).collect();
    let mut is_locked = false;
    if !fresh.is_empty() {
        let mut inserted = HashMap::with_capacity(fresh.len());
        let rows = match insert(target, jobs, &fresh).await {
            // The statement wrote nothing.
            Err(error) if error.may_be_row_lock() && matches!(target, Target::Pool(_)) => {
                is_locked = true;
                Vec::new()
            }
            rows => rows?,
        };
        for row in rows {
            let decoded = job_id(&row, "id").and_then(|id| Ok((id, (state(&row)?, line_at(&row)?))));
            let (id, answer) = decoded.map_err(Error::sql(DOING))?;
            inserted.insert(id, answer);
        }
        for nth in fresh {
            let id = jobs[nth].id;
            // `remove`: a second job with the same id in the batch was not inserted.
            let answer = inserted.remove(&id);
            answers[nth] = answer
                .map(|(state, line_at)| Enqueued::new(id, state, Some(line_at)).with(|answer| answer.inserted = true));
        }
    }
    let rest: Vec<usize> = (0..jobs.len()).filter(|&nth| answers[nth].is_none()).collect();
    if rest.is_empty() {
        return Ok((answers, Vec::new()));
    }
    let rows = match target {
        Target::Pool(_) if is_locked => None,
        _ => match send(target, checked(jobs, &rest), jobs, &rest).await {
            Err(error) if error.may_be_row_lock() && matches!(target, Target::Pool(_)) => None,
            rows => Some(rows),
        },
    };
    let (checked, locked) = match (rows, &*target) {
        (Some(rows), _) => (rows.and_then(|rows| rows.iter().map(decode).collect()), Vec::new()),
        (None, Target::Pool(store)) => {
            match retry_locked(store, &Each { store, jobs, which: &rest }, rest.len(), begun).await {
                Ok(tries) => (Ok(tries.done), tries.held),
                Err(error) => (Err(error), Vec::new()),
            }
        }
        (None, Target::Transaction(_)) => (Ok(Vec::new()), Vec::new()),
    };
    let checked = checked.map_err(|error| match target {
        // The first statement's jobs are accepted. A caller that gets only a refusal would believe that no job was
        // accepted.
        Target::Pool(_) => Error::in_part(&answers, error),
        Target::Transaction(_) => error,
    })?;
    for (nth, answer) in checked {
        if let Some(&nth) = rest.get(nth) {
            answers[nth] = Some(answer);
        }
    }
    let locked = locked.into_iter().filter_map(|(nth, by)| {
        let &nth = rest.get(nth)?;
        Some(Locked { nth, what: what_of(&jobs[nth]), by })
    });
    Ok((answers, locked.collect()))
}

/// An answer for each job, or an error that lists the held jobs.
fn complete(answers: Vec<Option<Enqueued>>, held: Vec<Locked>) -> Result<Vec<Enqueued>, Error> {
    if !held.is_empty() {
        return Err(Error::Locked(Box::new(LockedOut { doing: DOING, held, accepted: answers })));
    }
    let answers: Option<Vec<Enqueued>> = answers.into_iter().collect();
    answers.ok_or_else(|| Error::sql(DOING)(sqlx::Error::RowNotFound))
}

/// The jobs that other sessions may hold, with one statement for each job. The numbers are indexes into `which`.
struct Each<'a> {
    store: &'a Store,
    jobs: &'a [NewJob],
    which: &'a [usize],
}

#[async_trait]
impl Lockable for Each<'_> {
    type Answer = Enqueued;

    async fn each(&self, left: Vec<usize>) -> Result<Tries<Enqueued>, Error> {
        let nths: Vec<usize> = left.iter().map(|&place| self.which[place]).collect();
        let statement = if has_rare_words(self.jobs, &nths) { ENQUEUE_JOBS } else { ENQUEUE_UNLESS_HELD };
        let rows = send_skipping_held(&mut Target::Pool(self.store), statement, self.jobs, &nths).await?;
        let mut tries = Tries::default();
        for row in rows {
            let nth: i64 = row.try_get("nth").map_err(Error::sql(DOING))?;
            let Some(&place) = usize::try_from(nth - 1).ok().and_then(|nth| left.get(nth)) else { continue };
            if row.try_get("held").map_err(Error::sql(DOING))? {
                tries.held.push(place);
            } else {
                tries.done.push((place, answer(&row).map_err(Error::sql(DOING))?));
            }
        }
        Ok(tries)
    }

    async fn one(&self, connection: &mut PgConnection, place: usize) -> Result<Option<Enqueued>, Error> {
        let which = [self.which[place]];
        let rows = send(&mut Target::Transaction(connection), checked(self.jobs, &which), self.jobs, &which).await?;
        rows.first().map(answer).transpose().map_err(Error::sql(DOING))
    }
}

/// Inserts jobs with new ids by the cheaper statement where possible. The cheaper statement fails on a conflict. In a
/// caller's transaction this failure would leave only a rollback, so it is not used there.
async fn insert(target: &mut Target<'_>, jobs: &[NewJob], fresh: &[usize]) -> Result<Vec<PgRow>, Error> {
    let is_free = matches!(target, Target::Pool(_)) && fresh.iter().all(|&nth| jobs[nth].unique_key.is_none());
    if is_free {
        match send(target, ENQUEUE_NEW, jobs, fresh).await {
            Err(error) if error.code().as_deref() == Some(UNIQUE_VIOLATION) => {}
            answer => return answer,
        }
    }
    send(target, ENQUEUE, jobs, fresh).await
}

fn has_rare_words(jobs: &[NewJob], which: &[usize]) -> bool {
    which.iter().any(|&nth| jobs[nth].has_rare_words())
}

/// The statement for jobs that may exist or conflict, or that have rare fields.
fn checked(jobs: &[NewJob], which: &[usize]) -> &'static str {
    if has_rare_words(jobs, which) { ENQUEUE_JOBS } else { ENQUEUE_CHECKED }
}

async fn send(
    target: &mut Target<'_>,
    statement: &'static str,
    jobs: &[NewJob],
    which: &[usize],
) -> Result<Vec<PgRow>, Error> {
    send_with(target, statement, jobs, which, false).await
}

/// Sends a statement that answers which jobs are held, and does not wait for them.
async fn send_skipping_held(
    target: &mut Target<'_>,
    statement: &'static str,
    jobs: &[NewJob],
    which: &[usize],
) -> Result<Vec<PgRow>, Error> {
    send_with(target, statement, jobs, which, true).await
}

async fn send_with(
    target: &mut Target<'_>,
    statement: &'static str,
    jobs: &[NewJob],
    which: &[usize],
    skip_held: bool,
) -> Result<Vec<PgRow>, Error> {
    let mut tried = 1;
    let these = || which.iter().map(|&nth| &jobs[nth]);
    loop {
        // A caller's transaction keeps the caller's lock timeout.
        let lock_timeout = matches!(target, Target::Pool(_)).then_some(BATCH_LOCK_TIMEOUT);
        let query = match statement {
            ENQUEUE_JOBS => {
                let json =
                    job_words::json(these()).map_err(|error| Error::sql(DOING)(sqlx::Error::Encode(error.into())))?;
                sqlx::query(statement).bind(json).bind(skip_held).bind(lock_timeout.filter(|_| !skip_held))
            }
            ENQUEUE | ENQUEUE_CHECKED => bound(statement, these()).bind(lock_timeout),
            _ => bound(statement, these()),
        };
        let sent = match target {
            Target::Pool(store) => query.fetch_all(&store.bounded).await,
            // Unnamed: the caller's connection may lead through a pooler, even if our connections do not.
            Target::Transaction(connection) => {
                return query.persistent(false).fetch_all(&mut **connection).await.map_err(Error::sql(DOING));
            }
        };
        match sent.map_err(Error::sql(DOING)) {
            Err(error) if error.is_rolled_back() && tried < TRIES => tried += 1,
            answer => return answer,
        }
    }
}

/// One array for each column.
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
        // Jobs with limit keys are sent with all their fields.
        .bind(column(jobs, |_| None::<&str>))
}

/// The index of the job in the batch, and its answer.
fn decode(row: &PgRow) -> Result<(usize, Enqueued), Error> {
    let read = || -> Result<_, sqlx::Error> {
        let nth: i64 = row.try_get("nth")?;
        Ok((usize::try_from(nth - 1).unwrap_or(usize::MAX), answer(row)?))
    };
    read().map_err(Error::sql(DOING))
}

/// The state of a job that was just inserted, and that depends on no other job.
fn state(row: &PgRow) -> Result<State, sqlx::Error> {
    Ok(if row.try_get("is_queued")? { State::Queued } else { State::Scheduled })
}

fn answer(row: &PgRow) -> Result<Enqueued, sqlx::Error> {
    let mut answer = Enqueued::new(job_id(row, "id")?, word(row, "state")?, line_at_if_any(row)?);
    answer.inserted = row.try_get("inserted")?;
    // Only one statement has this column.
    answer.replaced = row.try_get("replaced").unwrap_or_default();
    Ok(answer)
}
