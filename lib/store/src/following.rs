//! Follow-on jobs: a success enqueues them in the transaction that ends the run, or not at all. This file also has the end of a
//! run in the transaction of its handler.

use crate::{
    bounded::Bounded,
    claim::is_locked,
    connect::Store,
    error::{Cause, Error, WANTS_ENCRYPTION, code_of},
    job_words,
    promote::waiting,
    settle_statement::{
        Locked, OnRefusal, Relearns, Written, epochs, ids, read_answer, refuses_the_data, texts, was_routed_late, write,
    },
    statement::statement,
};
use leasehold_core::{
    Ending, FOLLOWING_MAX, FOLLOWING_MAX_BYTES, Fence, FinishedRun, NewJob, Settle, Success, WorkerId,
};
use leasehold_ports::Waiting;
use sqlx::{PgConnection, Row};

/// The SQLSTATE of a follow-on job that depends on a job that does not exist.
const UNKNOWN_PARENT: &str = "23503";

impl Store {
    /// Ends a run as succeeded inside the caller's transaction, which commits the end together with everything else. Waits
    /// for the row if another transaction has locked it. `None`: the lease is lost, and nothing was changed. Otherwise the
    /// jobs that are in the line when the transaction has been committed.
    ///
    /// # Errors
    /// A job in `then` is invalid, or the statement failed. The transaction can only be rolled back.
    pub async fn complete_in(
        connection: &mut PgConnection,
        fence: Fence,
        success: &Success,
    ) -> Result<Option<Vec<Waiting>>, Error> {
        const DOING: &str = "completing a job in a transaction";
        let jobs = match success.then.is_empty() {
            true => None,
            false => Some(words(&success.then).map_err(Error::sql(DOING))?),
        };
        // Unnamed: the caller's connection may lead through a pooler.
        let rows = sqlx::query(statement!("complete_in"))
            .bind(fence.worker.0)
            .bind(fence.id.0)
            .bind(fence.epoch)
            .bind(success.result.as_deref().map(|json| json.get().to_owned()))
            .bind(jobs)
            .persistent(false)
            .fetch_all(connection)
            .await
            .map_err(Error::sql(DOING))?;
        let mut in_line = Vec::new();
        let mut is_done = false;
        for row in rows {
            match row.try_get::<Option<i32>, _>(1).map_err(Error::sql(DOING))? {
                Some(_) => is_done = true,
                None => in_line.push(waiting(&row).map_err(Error::sql(DOING))?),
            }
        }
        Ok(is_done.then_some(in_line))
    }
}

/// Whether other jobs follow from the end of this run.
pub(crate) fn has_following(run: &FinishedRun) -> bool {
    matches!(&run.settle, Settle::CompleteThen(_))
}

/// Divides runs into statements: plain completions keep their usual statement, and the number of follow-on jobs of one statement
/// is bounded.
pub(crate) fn statements_of(runs: &[FinishedRun], which: Vec<usize>) -> Vec<Vec<usize>> {
    let (following, plain): (Vec<usize>, Vec<usize>) = which.into_iter().partition(|&nth| has_following(&runs[nth]));
    let mut statements = if plain.is_empty() { Vec::new() } else { vec![plain] };
    let (mut jobs, mut bytes) = (usize::MAX, usize::MAX);
    for nth in following {
        let then = then_of(&runs[nth]);
        let size = then.iter().map(|job| job.payload.get().len()).sum::<usize>();
        (jobs, bytes) = (jobs.saturating_add(then.len()), bytes.saturating_add(size));
        match statements.last_mut() {
            Some(last) if jobs <= FOLLOWING_MAX && bytes <= FOLLOWING_MAX_BYTES => last.push(nth),
            _ => {
                (jobs, bytes) = (then.len(), size);
                statements.push(vec![nth]);
            }
        }
    }
    statements
}

fn then_of(run: &FinishedRun) -> &[NewJob] {
    match &run.settle {
        Settle::CompleteThen(success) => &success.then,
        _ => &[],
    }
}

fn words(jobs: &[NewJob]) -> Result<String, sqlx::Error> {
    job_words::json(jobs.iter()).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Ends runs and enqueues their follow-on jobs. A run that cannot be written must not block the other runs of its statement. A
/// run whose result or whose follow-on jobs the server refuses is dead, because another run would try the same, or its row stays
/// unchanged. If another transaction holds the unique key of a follow-on job, its run is left out: the row stays unchanged, so
/// the worker tries again.
pub(crate) async fn complete_then(
    pool: &Bounded,
    worker: WorkerId,
    runs: &[&FinishedRun],
    on_refusal: OnRefusal,
    relearns: Relearns,
) -> Result<Written, sqlx::Error> {
    let mut sent = send(pool, worker, runs).await;
    if sent.as_ref().is_err_and(was_routed_late) {
        sent = send(pool, worker, runs).await;
    }
    match sent {
        Err(error) if relearns == Relearns::Yes && code_of(&error).as_deref() == Some(WANTS_ENCRYPTION) => Err(error),
        Err(error) if is_locked(&error) && runs.len() == 1 => Ok(Written::default()),
        Err(error) if refuses_the_jobs(&error) && runs.len() == 1 && on_refusal == OnRefusal::Keep => {
            Ok(Written::refused(runs[0], &error))
        }
        Err(error) if refuses_the_jobs(&error) && runs.len() == 1 => {
            let error = format!("its result or a follow-on job cannot be stored: {}", Cause(&error));
            let buried = FinishedRun { fence: runs[0].fence, settle: Settle::Bury { error } };
            write(Ending::Bury, pool, worker, &[&buried], Locked::Skip).await
        }
        Err(error) if is_locked(&error) || refuses_the_jobs(&error) => {
            let mut all = Written::default();
            for run in runs {
                all.add(Box::pin(complete_then(pool, worker, &[run], on_refusal, relearns)).await?);
            }
            Ok(all)
        }
        written => written,
    }
}

fn refuses_the_jobs(error: &sqlx::Error) -> bool {
    refuses_the_data(error) || code_of(error).is_some_and(|code| code == UNKNOWN_PARENT)
}

async fn send(pool: &Bounded, worker: WorkerId, runs: &[&FinishedRun]) -> Result<Written, sqlx::Error> {
    let jobs: Vec<String> = runs.iter().map(|run| words(then_of(run))).collect::<Result<_, _>>()?;
    let rows = sqlx::query(statement!("complete_then"))
        .bind(worker.0)
        .bind(ids(runs))
        .bind(epochs(runs))
        .bind(texts(runs))
        .bind(jobs)
        .fetch_all(pool)
        .await?;
    read_answer(rows)
}
