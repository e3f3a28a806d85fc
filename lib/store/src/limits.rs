//! Limits of keys: the limits that an operator sets, and the jobs that come back into the line when a key has room.
//!
//! `claim.rs` takes slots and tokens. This file never does.

use crate::{connect::Store, error::Error, promote::waiting, read::row_locker, row::time, statement::statement};
use chrono::{DateTime, Utc};
use leasehold_core::{FinishedRun, JobId, Settled};
use leasehold_ports::{Admitted, HeldLimit, Waiting};
use serde::Serialize;
use sqlx::{Row, postgres::PgRow};
use uuid::Uuid;

const DOING: &str = "setting a limit";
const REMOVING: &str = "removing a limit";
/// The most jobs of one queue and kind that one call brings into the line, for a key without a limit.
const ADMIT_MAX: i32 = 1000;
/// How long a reaper waits for the claims under way, while no other claim begins. A claim waits for 50 ms at most.
const APPLY_TIMEOUT: &str = "100ms";

/// The limit of a key, or of each key that matches a pattern, as an operator sets it. A later version may have more fields.
///
/// ```
/// # use leasehold_store::KeyLimit;
/// let limit = KeyLimit::default().running(10).rate("600/m").burst(20);
/// assert_eq!(limit.rate.as_deref(), Some("600/m"));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(not(feature = "struct-literals"), non_exhaustive)]
pub struct KeyLimit {
    /// The most runs at the same time; `None`: any number.
    pub running: Option<i32>,
    /// The most starts in a time, such as `10/s` or `600/m`; `None`: any number.
    pub rate: Option<String>,
    /// The most starts at one moment; `None`: as many as in one second.
    pub burst: Option<i32>,
}

impl KeyLimit {
    /// The most runs at the same time.
    #[must_use]
    pub fn running(self, most: i32) -> Self {
        Self { running: Some(most), ..self }
    }

    /// The most starts in a time, such as `10/s` or `600/m`.
    #[must_use]
    pub fn rate(self, rate: impl Into<String>) -> Self {
        Self { rate: Some(rate.into()), ..self }
    }

    /// The most starts at one moment.
    #[must_use]
    pub fn burst(self, most: i32) -> Self {
        Self { burst: Some(most), ..self }
    }
}

leasehold_core::with_fields!(KeyLimit);

/// A limit, and its current effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LimitRecord {
    /// The key, or the pattern, which ends in `*`.
    pub key: String,
    /// The most runs at the same time.
    pub running: Option<i32>,
    /// The most starts in a time.
    pub rate: Option<String>,
    /// The most starts at one moment.
    pub burst: Option<i32>,
    /// When the limit was set.
    pub changed_at: DateTime<Utc>,
    /// How many runs count against the limit now; for a pattern, the runs of all its keys. Always 0 for a rate alone.
    pub running_now: i64,
    /// How many jobs of the key are queued, counted up to 10,000. A job with several keys counts for the key that it waits for.
    pub waiting: i64,
}

impl Store {
    /// Sets the limit of a key or a pattern, and applies it. Replaces an earlier one. Running jobs continue. After the
    /// answer no run starts by the earlier limit.
    ///
    /// # Errors
    /// The limit is not valid; [`Error::Locked`] if another session holds the limit for longer than the lock timeout; or a
    /// statement failed.
    pub async fn set_limit(&self, key: &str, change: &KeyLimit) -> Result<(), Error> {
        let statement = |lock_timeout: &'static str| {
            sqlx::query(include_str!("../sql/limit_set.sql"))
                .bind(key)
                .bind(change.running)
                .bind(change.rate.as_deref())
                .bind(change.burst)
                .bind(lock_timeout)
        };
        self.change(DOING, || format!("the limit of {key:?}"), &statement).await?;
        self.admit_all(key).await
    }

    /// Ends the limit of a key or a pattern. The jobs that wait for its room come into the line. Returns whether there was a
    /// limit to remove.
    ///
    /// # Errors
    /// [`Error::Locked`] as for [`Store::set_limit`], or a statement failed. If the limit has ended, a reaper brings the jobs into the line.
    pub async fn remove_limit(&self, key: &str) -> Result<bool, Error> {
        let statement = |lock_timeout: &'static str| {
            sqlx::query(include_str!("../sql/limit_remove.sql")).bind(key).bind(lock_timeout)
        };
        let rows = self.change(REMOVING, || format!("the limit of {key:?}"), &statement).await?;
        let removed = rows.first().map(|row| row.try_get(0)).transpose().map_err(Error::sql(REMOVING))?;
        let removed = removed.unwrap_or(false);
        self.admit_all(key).await?;
        Ok(removed)
    }

    /// Applies the requested changes of limits. False: claims under way took too long, and nothing has changed.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn apply_limits(&self) -> Result<bool, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/apply_limits.sql")).bind(APPLY_TIMEOUT);
        match statement.fetch_one(&self.bounded).await.map_err(Error::sql("putting limits into force")) {
            Err(error) if error.is_locked() => Ok(false),
            answer => answer,
        }
    }

    /// The limits, by key: all limits, or the limit of one key or pattern.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn limits(&self, key: Option<&str>) -> Result<Vec<LimitRecord>, Error> {
        let statement = sqlx::query(include_str!("../sql/limits.sql")).bind(key).try_map(|row: PgRow| {
            Ok(LimitRecord {
                key: row.try_get("key")?,
                running: row.try_get("running")?,
                rate: row.try_get("rate")?,
                burst: row.try_get("burst")?,
                changed_at: time(&row, "changed_at")?,
                running_now: row.try_get("running_now")?,
                waiting: row.try_get("waiting")?,
            })
        });
        statement.fetch_all(&self.long_statements).await.map_err(Error::sql("reading limits"))
    }

    /// The current effect of the limits of these keys: one answer for each key that has a limit.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn held_limits(&self, keys: &[String]) -> Result<Vec<HeldLimit>, Error> {
        let statement = sqlx::query(statement!("limit_holders")).bind(keys).try_map(|row: PgRow| {
            Ok(HeldLimit {
                key: row.try_get("key")?,
                running: row.try_get("running")?,
                running_now: row.try_get("running_now")?,
                holders: row.try_get::<Vec<Uuid>, _>("holders")?.into_iter().map(JobId).collect(),
                token_in_ms: row.try_get("token_in_ms")?,
                locked_by: row_locker(&row)?,
            })
        });
        statement.fetch_all(&self.bounded).await.map_err(Error::sql("reading who holds the limits of a job"))
    }

    /// Brings jobs that wait for room of these keys into the line, as far as the keys have room.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn admit(&self, keys: &[String]) -> Result<Vec<Waiting>, Error> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let statement = sqlx::query(include_str!("../sql/admit.sql")).bind(keys).bind(ADMIT_MAX);
        let rows = statement.try_map(|row| waiting(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("bringing jobs of limit keys into the line"))
    }

    /// The same for up to `keys` keys after this key, and up to `limit` jobs for each queue and kind of a key: for a reaper.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn admit_next(&self, after: &str, keys: i32, limit: i32) -> Result<Admitted, Error> {
        let statement = sqlx::query(include_str!("../sql/admit_next.sql")).bind(after).bind(keys).bind(limit);
        let rows = statement.fetch_all(&self.bounded).await;
        let sql = || Error::sql("bringing jobs of limit keys into the line");
        let mut admitted = Admitted::default();
        for row in rows.map_err(sql())? {
            match row.try_get::<Option<Uuid>, _>("id").map_err(sql())? {
                Some(_) => admitted.waiting.push(waiting(&row).map_err(sql())?),
                None => admitted.last_key = row.try_get("last_key").map_err(sql())?,
            }
        }
        Ok(admitted)
    }

    /// Brings up to `limit` jobs for each queue and kind of the keys whose next token comes soon into the line: for a reaper.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn admit_tokens(&self, limit: i32) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(include_str!("../sql/admit_tokens.sql")).bind(limit);
        let rows = statement.try_map(|row| waiting(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("bringing jobs whose tokens come into the line"))
    }

    /// Called after an operator has given a key more room. All its jobs that may start come into the line; for a pattern, a
    /// reaper does the same for its keys. The jobs are in the line but not in the head: a reaper fills the head. The limit is
    /// already changed, so a lock of another session is no error: the reaper brings these jobs too.
    async fn admit_all(&self, key: &str) -> Result<(), Error> {
        let keys = [key.to_owned()];
        loop {
            match self.admit(&keys).await {
                Ok(jobs) if jobs.len() >= usize::try_from(ADMIT_MAX).unwrap_or_default() => {}
                Err(error) if !error.may_be_locked() => return Err(error),
                _ => return Ok(()),
            }
        }
    }

    /// The jobs that come into the line because these runs have ended. After an error, a reaper finds the jobs that this call did
    /// not move.
    pub(crate) async fn admit_after(&self, runs: &[FinishedRun], answers: &[Settled]) -> Vec<Waiting> {
        let ended = runs.iter().zip(answers).filter(|(_, answer)| matches!(answer, Settled::Done | Settled::Already));
        let keys = self.limited_runs.ended(ended.map(|(run, _)| run.fence));
        self.admit(&keys).await.unwrap_or_default()
    }

    /// Jobs that have come into the line, each with the limit key whose room it waits for. Admits the jobs whose keys have room.
    pub(crate) async fn admit_placed(&self, placed: Vec<(Waiting, Option<String>)>) -> Vec<Waiting> {
        let mut keys: Vec<String> = placed.iter().filter_map(|(_, key)| key.clone()).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut waiting: Vec<Waiting> = placed.into_iter().map(|(job, _)| job).collect();
        for admitted in self.admit(&keys).await.unwrap_or_default() {
            match waiting.iter_mut().find(|job| job.id == admitted.id) {
                Some(job) => *job = admitted,
                None => waiting.push(admitted),
            }
        }
        waiting
    }
}
