//! Finds the job for which PostgreSQL refuses a batch. The error of PostgreSQL does not say which job it is.

use crate::{connect::Store, error::Error, locked::BATCH_LOCK_TIMEOUT};
use leasehold_core::{NewJob, run_order};
use std::time::Duration;

const DOING: &str = "looking for the job that is refused";

/// The maximum duration of the search.
const WITHIN: Duration = Duration::from_secs(30);

impl Store {
    /// The index of the first job that PostgreSQL refuses, parents before children. Enqueues parts of the jobs in transactions
    /// that are rolled back. `None`: now no job is refused, or the search failed.
    pub async fn first_refused(&self, jobs: &[NewJob]) -> Option<usize> {
        let order = run_order(jobs).ok()?;
        let ordered: Vec<NewJob> = order.iter().map(|&nth| jobs[nth].clone()).collect();
        let store = self.clone();
        let search = async move {
            if !store.refuses(&ordered).await? {
                return Ok(None);
            }
            // The first `good` jobs are accepted, and the first `bad` jobs are not.
            let (mut good, mut bad) = (0, ordered.len());
            while bad - good > 1 {
                let middle = usize::midpoint(good, bad);
                if store.refuses(&ordered[..middle]).await? { bad = middle } else { good = middle }
            }
            Ok(Some(good))
        };
        // A transaction that is left half-way could be committed by the next user of the connection.
        let place = self.to_its_end(DOING, WITHIN, search).await.ok()??;
        order.get(place).copied()
    }

    async fn refuses(&self, jobs: &[NewJob]) -> Result<bool, Error> {
        let mut transaction = self.transactions.begin().await.map_err(Error::sql(DOING))?;
        let limit = sqlx::query(include_str!("../sql/lock_timeout.sql")).bind(BATCH_LOCK_TIMEOUT).persistent(false);
        limit.execute(&mut *transaction).await.map_err(Error::sql(DOING))?;
        let answers = self.enqueue_within(&mut transaction, jobs).await;
        transaction.rollback().await.map_err(Error::sql(DOING))?;
        match answers {
            Ok(_) => Ok(false),
            Err(error) if error.refused_value().is_some() => Ok(true),
            Err(error) => Err(error),
        }
    }
}
