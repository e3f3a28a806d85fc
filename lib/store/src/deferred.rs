//! Results of runs that stopping workers left for a reaper to write.

use crate::{
    connect::Store,
    error::Error,
    job_words,
    row::{job_id, json, word},
    settle_statement::{OnRefusal, delay_of, text_of},
};
use leasehold_core::{Ending, Fence, FinishedRun, Settle, Success, WorkerId};
use leasehold_ports::Deferred;
use sqlx::{Row, postgres::PgRow};
use std::time::Duration;

impl Store {
    /// Leaves the results of runs whose rows are locked, for a reaper to write. May be sent again when the answer was
    /// lost.
    ///
    /// # Errors
    /// The statement failed, and no result was stored.
    pub async fn defer(&self, ends: &[Deferred]) -> Result<(), Error> {
        const DOING: &str = "storing deferred results";
        let runs: Vec<FinishedRun> = ends.iter().map(|end| end.run.clone()).collect();
        // This insert does not report that a queue takes encrypted payloads since a moment ago, so such payloads stay plain here.
        // They are refused or encrypted when a reaper settles the run.
        let encrypted = self.encrypted_ends(&runs, OnRefusal::Bury).await?.runs;
        let queue_of = |(end, run): (&Deferred, &FinishedRun)| Deferred { queue: end.queue.clone(), run: run.clone() };
        let ends: Vec<Deferred> = ends.iter().zip(encrypted.iter()).map(queue_of).collect();
        let of = |end: &Deferred| end.run.fence;
        let following: Result<Vec<Option<String>>, sqlx::Error> = ends.iter().map(following_of).collect();
        let following = following.map_err(Error::sql(DOING))?;
        sqlx::query(include_str!("../sql/defer_settles.sql"))
            .bind(ends.iter().map(|end| of(end).id.0).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| of(end).epoch).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| of(end).worker.0).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| end.queue.as_str()).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| end.run.settle.ending().as_str()).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| text_of(&end.run.settle)).collect::<Vec<_>>())
            .bind(ends.iter().map(|end| delay_of(&end.run.settle)).collect::<Vec<_>>())
            .bind(following)
            .execute(&self.bounded)
            .await
            .map(drop)
            .map_err(Error::sql(DOING))
    }

    /// Up to `limit` results that workers have left, the oldest first.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn deferred(&self, limit: i64) -> Result<Vec<Deferred>, Error> {
        let statement = sqlx::query(include_str!("../sql/deferred_settles.sql")).bind(limit);
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("reading deferred results"))
    }

    /// Deletes deferred results that have been written or refused.
    ///
    /// # Errors
    /// The statement failed. In this case the results are settled again, which changes nothing.
    pub async fn deferred_done(&self, runs: &[Fence]) -> Result<(), Error> {
        sqlx::query(include_str!("../sql/deferred_settles_done.sql"))
            .bind(runs.iter().map(|fence| fence.id.0).collect::<Vec<_>>())
            .bind(runs.iter().map(|fence| fence.epoch).collect::<Vec<_>>())
            .execute(&self.bounded)
            .await
            .map(drop)
            .map_err(Error::sql("deleting deferred results"))
    }
}

/// The jobs that follow from the end of the run, as JSON.
fn following_of(end: &Deferred) -> Result<Option<String>, sqlx::Error> {
    match &end.run.settle {
        Settle::CompleteThen(success) => {
            job_words::json(success.then.iter()).map(Some).map_err(|error| sqlx::Error::Encode(error.into()))
        }
        _ => Ok(None),
    }
}

fn decode(row: &PgRow) -> Result<Deferred, sqlx::Error> {
    let fence =
        Fence { id: job_id(row, "id")?, epoch: row.try_get("epoch")?, worker: WorkerId(row.try_get("worker")?) };
    let text: Option<String> = row.try_get("text")?;
    let delay = Duration::from_millis(u64::try_from(row.try_get::<i64, _>("delay_ms")?).unwrap_or_default());
    let following: Option<String> = row.try_get("following")?;
    let settle = match word(row, "verb")? {
        Ending::Complete if following.is_some() => {
            let then = job_words::read(&following.unwrap_or_default());
            let then = then.map_err(|error| sqlx::Error::Decode(error.into()))?;
            Settle::CompleteThen(Box::new(Success { result: json(row, "text")?, then }))
        }
        Ending::Complete => Settle::Complete(json(row, "text")?),
        Ending::Retry => Settle::Retry { delay, error: text.unwrap_or_default() },
        Ending::Snooze => Settle::Snooze { delay, reason: text },
        Ending::Release => Settle::Release,
        Ending::Bury => Settle::Bury { error: text.unwrap_or_default() },
        Ending::Cancel => Settle::Cancel,
    };
    Ok(Deferred { queue: word(row, "queue")?, run: FinishedRun { fence, settle } })
}
