//! set_queue_encrypted and encryption_keys: which queues take encrypted payloads, and which keys are still needed.

use crate::{connect::Store, error::Error};
use leasehold_core::QueueName;
use serde::Serialize;

/// How many values of one place a key has encrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyUse {
    /// The name of the key. `None`: the values are not encrypted, and their queues take encrypted payloads.
    pub key: Option<String>,
    /// `live` or `finished`: payloads of jobs. `results`, or `schedules`: payloads of schedules.
    pub place: String,
    /// How many values.
    pub count: i64,
}

crate::from_row!(KeyUse { key, place, count });

impl Store {
    /// Sets whether a queue takes encrypted payloads. Jobs that wait stay as they are.
    ///
    /// # Errors
    /// [`Error::Locked`] if other sessions hold a table or the row of the queue for longer than the lock timeout; then nothing has
    /// changed. Or the statement failed.
    pub async fn set_queue_encrypted(&self, queue: &QueueName, encrypted: bool) -> Result<(), Error> {
        const DOING: &str = "setting whether a queue takes encrypted payloads";
        let statement = |lock_timeout: &'static str| {
            sqlx::query(include_str!("../sql/set_queue_encrypted.sql"))
                .bind(queue.as_str())
                .bind(encrypted)
                .bind(lock_timeout)
        };
        self.change(DOING, || format!("queue {queue}"), &statement).await.map(drop)
    }

    /// The keys of the stored encrypted values, and last the number of values without encryption. Reads all jobs.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn encryption_keys(&self) -> Result<Vec<KeyUse>, Error> {
        let statement = sqlx::query_as(include_str!("../sql/encryption_keys.sql"));
        statement.fetch_all(&self.long_statements).await.map_err(Error::sql("counting what each key has encrypted"))
    }
}
