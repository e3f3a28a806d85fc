//! jobs: pages of jobs, for operators.

use crate::{connect::Store, error::Error, row::Record};
use leasehold_core::{JobId, JobRecord, Kind, QueueName, State};

/// Which jobs to list. All conditions must hold.
#[derive(Clone, Debug, Default)]
#[expect(missing_docs, reason = "columns")]
pub struct JobFilter {
    pub queue: Option<QueueName>,
    pub kind: Option<Kind>,
    pub state: Option<State>,
    /// Only jobs with an id below this one: the last id of the page before.
    pub before: Option<JobId>,
    pub limit: i64,
}

impl Store {
    /// A page of jobs, newest id first. Without conditions, the cost is that of the jobs on the page. With conditions
    /// that few jobs meet, the cost is that of all jobs that were read to find them.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, Error> {
        let statement = sqlx::query_as::<_, Record>(include_str!("../sql/jobs.sql"))
            .bind(filter.queue.as_ref().map(QueueName::as_str))
            .bind(filter.kind.as_ref().map(Kind::as_str))
            .bind(filter.state.map(State::as_str))
            .bind(filter.before.map(|id| id.0))
            .bind(filter.limit);
        let rows = statement.fetch_all(&self.long_statements).await.map_err(Error::sql("listing jobs"))?;
        Ok(rows.into_iter().map(|record| record.0).collect())
    }
}
