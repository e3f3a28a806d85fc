//! explain: one job, with what PostgreSQL knows about why the job is where it is.

use crate::{
    connect::Store,
    error::Error,
    row::{Record, time},
};
use leasehold_core::JobId;
use leasehold_ports::JobMoment;
use sqlx::{FromRow, Row, postgres::PgRow};

impl Store {
    /// One job, live or finished, at this moment; `None` if no job has this id.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn job_moment(&self, id: JobId) -> Result<Option<JobMoment>, Error> {
        let statement = sqlx::query(include_str!("../sql/explain.sql")).bind(id.0);
        let row = statement.try_map(|row| decode(&row)).fetch_optional(&self.bounded).await;
        row.map_err(Error::sql("reading a job to explain"))
    }
}

fn decode(row: &PgRow) -> Result<JobMoment, sqlx::Error> {
    Ok(JobMoment { job: Record::from_row(row)?.0, as_of: time(row, "as_of")?, paused: row.try_get("paused")? })
}
