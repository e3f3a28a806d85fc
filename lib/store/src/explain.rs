//! explain: one job, with what PostgreSQL knows about why the job is where it is.

use crate::{
    connect::Store,
    error::Error,
    row::{Record, time},
};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, JobRecord};
use sqlx::{FromRow, Row, postgres::PgRow};

/// A job at one moment of the database's clock.
#[derive(Clone, Debug)]
pub struct JobMoment {
    /// The job.
    pub job: JobRecord,
    /// The time of the database. All times of the job are by the same clock.
    pub as_of: DateTime<Utc>,
    /// Whether the queue of the job is paused.
    pub paused: bool,
}

impl FromRow<'_, PgRow> for JobMoment {
    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        Ok(Self { job: Record::from_row(row)?.0, as_of: time(row, "as_of")?, paused: row.try_get("paused")? })
    }
}

impl Store {
    /// One job, live or finished, at this moment; `None` if no job has this id.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn job_moment(&self, id: JobId) -> Result<Option<JobMoment>, Error> {
        let statement = sqlx::query_as(include_str!("../sql/explain.sql")).bind(id.0);
        statement.fetch_optional(&self.bounded).await.map_err(Error::sql("reading a job to explain"))
    }
}
