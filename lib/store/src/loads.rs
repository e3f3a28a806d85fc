//! How many jobs queues could run now, and how many run: the numbers for the scaling signal.

use crate::{connect::Store, error::Error};
use leasehold_core::{QueueName, WorkerId};
use leasehold_ports::{LimitedJobs, LoadQuestion, QueueLoad};
use serde::de::DeserializeOwned;
use sqlx::{Row, postgres::PgRow};
use std::{collections::BTreeMap, time::Duration};
use uuid::Uuid;

/// The longest time that PostgreSQL can subtract from a timestamp here: a century.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 86_400);

impl Store {
    /// How many jobs each of some queues could run now. Reads the counts of these queues, and the changes since they were last
    /// folded. For a kind with limit keys, the call reads an index entry of each waiting job. So the call is for autoscalers,
    /// operators and gauges. It must not be made for each job.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn queue_loads(
        &self,
        questions: &[LoadQuestion],
        draining: &[WorkerId],
    ) -> Result<Vec<QueueLoad>, Error> {
        let sql = || Error::sql("counting what queues could run");
        let queues: Vec<&str> = questions.iter().map(|of| QueueName::as_str(&of.queue)).collect();
        let kinds = questions.iter().map(|of| of.kinds.names().map(|names| serde_json::to_string(&names)).transpose());
        let kinds: Vec<Option<String>> =
            kinds.collect::<Result<_, _>>().map_err(|error| sql()(sqlx::Error::Encode(error.into())))?;
        let others_ms = questions.iter().map(|of| {
            let within = of.others_within?.min(LONGEST);
            i64::try_from(within.as_millis()).ok()
        });
        let statement = sqlx::query(crate::statement::statement!("queue_load"))
            .bind(queues)
            .bind(kinds)
            .bind(others_ms.collect::<Vec<Option<i64>>>())
            .bind(draining.iter().map(|worker| worker.0).collect::<Vec<Uuid>>());
        statement.try_map(|row| queue_load(&row)).fetch_all(&self.bounded).await.map_err(sql())
    }
}

fn queue_load(row: &PgRow) -> Result<QueueLoad, sqlx::Error> {
    let number = |column| row.try_get::<i64, _>(column).map(|number| u64::try_from(number).unwrap_or(0));
    Ok(QueueLoad {
        waiting: number("waiting")?,
        limited: from_json::<Vec<LimitedJobs>>(row, "limited")?,
        rooms: from_json::<BTreeMap<String, u64>>(row, "rooms")?,
        oldest_s: row.try_get("oldest_s")?,
        running: number("running")?,
        draining: number("draining")?,
        finished: number("finished")?,
    })
}

fn from_json<T: DeserializeOwned + Default>(row: &PgRow, column: &str) -> Result<T, sqlx::Error> {
    let Some(text) = row.try_get::<Option<String>, _>(column)? else { return Ok(T::default()) };
    serde_json::from_str(&text)
        .map_err(|error| sqlx::Error::ColumnDecode { index: column.to_owned(), source: error.into() })
}
