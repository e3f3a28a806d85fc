//! The statement that ends runs in one way, its parameters, and its answer.

use crate::{
    bounded::Bounded,
    error::{Cause, code_of},
    promote::waiting,
    row::millis,
    statement::statement,
};
use leasehold_core::{Ending, Epoch, Fence, FinishedRun, Settle, WorkerId};
use leasehold_ports::Waiting;
use sqlx::{Row, postgres::PgRow};
use std::{borrow::Cow, collections::HashSet};
use uuid::Uuid;

/// What happens to a run whose success the server cannot store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnRefusal {
    /// The job is dead: the same handler would give the same result again.
    Bury,
    /// Nothing. The caller says so to the worker, which ends the run in another way.
    Keep,
}

/// Whether a plain follow-on job that should be encrypted fails the statement, so that its payload is encrypted and the
/// statement is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relearns {
    Yes,
    No,
}

/// Runs as they are sent to PostgreSQL, and the runs that cannot be sent. The second group is kept.
#[derive(Debug)]
pub(crate) struct EncryptedEnds<'a> {
    pub(crate) runs: Cow<'a, [FinishedRun]>,
    pub(crate) refused: Vec<Unstorable>,
}

/// A run whose success the server cannot store. The run is as before.
#[derive(Clone, Debug)]
pub struct Unstorable {
    /// The run.
    pub fence: Fence,
    /// The server's message.
    pub reason: String,
}

/// The runs that one statement has written.
#[derive(Default)]
pub(crate) struct Written {
    /// The runs. The id alone does not identify a run: a worker may lose a run without noticing, claim its job again, and
    /// end both runs in one batch.
    pub(crate) done: HashSet<(Uuid, Epoch)>,
    /// The jobs that waited for these runs, or follow from them, and are now in the line.
    pub(crate) unblocked: Vec<Waiting>,
    /// The runs that were refused, if those are not buried.
    pub(crate) unstorable: Vec<Unstorable>,
}

impl Written {
    pub(crate) fn refused(run: &FinishedRun, error: &sqlx::Error) -> Self {
        let refused = Unstorable { fence: run.fence, reason: Cause(error).to_string() };
        Self { unstorable: vec![refused], ..Self::default() }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.done.extend(other.done);
        self.unblocked.extend(other.unblocked);
        self.unstorable.extend(other.unstorable);
    }
}

/// How a completion handles a row that another transaction has locked. All other endings skip such a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locked {
    /// Waits for a moment, then fails. This is the cheaper statement.
    WaitFor,
    Skip,
}

/// Writes runs that all end in the same way, with one statement.
pub(crate) async fn write(
    ending: Ending,
    pool: &Bounded,
    worker: WorkerId,
    runs: &[&FinishedRun],
    locked: Locked,
) -> Result<Written, sqlx::Error> {
    let statement = match ending {
        Ending::Complete if locked == Locked::WaitFor => statement!("complete"),
        Ending::Complete => statement!("complete_careful"),
        Ending::Retry => include_str!("../sql/retry.sql"),
        Ending::Snooze => include_str!("../sql/snooze.sql"),
        Ending::Release => include_str!("../sql/release.sql"),
        Ending::Bury => statement!("bury"),
        Ending::Cancel => statement!("cancel_run"),
    };
    let query = sqlx::query(statement).bind(worker.0).bind(ids(runs)).bind(epochs(runs));
    let query = match ending {
        Ending::Release | Ending::Cancel => query,
        Ending::Complete | Ending::Bury => query.bind(texts(runs)),
        Ending::Retry | Ending::Snooze => query.bind(delays(runs)).bind(texts(runs)),
    };
    let rows = query.fetch_all(pool).await?;
    match (ending, locked) {
        (Ending::Complete, Locked::WaitFor) => read_together(&rows),
        _ => read_answer(rows),
    }
}

/// The answer of `complete`: the ended runs in one row, then the children.
fn read_together(rows: &[PgRow]) -> Result<Written, sqlx::Error> {
    let mut written = Written::default();
    for row in rows {
        match row.try_get::<Option<Vec<Uuid>>, _>("ids")? {
            Some(ids) => written.done.extend(ids.into_iter().zip(row.try_get::<Vec<Epoch>, _>("epochs")?)),
            None if row.try_get::<Option<Uuid>, _>("id")?.is_some() => written.unblocked.push(waiting(row)?),
            // No run was ended.
            None => {}
        }
    }
    Ok(written)
}

/// The answer of a statement that ends runs.
pub(crate) fn read_answer(rows: Vec<PgRow>) -> Result<Written, sqlx::Error> {
    let mut written = Written::default();
    for row in rows {
        match row.try_get(1)? {
            Some(epoch) => drop(written.done.insert((row.try_get(0)?, epoch))),
            // Only an end of a job has such rows.
            None => written.unblocked.push(waiting(&row)?),
        }
    }
    Ok(written)
}

/// Whether a partition of history was made while the statement was about to write into the default partition, which
/// must not hold this day any more. If the statement is sent again, it finds the new partition.
pub(crate) fn was_routed_late(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| code == "23514")
}

/// Whether the server cannot hold a value of the statement: data exceptions, and limits such as its stack, which JSON
/// with ten thousand brackets exceeds.
pub(crate) fn refuses_the_data(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
}

pub(crate) fn ids(runs: &[&FinishedRun]) -> Vec<Uuid> {
    runs.iter().map(|run| run.fence.id.0).collect()
}

pub(crate) fn epochs(runs: &[&FinishedRun]) -> Vec<Epoch> {
    runs.iter().map(|run| run.fence.epoch).collect()
}

fn delays(runs: &[&FinishedRun]) -> Vec<i64> {
    runs.iter().map(|run| delay_of(&run.settle)).collect()
}

/// The delay in ms, for the row.
pub(crate) fn delay_of(settle: &Settle) -> i64 {
    match settle {
        Settle::Retry { delay, .. } | Settle::Snooze { delay, .. } => millis(*delay),
        Settle::Complete(_) | Settle::CompleteThen(_) | Settle::Release | Settle::Bury { .. } | Settle::Cancel => 0,
    }
}

pub(crate) fn texts<'a>(runs: &[&'a FinishedRun]) -> Vec<Option<Cow<'a, str>>> {
    runs.iter().map(|run| text_of(&run.settle)).collect()
}

/// The result, error or reason. NUL is removed from texts, because PostgreSQL refuses NUL, and one NUL would keep the
/// whole batch from being written. JSON has no NUL, because JSON escapes it.
pub(crate) fn text_of(settle: &Settle) -> Option<Cow<'_, str>> {
    fn clear(text: &str) -> Cow<'_, str> {
        if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { Cow::Borrowed(text) }
    }
    match settle {
        Settle::CompleteThen(success) => success.result.as_deref().map(|json| Cow::Borrowed(json.get())),
        Settle::Complete(result) => result.as_deref().map(|json| Cow::Borrowed(json.get())),
        Settle::Retry { error, .. } | Settle::Bury { error } => Some(clear(error)),
        Settle::Snooze { reason, .. } => reason.as_deref().map(clear),
        Settle::Release | Settle::Cancel => None,
    }
}
