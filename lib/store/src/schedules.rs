//! Schedules: rows that enqueue a job again and again. Clients set them, and reapers fire them.
//!
//! This file has no calendar: the caller computes the next tick.

use crate::{
    connect::Store,
    error::Error,
    row::{job_id, json_present, millis, retry, time, time_if_any, word},
};
use chrono::{DateTime, SecondsFormat, Utc};
use leasehold_core::{
    FieldError, InvalidJob, JobId, Kind, Missed, NewJob, NewSchedule, QueueName, Retry, ScheduleName, Timing, Unique,
};
use leasehold_ports::{DueSchedule, DueSchedules, Fire, FireOutcome, TickJob};
use serde::Serialize;
use serde_json::value::RawValue;
use sqlx::{
    Postgres, Row,
    postgres::{PgArguments, PgRow},
    query::Query,
};
use std::time::Duration;
use uuid::Uuid;

/// A schedule as it is now.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "the columns of the table, described in docs/reference.md")]
#[non_exhaustive]
pub struct Schedule {
    pub name: ScheduleName,
    #[serde(skip)]
    pub revision: i64,
    pub cron: Option<String>,
    pub timezone: Option<String>,
    pub every_ms: Option<i64>,
    pub missed: Missed,
    pub queue: QueueName,
    pub kind: Kind,
    pub payload: Box<RawValue>,
    pub priority: i16,
    pub max_attempts: i32,
    pub timeout_ms: Option<i32>,
    pub unique_key: Option<String>,
    /// The first of `limit_keys`.
    pub limit_key: Option<String>,
    pub limit_keys: Option<Vec<String>>,
    pub retry: Option<Retry>,
    pub expires_in_ms: Option<i64>,
    pub unique: Option<Unique>,
    pub batch: Option<String>,
    pub fair_key: Option<String>,
    pub webhook: Option<String>,
    /// `None` while the schedule is paused.
    pub next_at: Option<DateTime<Utc>>,
    pub paused_at: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub changed_at: DateTime<Utc>,
    /// The last tick that made a job, and the job.
    pub last_tick: Option<DateTime<Utc>>,
    pub last_job: Option<JobId>,
    pub last_error: Option<String>,
    /// When this was read, by the clock of the database.
    #[serde(skip)]
    pub as_of: DateTime<Utc>,
}

impl Schedule {
    /// When the schedule fires.
    #[must_use]
    pub fn timing(&self) -> Timing {
        timing(self.cron.clone(), self.timezone.clone(), self.every_ms)
    }

    /// A new job like the jobs of the ticks, due immediately.
    #[must_use]
    pub fn job(&self) -> NewJob {
        let ms = |ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default());
        NewJob::new(self.kind.clone(), self.payload.clone()).with(|job| {
            job.queue = self.queue.clone();
            job.priority = self.priority;
            job.max_attempts = self.max_attempts;
            job.timeout = self.timeout_ms.map(|timeout| ms(timeout.into()));
            job.unique_key.clone_from(&self.unique_key);
            job.limit_keys = self.limit_keys.clone().unwrap_or_default();
            job.retry = self.retry;
            job.expires_in = self.expires_in_ms.map(ms);
            job.unique.clone_from(&self.unique);
            job.batch.clone_from(&self.batch);
            job.fair_key.clone_from(&self.fair_key);
            job.webhook.clone_from(&self.webhook);
        })
    }

    fn decode(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self {
            name: word(row, "name")?,
            revision: row.try_get("revision")?,
            cron: row.try_get("cron")?,
            timezone: row.try_get("timezone")?,
            every_ms: row.try_get("every_ms")?,
            missed: missed(row)?,
            queue: word(row, "queue")?,
            kind: word(row, "kind")?,
            payload: json_present(row, "payload")?,
            priority: row.try_get("priority")?,
            max_attempts: row.try_get("max_attempts")?,
            timeout_ms: row.try_get("timeout_ms")?,
            unique_key: row.try_get("unique_key")?,
            limit_key: row.try_get("limit_key")?,
            limit_keys: row.try_get("limit_keys")?,
            retry: retry(row)?,
            expires_in_ms: row.try_get("expires_in_ms")?,
            unique: row.try_get::<Option<&str>, _>("unique")?.and_then(|text| serde_json::from_str(text).ok()),
            batch: row.try_get("batch")?,
            fair_key: row.try_get("fair_key")?,
            webhook: row.try_get("webhook")?,
            next_at: time_if_any(row, "next_at")?,
            paused_at: time_if_any(row, "paused_at")?,
            created_at: time(row, "created_at")?,
            changed_at: time(row, "changed_at")?,
            last_tick: time_if_any(row, "last_tick")?,
            last_job: row.try_get::<Option<Uuid>, _>("last_job")?.map(JobId),
            last_error: row.try_get("last_error")?,
            as_of: time(row, "as_of")?,
        })
    }
}

/// A change that a client makes to one schedule.
#[derive(Clone, Debug)]
pub enum ScheduleChange<'a> {
    /// Makes the schedule, or changes the schedule of this name. `next_at` counts unless the timing stays the same.
    Set {
        /// The schedule.
        schedule: &'a NewSchedule,
        /// The first tick from now on.
        next_at: DateTime<Utc>,
    },
    /// Pauses the schedule.
    Pause,
    /// Resumes the schedule, if it has not changed since it was read.
    Resume {
        /// The revision that was read.
        revision: i64,
        /// The first tick from now on.
        next_at: DateTime<Utc>,
    },
    /// Removes the schedule.
    Remove,
}

impl Store {
    /// The schedule of this name, or all of them, by name.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn schedules(&self, name: Option<&ScheduleName>) -> Result<Vec<Schedule>, Error> {
        let statement = sqlx::query(include_str!("../sql/schedules.sql")).bind(name.map(ScheduleName::as_str));
        let rows = statement.try_map(|row| Schedule::decode(&row)).fetch_all(&self.bounded).await;
        let mut rows = rows.map_err(Error::sql("reading schedules"))?;
        for Schedule { name, kind, payload, .. } in &mut rows {
            let stored = std::mem::take(payload);
            *payload = self.readable_payload_of(name, kind, stored);
        }
        Ok(rows)
    }

    /// Changes one schedule. Returns whether this changed the schedule; `None` if no schedule has this name.
    ///
    /// # Errors
    /// [`Error::Invalid`] before anything is sent, [`Error::Locked`], or the statement failed.
    pub async fn change_schedule(
        &self,
        name: &ScheduleName,
        change: ScheduleChange<'_>,
    ) -> Result<Option<bool>, Error> {
        let ScheduleChange::Set { schedule, next_at } = change else { return self.send_schedule(name, &change).await };
        schedule.job.validate()?;
        self.knows_webhook(schedule.job.webhook.as_deref()).await?;
        let mut sent = schedule.clone();
        sent.job = self.encrypted_for(name, &schedule.job).await?;
        match self.send_schedule(name, &ScheduleChange::Set { schedule: &sent, next_at }).await {
            Err(error) if self.learns_of_a_queue(&error) => {
                sent.job = self.encrypted_for(name, &schedule.job).await?;
                self.send_schedule(name, &ScheduleChange::Set { schedule: &sent, next_at }).await
            }
            changed => changed,
        }
    }

    /// The job must be in the form for PostgreSQL: encrypted, if its queue asks for it.
    async fn send_schedule(&self, name: &ScheduleName, change: &ScheduleChange<'_>) -> Result<Option<bool>, Error> {
        let statement = |lock_timeout: &'static str| statement(name, change, lock_timeout);
        let rows = self.change(DOING, || format!("schedule {name}"), &statement).await?;
        rows.first().map(|row| row.try_get("changed")).transpose().map_err(Error::sql(DOING))
    }

    /// Refuses the id of a webhook that does not exist. A webhook that is removed later keeps no schedule from firing.
    async fn knows_webhook(&self, id: Option<&str>) -> Result<(), Error> {
        let Some(id) = id else { return Ok(()) };
        if self.webhooks(Some(id)).await?.is_empty() {
            let problem = format!("is '{id}', and there is no webhook of this id");
            return Err(InvalidJob(vec![FieldError::new("webhook", problem)]).into());
        }
        Ok(())
    }

    /// Up to `limit` schedules whose tick has come: from all schedules, or only from the schedules whose tick was at
    /// or after `since`. A row that somebody wrote by hand and that has neither cron nor an interval cannot be there.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn due_schedules(&self, limit: i64, since: Option<DateTime<Utc>>) -> Result<DueSchedules, Error> {
        let sql = || Error::sql("reading due schedules");
        let statement = sqlx::query(include_str!("../sql/schedule_due.sql")).bind(limit).bind(since);
        let rows = statement.fetch_all(&self.bounded).await.map_err(sql())?;
        due(&rows).map_err(sql())
    }

    /// The schedules whose next tick is in the future, for an operator's check; `None`: there is no such schedule.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn schedules_ahead(&self) -> Result<Option<DueSchedules>, Error> {
        let sql = || Error::sql("reading schedules");
        let statement = sqlx::query(include_str!("../sql/schedules_ahead.sql"));
        let rows = statement.fetch_all(&self.long_statements).await.map_err(sql())?;
        if rows.is_empty() { Ok(None) } else { due(&rows).map(Some).map_err(sql()) }
    }

    /// Moves each schedule to its next tick and enqueues its jobs: both, or neither. The answers are in order.
    ///
    /// # Errors
    /// The statement failed; then nothing has changed.
    pub async fn fire_schedules(&self, fires: &[Fire]) -> Result<Vec<FireOutcome>, Error> {
        let sql = || Error::sql("firing schedules");
        let rows = sqlx::query(include_str!("../sql/schedule_fire.sql"))
            .bind(fires.iter().map(|fire| fire.name.as_str()).collect::<Vec<_>>())
            .bind(fires.iter().map(|fire| fire.revision).collect::<Vec<_>>())
            .bind(fires.iter().map(|fire| fire.due_at).collect::<Vec<_>>())
            .bind(fires.iter().map(|fire| array_of(&fire.ticks)).collect::<Vec<_>>())
            .bind(fires.iter().map(|fire| fire.next_at).collect::<Vec<_>>())
            .bind(fires.iter().map(|fire| fire.error.as_deref()).collect::<Vec<_>>())
            .fetch_all(&self.bounded)
            .await
            .map_err(sql())?;
        let mut outcomes: Vec<FireOutcome> = fires.iter().map(|_| FireOutcome::Elsewhere).collect();
        for row in &rows {
            decode_outcome(row, &mut outcomes).map_err(sql())?;
        }
        Ok(outcomes)
    }
}

const DOING: &str = "changing a schedule";

/// The statement of a change, with its lock timeout.
fn statement<'q>(
    name: &'q ScheduleName,
    change: &'q ScheduleChange<'_>,
    lock_timeout: &'static str,
) -> Query<'q, Postgres, PgArguments> {
    let name = name.as_str();
    match change {
        ScheduleChange::Set { schedule, next_at } => {
            let limit_keys = (!schedule.job.limit_keys.is_empty()).then_some(&schedule.job.limit_keys[..]);
            set(schedule, *next_at)
                .bind(lock_timeout)
                .bind(limit_keys)
                .bind(schedule.job.fair_key.as_deref())
                .bind(schedule.job.webhook.as_deref())
        }
        ScheduleChange::Pause => sqlx::query(include_str!("../sql/schedule_pause.sql")).bind(name).bind(lock_timeout),
        ScheduleChange::Resume { revision, next_at } => sqlx::query(include_str!("../sql/schedule_resume.sql"))
            .bind(name)
            .bind(revision)
            .bind(next_at)
            .bind(lock_timeout),
        ScheduleChange::Remove => sqlx::query(include_str!("../sql/schedule_remove.sql")).bind(name).bind(lock_timeout),
    }
}

fn set(schedule: &NewSchedule, next_at: DateTime<Utc>) -> Query<'_, Postgres, PgArguments> {
    let (cron, timezone) = schedule.timing.cron().unzip();
    let every = schedule.timing.every().map(|every| i64::try_from(every.as_millis()).unwrap_or(i64::MAX));
    let job = &schedule.job;
    sqlx::query(include_str!("../sql/schedule_set.sql"))
        .bind(schedule.name.as_str())
        .bind(cron)
        .bind(timezone)
        .bind(every)
        .bind(i16::try_from(schedule.missed.limit()).unwrap_or(i16::MAX))
        .bind(job.queue.as_str())
        .bind(job.kind.as_str())
        .bind(job.payload.get())
        .bind(job.priority)
        .bind(job.max_attempts)
        .bind(job.timeout.map(|timeout| i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX)))
        .bind(job.unique_key.as_deref())
        .bind(job.limit_keys.first())
        .bind(next_at)
        .bind(job.retry.and_then(|retry| serde_json::to_string(&retry).ok()))
        .bind(job.expires_in.map(millis))
        .bind(job.unique.as_ref().and_then(|unique| serde_json::to_string(unique).ok()))
        .bind(job.batch.as_deref())
}

fn timing(cron: Option<String>, timezone: Option<String>, every_ms: Option<i64>) -> Timing {
    match cron {
        Some(cron) => Timing::Cron { cron, timezone: timezone.unwrap_or_default() },
        None => Timing::Every(Duration::from_millis(u64::try_from(every_ms.unwrap_or_default()).unwrap_or_default())),
    }
}

fn missed(row: &PgRow) -> Result<Missed, sqlx::Error> {
    let limit: i16 = row.try_get("missed_limit")?;
    Ok(Missed::of_limit(u16::try_from(limit).unwrap_or_default()))
}

fn due(rows: &[PgRow]) -> Result<DueSchedules, sqlx::Error> {
    let first = rows.first().ok_or(sqlx::Error::RowNotFound)?;
    let mut due = Vec::with_capacity(rows.len());
    for row in rows {
        if row.try_get::<Option<&str>, _>("name")?.is_some() {
            due.push(DueSchedule {
                name: word(row, "name")?,
                revision: row.try_get("revision")?,
                timing: timing(row.try_get("cron")?, row.try_get("timezone")?, row.try_get("every_ms")?),
                missed: missed(row)?,
                next_at: time(row, "next_at")?,
            });
        }
    }
    Ok(DueSchedules { now: time(first, "now")?, due, next_due: time_if_any(first, "next_due")? })
}

/// An array of times, as PostgreSQL reads it: arrays of arrays must all have one length.
fn array_of(times: &[DateTime<Utc>]) -> String {
    let times: Vec<String> = times.iter().map(|time| time.to_rfc3339_opts(SecondsFormat::Micros, true)).collect();
    format!("{{{}}}", times.join(","))
}

fn decode_outcome(row: &PgRow, outcomes: &mut [FireOutcome]) -> Result<(), sqlx::Error> {
    let nth: i64 = row.try_get("nth")?;
    let Some(outcome) = usize::try_from(nth - 1).ok().and_then(|nth| outcomes.get_mut(nth)) else { return Ok(()) };
    match row.try_get("outcome")? {
        "fired" => {
            if *outcome == FireOutcome::Elsewhere {
                *outcome = FireOutcome::Fired(Vec::new());
            }
            if let (FireOutcome::Fired(jobs), Some(tick)) = (outcome, time_if_any(row, "tick")?) {
                jobs.push(TickJob {
                    tick,
                    id: job_id(row, "id")?,
                    inserted: row.try_get("inserted")?,
                    state: word(row, "state")?,
                    queue: word(row, "queue")?,
                    line_at: time_if_any(row, "line_at")?,
                });
            }
        }
        "held" => *outcome = FireOutcome::Held,
        "refused" => *outcome = FireOutcome::Refused(row.try_get("problem")?),
        _ => *outcome = FireOutcome::Elsewhere,
    }
    Ok(())
}
