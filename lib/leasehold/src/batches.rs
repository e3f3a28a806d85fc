//! Batches, for Rust programs.

use crate::{Batch, BatchSeal, CancelledBatch, Client, Error, Sealed};
use std::time::Duration;

impl Client {
    /// A group of jobs by name, with the number of its jobs by state; `None` if there is no such batch. The first job with
    /// `batch(name)` makes the batch.
    ///
    /// ```no_run
    /// # use leasehold::{BatchSeal, Client, Job, JobError, Run};
    /// # use serde::{Deserialize, Serialize};
    /// # use std::time::Duration;
    /// # #[derive(Serialize, Deserialize)]
    /// # struct Import { file: String }
    /// # impl Job for Import {
    /// #     const KIND: &'static str = "import";
    /// #     type Output = ();
    /// #     async fn run(self, _: &Run) -> Result<(), JobError> { Ok(()) }
    /// # }
    /// # async fn doc(client: &Client, files: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    /// for file in files {
    ///     client.enqueue(Import { file }).batch("import-7").send().await?;
    /// }
    /// // When all of them have ended, a job of the kind `report` runs, once.
    /// let seal = BatchSeal::default().on_complete("report".parse()?);
    /// client.seal_batch("import-7", &seal).await?;
    /// let batch = client.wait_batch("import-7", Duration::from_secs(600)).await?;
    /// # drop(batch);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn batch(&self, name: &str) -> Result<Option<Batch>, Error> {
        self.untyped().batch(name).await
    }

    /// The newest batches.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn batches(&self, limit: i64) -> Result<Vec<Batch>, Error> {
        self.untyped().batches(limit).await
    }

    /// Waits until no job of the batch is live, and, if the batch is sealed, until its callbacks are enqueued. `None` if there
    /// is no such batch.
    ///
    /// # Errors
    /// [`Error::BatchTimedOut`], or PostgreSQL fails.
    pub async fn wait_batch(&self, name: &str, timeout: Duration) -> Result<Option<Batch>, Error> {
        self.untyped().wait_batch(name, timeout).await
    }

    /// Seals a batch: from now on no job can be added. Reapers enqueue the callbacks, each once.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn seal_batch(&self, name: &str, seal: &BatchSeal) -> Result<Sealed, Error> {
        self.untyped().seal_batch(name, seal).await
    }

    /// Cancels the live jobs of a batch. Returns how many jobs this call has cancelled, and how many run and are told to stop.
    ///
    /// # Errors
    /// [`Error::Locked`] if open transactions of other sessions hold some of the jobs; all others are cancelled. Or PostgreSQL
    /// fails; the jobs before are cancelled.
    pub async fn cancel_batch(&self, name: &str) -> Result<(u64, u64), Error> {
        self.untyped().cancel_batch(name).await
    }

    /// The same, but a job that stays locked is no error: the answer has the locked jobs too.
    ///
    /// # Errors
    /// PostgreSQL fails. The jobs before are cancelled.
    pub async fn cancel_free_of_batch(&self, name: &str) -> Result<CancelledBatch, Error> {
        self.untyped().cancel_free_of_batch(name).await
    }
}
