//! job: one job in its current state.

use crate::{connect::Store, error::Error, row::Record};
use leasehold_core::{JobId, JobRecord};

impl Store {
    /// One job, live or finished.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn job(&self, id: JobId) -> Result<Option<JobRecord>, Error> {
        let statement = sqlx::query_as::<_, Record>(include_str!("../sql/job.sql")).bind(id.0);
        let row = statement.fetch_optional(&self.bounded).await.map_err(Error::sql("reading a job"))?;
        Ok(row.map(|record| record.0))
    }
}
