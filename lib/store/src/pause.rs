//! pause and resume: queues of which nothing is claimed.

use crate::{connect::Store, error::Error};
use leasehold_core::QueueName;

impl Store {
    /// Nothing of this queue is claimed until it is resumed. Whether that changed anything.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn pause(&self, queue: &QueueName) -> Result<bool, Error> {
        let statement = sqlx::query(include_str!("../sql/pause.sql")).bind(queue.as_str());
        let row = statement.fetch_optional(&self.bounded).await.map_err(Error::sql("pausing a queue"))?;
        Ok(row.is_some())
    }

    /// Ends a pause. Whether there was one.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        let statement = sqlx::query(include_str!("../sql/resume.sql")).bind(queue.as_str());
        let row = statement.fetch_optional(&self.bounded).await.map_err(Error::sql("resuming a queue"))?;
        Ok(row.is_some())
    }

    /// The paused queues.
    ///
    /// # Errors
    /// That the statement failed.
    pub async fn paused(&self) -> Result<Vec<QueueName>, Error> {
        let sql = || Error::sql("reading which queues are paused");
        let names: Vec<String> =
            sqlx::query_scalar(include_str!("../sql/paused.sql")).fetch_all(&self.bounded).await.map_err(sql())?;
        let names: Result<Vec<QueueName>, _> = names.into_iter().map(QueueName::try_from).collect();
        names.map_err(|error| sql()(sqlx::Error::Decode(error.into())))
    }
}
