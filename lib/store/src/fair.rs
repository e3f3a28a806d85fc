//! Fair shares of a queue: which parked jobs come into the line, and the settings that an operator makes for this.

use crate::{connect::Store, error::Error, promote::in_line_or_behind, queue_settings::QueueChange};
use leasehold_core::{FinishedRun, JobId, QueueName, Settle, Settled};
use leasehold_ports::{Admitted, FairShare, Waiting};
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};
use std::collections::BTreeMap;
use uuid::Uuid;

const ADMITTING: &str = "bringing jobs of fair keys into the line";
/// How many admitted jobs of one queue and kind may wait in the line. With fewer jobs, a change of weights has an effect sooner.
/// But a fleet that ends all of them before the line is checked again would stand still.
pub const FAIR_WINDOW: i32 = 500;
/// Jobs that one statement moves when the setting `fair` of a queue has changed.
const MOVED_AT_ONCE: i64 = 1000;
/// How far `explain` counts.
const COUNTED: i64 = 100_000;
/// Tags that one statement deletes.
const TRIMMED_AT_ONCE: i32 = 1000;

/// The weight of a fair key: its part of the queue, compared with the other keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct FairWeight {
    /// The key.
    pub fair_key: String,
    /// The weight. A key without a weight has the weight 1.
    pub weight: f64,
}

crate::from_row!(FairWeight { fair_key, weight });

impl Store {
    /// Brings parked jobs of a queue into the line, if its window of admitted jobs has room. `keys` are the fair keys of jobs that have
    /// just been parked, or none.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn admit_fair(&self, queue: &QueueName, keys: &[String]) -> Result<Vec<Waiting>, Error> {
        self.admit_lanes(queue, Some(keys)).await
    }

    /// Called after an operator has changed the shares of a queue. The change is already made, so a lock of another session is no
    /// error: a reaper brings the jobs into the line.
    async fn admit_changed(&self, queue: &QueueName) -> Result<Vec<Waiting>, Error> {
        match self.admit_lanes(queue, None).await {
            Err(error) if error.may_be_locked() => Ok(Vec::new()),
            admitted => admitted,
        }
    }

    async fn admit_lanes(&self, queue: &QueueName, keys: Option<&[String]>) -> Result<Vec<Waiting>, Error> {
        let statement =
            sqlx::query(include_str!("../sql/admit_fair.sql")).bind(queue.as_str()).bind(keys).bind(FAIR_WINDOW);
        let rows = statement.try_map(|row| in_line_or_behind(&row)).fetch_all(&self.bounded).await;
        Ok(self.admit_placed(rows.map_err(Error::sql(ADMITTING))?).await)
    }

    /// The same for up to `queues` queues after this queue, with all their lanes: for a reaper. Also moves jobs whose queue has changed its
    /// setting `fair`.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn admit_fair_next(&self, after: &str, queues: i32) -> Result<Admitted, Error> {
        let statement = sqlx::query(include_str!("../sql/admit_fair_next.sql"))
            .bind(after)
            .bind(queues)
            .bind(FAIR_WINDOW)
            .bind(MOVED_AT_ONCE);
        let rows = statement.fetch_all(&self.bounded).await.map_err(Error::sql(ADMITTING))?;
        let (mut jobs, mut admitted) = (Vec::new(), Admitted::default());
        for row in rows {
            match row.try_get::<Option<Uuid>, _>("id").map_err(Error::sql(ADMITTING))? {
                Some(_) => jobs.push(in_line_or_behind(&row).map_err(Error::sql(ADMITTING))?),
                None => admitted.last_key = row.try_get("last_queue").map_err(Error::sql(ADMITTING))?,
            }
        }
        admitted.waiting = self.admit_placed(jobs).await;
        Ok(admitted)
    }

    /// Sets whether the jobs of a queue that have fair keys share it, and moves the waiting jobs. Returns how many moved. A
    /// reaper moves the jobs that are left. Jobs of paused keys stay parked until these are resumed.
    ///
    /// # Errors
    /// [`Error::Locked`] if another session holds the row of the queue for longer than the lock timeout; or a statement failed.
    pub async fn set_fair(&self, queue: &QueueName, fair: bool) -> Result<u64, Error> {
        self.set_queue(queue, &QueueChange { fair: Some(fair), ..QueueChange::default() }).await?;
        let mut moved = 0;
        loop {
            let statement =
                sqlx::query(include_str!("../sql/follow_fair.sql")).bind(queue.as_str()).bind(MOVED_AT_ONCE);
            let rows = statement.fetch_all(&self.bounded).await.map_err(Error::sql("moving jobs of fair keys"))?;
            if rows.is_empty() {
                break;
            }
            moved += rows.len() as u64;
        }
        self.admit_changed(queue).await?;
        Ok(moved)
    }

    /// Sets the weight of a fair key: its part of a queue, compared with the other keys. The backlog changes its order
    /// immediately. Returns the jobs that have left the line, and then the jobs that have come into the line. A job can be both.
    ///
    /// # Errors
    /// The weight is not valid, or the statement failed.
    pub async fn set_fair_weight(
        &self,
        queue: &QueueName,
        fair_key: &str,
        weight: f64,
    ) -> Result<(Vec<JobId>, Vec<Waiting>), Error> {
        const DOING: &str = "setting the weight of a fair key";
        let statement = |lock_timeout: &'static str| {
            let statement = sqlx::query(include_str!("../sql/fair_weight.sql"));
            statement.bind(queue.as_str()).bind(fair_key).bind(weight).bind(lock_timeout)
        };
        let rows = self.change(DOING, || described(queue, fair_key), &statement).await?;
        let parked: Result<_, _> = rows.iter().map(|row| row.try_get("id").map(JobId)).collect();
        let parked = parked.map_err(Error::sql(DOING))?;
        Ok((parked, self.admit_changed(queue).await?))
    }

    /// Pauses a fair key in a queue: no job of the key starts until the key is resumed. Returns whether that changed anything,
    /// and the jobs that have left the line.
    ///
    /// # Errors
    /// The fair keys of the queue are only labels, or the statement failed.
    pub async fn pause_fair_key(&self, queue: &QueueName, fair_key: &str) -> Result<(bool, Vec<JobId>), Error> {
        const DOING: &str = "pausing a fair key";
        let statement = |lock_timeout: &'static str| {
            let statement = sqlx::query(include_str!("../sql/pause_fair_key.sql"));
            statement.bind(queue.as_str()).bind(fair_key).bind(lock_timeout)
        };
        let rows = self.change(DOING, || described(queue, fair_key), &statement).await?;
        let answer = |row: &PgRow| Ok((row.try_get("changed")?, row.try_get::<Vec<Uuid>, _>("parked")?));
        let (changed, parked) = rows.first().map(answer).transpose().map_err(Error::sql(DOING))?.unwrap_or_default();
        Ok((changed, parked.into_iter().map(JobId).collect()))
    }

    /// Resumes a fair key in a queue. Returns whether it was paused, and the jobs that are now in the line.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn resume_fair_key(&self, queue: &QueueName, fair_key: &str) -> Result<(bool, Vec<Waiting>), Error> {
        let statement = |lock_timeout: &'static str| {
            let statement = sqlx::query(include_str!("../sql/resume_fair_key.sql"));
            statement.bind(queue.as_str()).bind(fair_key).bind(lock_timeout)
        };
        let rows = self.change("resuming a fair key", || described(queue, fair_key), &statement).await?;
        Ok((!rows.is_empty(), self.admit_changed(queue).await?))
    }

    /// The weights that somebody has set in a queue, by key.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn fair_weights(&self, queue: &QueueName) -> Result<Vec<FairWeight>, Error> {
        let statement = sqlx::query_as(include_str!("../sql/fair_weights.sql")).bind(queue.as_str());
        statement.fetch_all(&self.bounded).await.map_err(Error::sql("reading the weights of a queue"))
    }

    /// The reasons why a parked job waits.
    pub(crate) async fn fair_share(&self, id: JobId) -> Result<Option<FairShare>, Error> {
        let statement = sqlx::query(include_str!("../sql/fair_share.sql")).bind(id.0).bind(COUNTED);
        let share = |row: PgRow| {
            let count = |name| row.try_get::<i64, _>(name).map(|count| u64::try_from(count).unwrap_or_default());
            Ok(FairShare {
                fair_key: row.try_get("fair_key")?,
                weight: row.try_get("weight")?,
                keys: count("keys")?,
                paused: row.try_get("paused")?,
                before: count("before")?,
                at_least: count("before")? >= u64::try_from(COUNTED).unwrap_or(u64::MAX),
            })
        };
        statement.try_map(share).fetch_optional(&self.bounded).await.map_err(Error::sql("reading the share of a job"))
    }

    /// Deletes the tags of fair keys that no longer have an effect.
    pub(crate) async fn trim_fair(&self) -> Result<(), sqlx::Error> {
        loop {
            let statement = sqlx::query_scalar(include_str!("../sql/trim_fair.sql")).bind(TRIMMED_AT_ONCE);
            let deleted: i64 = statement.fetch_one(&self.long_statements).await?;
            if deleted < i64::from(TRIMMED_AT_ONCE) {
                return Ok(());
            }
        }
    }

    /// The jobs that come into the line because these runs have ended, or have follow-on jobs with fair keys. After an error, a
    /// reaper finds the jobs that this call did not move.
    pub(crate) async fn admit_fair_after(&self, runs: &[FinishedRun], answers: &[Settled]) -> Vec<Waiting> {
        let ended =
            || runs.iter().zip(answers).filter(|(_, answer)| matches!(answer, Settled::Done | Settled::Already));
        let mut due: BTreeMap<QueueName, Vec<String>> = BTreeMap::new();
        due.extend(
            self.fair_runs.ended(ended().map(|(run, _)| run.fence)).into_iter().map(|queue| (queue, Vec::new())),
        );
        for (run, _) in ended() {
            let Settle::CompleteThen(success) = &run.settle else { continue };
            for job in &success.then {
                if let Some(key) = &job.fair_key {
                    due.entry(job.queue.clone()).or_default().push(key.clone());
                }
            }
        }
        self.admit_each(due).await
    }

    /// Jobs that have come into the line or were parked. Admits parked jobs, as far as their shares allow.
    pub(crate) async fn admit_parked(
        &self,
        mut waiting: Vec<Waiting>,
        parked: Vec<(QueueName, String)>,
    ) -> Vec<Waiting> {
        let mut due: BTreeMap<QueueName, Vec<String>> = BTreeMap::new();
        for (queue, key) in parked {
            due.entry(queue).or_default().push(key);
        }
        // A job that changes its turn is in the answer twice, and both entries are kept.
        let given = waiting.len();
        for admitted in self.admit_each(due).await {
            match waiting[..given].iter_mut().find(|job| job.id == admitted.id) {
                Some(job) => *job = admitted,
                None => waiting.push(admitted),
            }
        }
        waiting
    }

    async fn admit_each(&self, due: BTreeMap<QueueName, Vec<String>>) -> Vec<Waiting> {
        let mut waiting = Vec::new();
        for (queue, mut keys) in due {
            keys.sort_unstable();
            keys.dedup();
            waiting.extend(self.admit_fair(&queue, &keys).await.unwrap_or_default());
        }
        waiting
    }
}

/// A fair key, for errors.
fn described(queue: &QueueName, fair_key: &str) -> String {
    format!("fair key {fair_key:?} of queue {queue}")
}
