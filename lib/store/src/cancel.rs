//! cancel: a client wants jobs stopped.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, uuids, word, worker},
};
use leasehold_core::{BATCH_MAX, Epoch, JobId, QueueName, State, WorkerId};
use sqlx::{Row, postgres::PgRow};
use std::collections::HashSet;

/// The answer to one cancel.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "columns")]
pub struct Cancelled {
    pub id: JobId,
    pub queue: QueueName,
    /// After the call: `Cancelled`, `Running` (its worker is to be told) or the final state it had before.
    pub state: State,
    pub running: Option<(WorkerId, Epoch)>,
    /// Whether this call changed anything.
    pub changed: bool,
}

impl Store {
    /// Cancels; an id of no job is not in the answer.
    ///
    /// # Errors
    /// That a statement failed.
    pub async fn cancel(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error> {
        let mut answers = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH_MAX) {
            let first = self.cancel_batch(batch).await?;
            let seen: HashSet<JobId> = first.iter().map(|answer| answer.id).collect();
            answers.extend(first);
            // A job that finished while the statement waited for its lock is in neither table as seen by it.
            let unseen: Vec<JobId> = batch.iter().filter(|id| !seen.contains(id)).copied().collect();
            if !unseen.is_empty() {
                answers.extend(self.cancel_batch(&unseen).await?);
            }
        }
        Ok(answers)
    }

    async fn cancel_batch(&self, ids: &[JobId]) -> Result<Vec<Cancelled>, Error> {
        let statement = sqlx::query(include_str!("../sql/cancel.sql")).bind(uuids(ids));
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("cancelling jobs"))
    }
}

fn decode(row: &PgRow) -> Result<Cancelled, sqlx::Error> {
    let epoch: Epoch = row.try_get("epoch")?;
    Ok(Cancelled {
        id: job_id(row, "id")?,
        queue: word(row, "queue")?,
        state: word(row, "state")?,
        running: worker(row, "worker")?.map(|worker| (worker, epoch)),
        changed: row.try_get("changed")?,
    })
}
