//! Batches, for Rust programs.

use crate::{Batch, BatchSeal, CancelledBatch, Client, Error, Sealed};
use std::time::Duration;

impl Client {
    /// A group of jobs by name, with the number of its jobs by state; `None` if there is no such batch. The first job with
    /// `batch(name)` makes the batch.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client, files: Vec<String>) -> Result<(), Box<dyn std::error::Error>> {
    /// for path in files {
    ///     client.enqueue(Resize { path, width: 160 }).batch("import-7").send().await?;
    /// }
    /// if let Some(batch) = client.batch("import-7").await? {
    ///     println!("{} of {} jobs have ended, {} are dead", batch.ended(), batch.total(), batch.dead);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn batch(&self, name: &str) -> Result<Option<Batch>, Error> {
        self.untyped().batch(name).await
    }

    /// The newest batches.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for batch in client.batches(20).await? {
    ///     println!("{}: {} live jobs", batch.name, batch.live());
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn batches(&self, limit: i64) -> Result<Vec<Batch>, Error> {
        self.untyped().batches(limit).await
    }

    /// Waits until no job of the batch is live, and, if the batch is sealed, until its callbacks are enqueued. `None` if there
    /// is no such batch.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let batch = client.wait_batch("import-7", Duration::from_secs(600)).await?.ok_or("there is no such batch")?;
    /// println!("{} jobs have succeeded", batch.succeeded);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::BatchTimedOut`], or PostgreSQL fails.
    pub async fn wait_batch(&self, name: &str, timeout: Duration) -> Result<Option<Batch>, Error> {
        self.untyped().wait_batch(name, timeout).await
    }

    /// Seals a batch: from now on no job can be added. Reapers enqueue the callbacks, each once.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// // When all jobs of the batch have ended, a job of the kind `report` runs, once.
    /// let seal = BatchSeal::default().on_complete("report".parse()?).queue("reports".parse()?);
    /// match client.seal_batch("import-7", &seal).await? {
    ///     Sealed::Now | Sealed::Already => {}
    ///     Sealed::Otherwise => println!("the batch has other callbacks"),
    ///     Sealed::Unknown => println!("there is no such batch"),
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn seal_batch(&self, name: &str, seal: &BatchSeal) -> Result<Sealed, Error> {
        self.untyped().seal_batch(name, seal).await
    }

    /// Cancels the live jobs of a batch. Returns how many jobs this call has cancelled, and how many running jobs were told to
    /// stop.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let (cancelled, stopping) = client.cancel_batch("import-7").await?;
    /// println!("{cancelled} jobs are cancelled, {stopping} runs stop");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Locked`] if open transactions of other sessions hold some of the jobs; all others are cancelled. Or PostgreSQL
    /// fails; the jobs before are cancelled.
    pub async fn cancel_batch(&self, name: &str) -> Result<(u64, u64), Error> {
        self.untyped().cancel_batch(name).await
    }

    /// The same, but a job that stays locked is no error: the answer has the locked jobs too.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for job in client.cancel_free_of_batch("import-7").await?.locked {
    ///     println!("not cancelled: {job}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails. The jobs before are cancelled.
    pub async fn cancel_free_of_batch(&self, name: &str) -> Result<CancelledBatch, Error> {
        self.untyped().cancel_free_of_batch(name).await
    }
}
