//! settle: what ends runs. One statement a verb, and one more for those that found no row.

use crate::{
    bounded::Bounded,
    claim::is_locked,
    connect::Store,
    error::{Cause, Error, code_of},
    row::millis,
    statement::statement,
};
use leasehold_core::{BATCH_MAX, Epoch, FinishedRun, Settle, Settled, State, Verb, WorkerId};
use sqlx::Row;
use std::{borrow::Cow, collections::HashSet};
use uuid::Uuid;

const DOING: &str = "settling runs";

impl Store {
    /// Ends runs, one statement per verb among them; answers in the order of `runs`. Can be sent again when the answer
    /// was lost. A run whose fence names another worker than `worker` has lost its lease.
    ///
    /// # Errors
    /// That a statement failed: runs of the verbs before it were settled, and sent again they say `Already`.
    pub async fn settle(&self, worker: WorkerId, runs: &[FinishedRun]) -> Result<Vec<Settled>, Error> {
        let mut answers = Vec::with_capacity(runs.len());
        for batch in runs.chunks(BATCH_MAX) {
            answers.extend(self.settle_batch(worker, batch).await?);
        }
        Ok(answers)
    }

    /// The statement that workers send most, without a run.
    pub(crate) async fn complete_none(&self, worker: WorkerId) -> Result<(), Error> {
        Ending::Complete.write(&self.bounded, worker, &[], Locked::WaitFor).await.map(drop).map_err(Error::sql(DOING))
    }

    async fn settle_batch(&self, worker: WorkerId, runs: &[FinishedRun]) -> Result<Vec<Settled>, Error> {
        let mut answers = vec![Settled::LeaseLost; runs.len()];
        let mut unclear = Vec::new();
        for ending in Ending::ALL {
            let ours = |&nth: &usize| runs[nth].fence.worker == worker && Ending::of(&runs[nth].settle) == ending;
            let mut which: Vec<usize> = (0..runs.len()).filter(ours).collect();
            // The order in which every statement locks rows: two that meet wait for each other in one direction only.
            which.sort_unstable_by_key(|&nth| runs[nth].fence.id);
            if which.is_empty() {
                continue;
            }
            let batch: Vec<&FinishedRun> = which.iter().map(|&nth| &runs[nth]).collect();
            let done = self.write(ending, worker, &batch).await.map_err(Error::sql(DOING))?;
            for nth in which {
                if done.contains(&(runs[nth].fence.id.0, runs[nth].fence.epoch)) {
                    answers[nth] = Settled::Done;
                } else {
                    unclear.push(nth);
                }
            }
        }
        if !unclear.is_empty() {
            let batch: Vec<&FinishedRun> = unclear.iter().map(|&nth| &runs[nth]).collect();
            let found = look_again(&self.bounded, worker, &batch).await.map_err(Error::sql(DOING))?;
            for (nth, settled) in unclear.into_iter().zip(found) {
                if settled == Settled::Locked {
                    self.locks_at_settles.found();
                }
                answers[nth] = settled;
            }
        }
        Ok(answers)
    }

    /// Writes runs that all end in this way, whatever the server says to the first try.
    async fn write(
        &self,
        ending: Ending,
        worker: WorkerId,
        runs: &[&FinishedRun],
    ) -> Result<HashSet<(Uuid, Epoch)>, sqlx::Error> {
        let locked = if self.locks_at_settles.found_recently() { Locked::Skip } else { Locked::WaitFor };
        let mut written = ending.write(&self.bounded, worker, runs, locked).await;
        if written.as_ref().is_err_and(is_locked) {
            self.locks_at_settles.found();
            written = ending.write(&self.bounded, worker, runs, Locked::Skip).await;
        }
        if written.as_ref().is_err_and(was_routed_late) {
            written = ending.write(&self.bounded, worker, runs, Locked::Skip).await;
        }
        match written {
            Err(error) if ending == Ending::Complete && refuses_the_data(&error) => {
                complete_one_by_one(&self.bounded, worker, runs).await
            }
            written => written,
        }
    }
}

/// What a completion does about a row that another transaction has locked. All other endings skip it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Locked {
    /// Waits for a moment, then fails: the cheaper statement.
    WaitFor,
    Skip,
}

/// The ways in which a run can end, each a statement.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Complete,
    Retry,
    Snooze,
    Release,
    Bury,
    Cancel,
}

impl Ending {
    const ALL: [Self; 6] = [Self::Complete, Self::Retry, Self::Snooze, Self::Release, Self::Bury, Self::Cancel];

    const fn of(settle: &Settle) -> Self {
        match settle {
            Settle::Complete(_) => Self::Complete,
            Settle::Retry { .. } => Self::Retry,
            Settle::Snooze { .. } => Self::Snooze,
            Settle::Release => Self::Release,
            Settle::Bury { .. } => Self::Bury,
            Settle::Cancel => Self::Cancel,
        }
    }

    /// The word in the trail, and the final state, if it is one that ends the job.
    const fn leaves(self) -> (Verb, Option<State>) {
        match self {
            Self::Complete => (Verb::Complete, Some(State::Succeeded)),
            Self::Retry => (Verb::Retry, None),
            Self::Snooze => (Verb::Snooze, None),
            Self::Release => (Verb::Release, None),
            Self::Bury => (Verb::Bury, Some(State::Dead)),
            Self::Cancel => (Verb::Cancel, Some(State::Cancelled)),
        }
    }

    /// Writes runs that all end in this way; which were written. Not by id alone: a worker may have lost a run without
    /// noticing, claimed its job again, and end both in one batch.
    async fn write(
        self,
        pool: &Bounded,
        worker: WorkerId,
        runs: &[&FinishedRun],
        locked: Locked,
    ) -> Result<HashSet<(Uuid, Epoch)>, sqlx::Error> {
        let statement = match self {
            Self::Complete if locked == Locked::WaitFor => statement!("complete"),
            Self::Complete => statement!("complete_careful"),
            Self::Retry => include_str!("../sql/retry.sql"),
            Self::Snooze => include_str!("../sql/snooze.sql"),
            Self::Release => include_str!("../sql/release.sql"),
            Self::Bury => statement!("bury"),
            Self::Cancel => statement!("cancel_run"),
        };
        let query = sqlx::query(statement).bind(worker.0).bind(ids(runs)).bind(epochs(runs));
        let query = match self {
            Self::Release | Self::Cancel => query,
            Self::Complete | Self::Bury => query.bind(texts(runs)),
            Self::Retry | Self::Snooze => query.bind(delays(runs)).bind(texts(runs)),
        };
        let rows = query.fetch_all(pool).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }
}

/// Whether a partition of history was made while the statement was about to write into the default one, which must not
/// hold that day any more. Sent again, it finds the new one.
fn was_routed_late(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| code == "23514")
}

/// Whether the server cannot hold a value that it was sent: data exceptions, and limits such as its stack, which
/// JSON of ten thousand brackets passes.
fn refuses_the_data(error: &sqlx::Error) -> bool {
    code_of(error).is_some_and(|code| code.starts_with("22") || code.starts_with("54"))
}

/// One result that cannot be stored must not keep the others of its batch from being written, now and each time it
/// is sent again: its job is dead, and says why.
async fn complete_one_by_one(
    pool: &Bounded,
    worker: WorkerId,
    runs: &[&FinishedRun],
) -> Result<HashSet<(Uuid, Epoch)>, sqlx::Error> {
    let mut done = HashSet::new();
    for run in runs {
        done.extend(match Ending::Complete.write(pool, worker, &[run], Locked::Skip).await {
            Err(refusal) if refuses_the_data(&refusal) => {
                let error = format!("its result cannot be stored: {}", Cause(&refusal));
                let buried = FinishedRun { fence: run.fence, settle: Settle::Bury { error } };
                Ending::Bury.write(pool, worker, &[&buried], Locked::Skip).await?
            }
            written => written?,
        });
    }
    Ok(done)
}

/// Why the first statement found no row for these runs.
async fn look_again(pool: &Bounded, worker: WorkerId, runs: &[&FinishedRun]) -> Result<Vec<Settled>, sqlx::Error> {
    let verbs: Vec<String> = runs.iter().map(|run| verb_of(&run.settle)).collect();
    let final_state = |run: &&FinishedRun| Ending::of(&run.settle).leaves().1.map(State::as_str);
    let finals: Vec<Option<&str>> = runs.iter().map(final_state).collect();
    let rows = sqlx::query(include_str!("../sql/settle_again.sql"))
        .bind(worker.0)
        .bind(ids(runs))
        .bind(epochs(runs))
        .bind(verbs)
        .bind(finals)
        .fetch_all(pool)
        .await?;
    let mut answers = vec![Settled::LeaseLost; runs.len()];
    for row in rows {
        let nth: i64 = row.try_get("nth")?;
        let answer = if row.try_get("already")? {
            Settled::Already
        } else if row.try_get("cancel_wanted")? {
            Settled::CancelWanted
        } else if row.try_get("locked")? {
            Settled::Locked
        } else {
            continue;
        };
        if let Some(place) = usize::try_from(nth - 1).ok().and_then(|nth| answers.get_mut(nth)) {
            *place = answer;
        }
    }
    Ok(answers)
}

fn ids(runs: &[&FinishedRun]) -> Vec<Uuid> {
    runs.iter().map(|run| run.fence.id.0).collect()
}

fn epochs(runs: &[&FinishedRun]) -> Vec<Epoch> {
    runs.iter().map(|run| run.fence.epoch).collect()
}

fn delays(runs: &[&FinishedRun]) -> Vec<i64> {
    runs.iter().map(|run| delay_of(&run.settle)).collect()
}

/// The delay in ms, as rows have it.
pub(crate) fn delay_of(settle: &Settle) -> i64 {
    match settle {
        Settle::Retry { delay, .. } | Settle::Snooze { delay, .. } => millis(*delay),
        Settle::Complete(_) | Settle::Release | Settle::Bury { .. } | Settle::Cancel => 0,
    }
}

fn texts<'a>(runs: &[&'a FinishedRun]) -> Vec<Option<Cow<'a, str>>> {
    runs.iter().map(|run| text_of(&run.settle)).collect()
}

/// The result, error or reason. Texts are cleared of NUL, which PostgreSQL refuses: one such would keep the whole
/// batch from being written. JSON has none, since there it is an escape.
pub(crate) fn text_of(settle: &Settle) -> Option<Cow<'_, str>> {
    fn clear(text: &str) -> Cow<'_, str> {
        if text.contains('\0') { Cow::Owned(text.replace('\0', "\u{FFFD}")) } else { Cow::Borrowed(text) }
    }
    match settle {
        Settle::Complete(result) => result.as_deref().map(|json| Cow::Borrowed(json.get())),
        Settle::Retry { error, .. } | Settle::Bury { error } => Some(clear(error)),
        Settle::Snooze { reason, .. } => reason.as_deref().map(clear),
        Settle::Release | Settle::Cancel => None,
    }
}

/// The word in the trail, and among the settles that are left for a reaper.
pub(crate) fn verb_of(settle: &Settle) -> String {
    let (verb, _) = Ending::of(settle).leaves();
    format!("{verb:?}").to_lowercase()
}
