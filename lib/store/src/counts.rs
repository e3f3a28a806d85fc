//! The numbers of jobs by queue, kind and state: adds up their changes, and counts all jobs again.

use crate::{connect::Store, error::Error};

impl Store {
    /// Adds the changes of the numbers of jobs to the counts. Returns the number of changes: 0 if it is too early, or if another
    /// process is doing this.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn fold_counts(&self) -> Result<u64, Error> {
        Ok(self.fold(false).await?.unwrap_or_default())
    }

    /// Counts all jobs again, from one snapshot, while other sessions write: about a second for a million jobs. Returns whether
    /// this process has counted: `false` if another process is changing the counts.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn recount(&self) -> Result<bool, Error> {
        Ok(self.fold(true).await?.is_some())
    }

    async fn fold(&self, all: bool) -> Result<Option<u64>, Error> {
        let statement = sqlx::query_scalar(include_str!("../sql/fold_counts.sql")).bind(all);
        let folded: Option<i64> =
            statement.fetch_one(&self.long_statements).await.map_err(Error::sql("folding the counts of jobs"))?;
        Ok(folded.map(|changes| u64::try_from(changes).unwrap_or_default()))
    }
}
