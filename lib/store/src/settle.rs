//! settle: ends runs. There is one statement for each verb, and one more statement for runs that found no row.

use crate::{
    bounded::Bounded,
    claim::is_locked,
    connect::Store,
    error::{Cause, Error},
    following::{complete_then, has_following, statements_of},
    settle_statement::{
        EncryptedEnds, Locked, OnRefusal, Relearns, Unstorable, Written, epochs, ids, refuses_the_data,
        was_routed_late, write,
    },
    statement::statement,
};
use leasehold_core::{BATCH_MAX, Ending, Epoch, FinishedRun, Settle, Settled, State, WorkerId};
use leasehold_ports::SettledRuns;
use sqlx::Row;
use uuid::Uuid;

const DOING: &str = "settling runs";

impl Store {
    /// Ends runs, with one statement for each verb among them. Answers in the order of `runs`. Can be sent again if the
    /// answer was lost. A run whose fence names another worker than `worker` has lost its lease. The answer also has the
    /// jobs that waited for these runs or for room of their limit keys, or follow from these runs, and are now in the line.
    ///
    /// # Errors
    /// A statement failed. Runs of the verbs before it are settled; if they are sent again, the answer is `Already`.
    pub async fn settle(&self, worker: WorkerId, runs: &[FinishedRun]) -> Result<SettledRuns, Error> {
        Ok(self.settle_with(worker, runs, OnRefusal::Bury).await?.0)
    }

    /// As [`Store::settle`], but a success that the server cannot store changes nothing: the worker still holds the run. The second
    /// answer has these runs; their first answer means nothing.
    ///
    /// # Errors
    /// As [`Store::settle`].
    pub async fn settle_storable(
        &self,
        worker: WorkerId,
        runs: &[FinishedRun],
    ) -> Result<(SettledRuns, Vec<Unstorable>), Error> {
        self.settle_with(worker, runs, OnRefusal::Keep).await
    }

    async fn settle_with(
        &self,
        worker: WorkerId,
        runs: &[FinishedRun],
        on_refusal: OnRefusal,
    ) -> Result<(SettledRuns, Vec<Unstorable>), Error> {
        let (mut settled, mut unstorable) = (SettledRuns::default(), Vec::new());
        for batch in runs.chunks(BATCH_MAX) {
            let sent = self.encrypted_ends(batch, on_refusal).await?;
            let relearns = if self.keys().is_empty() { Relearns::No } else { Relearns::Yes };
            let refused = match self.settle_batch(worker, sent, on_refusal, relearns, &mut settled).await {
                // Runs that were settled before the error are answered as such.
                Err(error) if self.learns_of_a_queue(&error) => {
                    let sent = self.encrypted_ends(batch, on_refusal).await?;
                    self.settle_batch(worker, sent, on_refusal, Relearns::No, &mut settled).await?
                }
                refused => refused?,
            };
            unstorable.extend(refused);
        }
        Ok((settled, unstorable))
    }

    /// Sends the most frequent statements of workers without a run.
    pub(crate) async fn complete_none(&self, worker: WorkerId) -> Result<(), Error> {
        self.complete_alike(worker, 1, &[]).await.map_err(Error::sql(DOING))?;
        write(Ending::Complete, &self.bounded, worker, &[], Locked::WaitFor).await.map(drop).map_err(Error::sql(DOING))
    }

    async fn settle_batch(
        &self,
        worker: WorkerId,
        EncryptedEnds { runs, refused }: EncryptedEnds<'_>,
        on_refusal: OnRefusal,
        relearns: Relearns,
        settled: &mut SettledRuns,
    ) -> Result<Vec<Unstorable>, Error> {
        let mut unstorable: Vec<Unstorable> = refused;
        let mut answers = vec![Settled::LeaseLost; runs.len()];
        let mut unclear = Vec::new();
        for ending in Ending::ALL {
            let ours = |&nth: &usize| runs[nth].fence.worker == worker && runs[nth].settle.ending() == ending;
            let is_refused = |&nth: &usize| unstorable.iter().any(|refused| refused.fence == runs[nth].fence);
            let mut which: Vec<usize> = (0..runs.len()).filter(ours).filter(|nth| !is_refused(nth)).collect();
            // All statements lock rows in this order, so that two statements never wait for each other in both
            // directions.
            which.sort_unstable_by_key(|&nth| runs[nth].fence.id);
            for which in statements_of(&runs, which) {
                let batch: Vec<&FinishedRun> = which.iter().map(|&nth| &runs[nth]).collect();
                let written =
                    self.write(ending, worker, &batch, on_refusal, relearns).await.map_err(Error::sql(DOING))?;
                settled.unblocked.extend(written.unblocked);
                unstorable.extend(written.unstorable);
                for nth in which {
                    if unstorable.iter().any(|refused| refused.fence == runs[nth].fence) {
                        continue;
                    }
                    if written.done.contains(&(runs[nth].fence.id.0, runs[nth].fence.epoch)) {
                        answers[nth] = Settled::Done;
                    } else {
                        unclear.push(nth);
                    }
                }
            }
        }
        if !unclear.is_empty() {
            let batch: Vec<&FinishedRun> = unclear.iter().map(|&nth| &runs[nth]).collect();
            let found = look_again(&self.bounded, worker, &batch).await.map_err(Error::sql(DOING))?;
            for (nth, answer) in unclear.into_iter().zip(found) {
                if answer == Settled::Locked {
                    self.locks_at_settles.found();
                }
                answers[nth] = answer;
            }
        }
        settled.unblocked.extend(self.admit_after(&runs, &answers).await);
        settled.unblocked.extend(self.admit_fair_after(&runs, &answers).await);
        settled.answers.extend(answers);
        Ok(unstorable)
    }

    /// Completes runs without results, of one epoch. Runs of jobs with children need a second statement.
    async fn complete_alike(
        &self,
        worker: WorkerId,
        epoch: Epoch,
        runs: &[&FinishedRun],
    ) -> Result<Written, sqlx::Error> {
        let query = sqlx::query(statement!("complete_alike")).bind(worker.0).bind(ids(runs)).bind(epoch);
        let mut written = Written::default();
        for row in query.fetch_all(&self.bounded).await? {
            written.done.extend(row.try_get::<Vec<Uuid>, _>("ids")?.into_iter().map(|id| (id, epoch)));
        }
        if written.done.len() < runs.len() {
            let is_left = |run: &&&FinishedRun| !written.done.contains(&(run.fence.id.0, epoch));
            let left: Vec<&FinishedRun> = runs.iter().filter(is_left).copied().collect();
            let others = write(Ending::Complete, &self.bounded, worker, &left, Locked::WaitFor).await?;
            if !others.done.is_empty() {
                self.parents.found();
            }
            written.add(others);
        }
        Ok(written)
    }

    /// Writes runs that all end in the same way. Sends the statement again if the first error allows it.
    async fn write(
        &self,
        ending: Ending,
        worker: WorkerId,
        runs: &[&FinishedRun],
        on_refusal: OnRefusal,
        relearns: Relearns,
    ) -> Result<Written, sqlx::Error> {
        if runs.iter().any(|run| has_following(run)) {
            return complete_then(&self.bounded, worker, runs, on_refusal, relearns).await;
        }
        let locked = if self.locks_at_settles.found_recently() { Locked::Skip } else { Locked::WaitFor };
        let mut written = match (ending, locked, epoch_of_alike(runs)) {
            (Ending::Complete, Locked::WaitFor, Some(epoch)) if !self.parents.found_recently() => {
                self.complete_alike(worker, epoch, runs).await
            }
            _ => write(ending, &self.bounded, worker, runs, locked).await,
        };
        if written.as_ref().is_err_and(is_locked) {
            self.locks_at_settles.found();
            written = write(ending, &self.bounded, worker, runs, Locked::Skip).await;
        }
        if written.as_ref().is_err_and(was_routed_late) {
            written = write(ending, &self.bounded, worker, runs, Locked::Skip).await;
        }
        match written {
            Err(error) if ending == Ending::Complete && refuses_the_data(&error) => {
                complete_one_by_one(&self.bounded, worker, runs, on_refusal).await
            }
            written => written,
        }
    }
}

/// The epoch of runs that `complete_alike` can end: all have this epoch, and none has a result.
fn epoch_of_alike(runs: &[&FinishedRun]) -> Option<Epoch> {
    let epoch = runs.first()?.fence.epoch;
    let is_alike = |run: &&FinishedRun| run.fence.epoch == epoch && matches!(run.settle, Settle::Complete(None));
    runs.iter().all(is_alike).then_some(epoch)
}

/// One result that cannot be stored must not block the other results of its batch, now and at each retry. So the job of
/// this result becomes dead, with the reason, or the run stays.
async fn complete_one_by_one(
    pool: &Bounded,
    worker: WorkerId,
    runs: &[&FinishedRun],
    on_refusal: OnRefusal,
) -> Result<Written, sqlx::Error> {
    let mut all = Written::default();
    for run in runs {
        let written = match write(Ending::Complete, pool, worker, &[run], Locked::Skip).await {
            Err(refusal) if refuses_the_data(&refusal) && on_refusal == OnRefusal::Keep => {
                Written::refused(run, &refusal)
            }
            Err(refusal) if refuses_the_data(&refusal) => {
                let error = format!("its result cannot be stored: {}", Cause(&refusal));
                let buried = FinishedRun { fence: run.fence, settle: Settle::Bury { error } };
                write(Ending::Bury, pool, worker, &[&buried], Locked::Skip).await?
            }
            written => written?,
        };
        all.add(written);
    }
    Ok(all)
}

/// Why the first statement found no row for these runs.
async fn look_again(pool: &Bounded, worker: WorkerId, runs: &[&FinishedRun]) -> Result<Vec<Settled>, sqlx::Error> {
    let verbs: Vec<&str> = runs.iter().map(|run| run.settle.ending().as_str()).collect();
    let final_state = |run: &&FinishedRun| run.settle.ending().final_state().map(State::as_str);
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
