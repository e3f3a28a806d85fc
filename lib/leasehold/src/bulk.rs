//! Changes of all jobs that a filter chooses.

use crate::{Bulk, BulkAction, BulkCount, BulkCursor, BulkFilter, BulkStep, Client, Error};

impl Client {
    /// Begins a change of all jobs that a filter chooses and that have been enqueued up to now. [`Client::bulk_step`] does the
    /// work, one short transaction after another.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let filter = BulkFilter::default().kind("resize".parse()?).error_like("timeout");
    /// let mut bulk = client.bulk(BulkAction::Retry, filter).await?;
    /// let mut revived = 0;
    /// while let Some(step) = client.bulk_step(&mut bulk).await? {
    ///     revived += step.changed;
    /// }
    /// println!("{revived} jobs are back in the line; {} were locked", bulk.locked().len());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Bulk`] if the filter cannot be used, or PostgreSQL fails.
    pub async fn bulk(&self, action: BulkAction, filter: BulkFilter) -> Result<Bulk, Error> {
        self.untyped().bulk(action, filter).await
    }

    /// Continues a bulk change from the cursor of an earlier one with the same action and filter.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client, saved: &str) -> Result<(), Box<dyn std::error::Error>> {
    /// // The cursor of `bulk.cursor()`, which an earlier process has stored as JSON.
    /// let cursor: BulkCursor = serde_json::from_str(saved)?;
    /// let filter = BulkFilter::default().queue("images".parse()?);
    /// let mut bulk = client.resume_bulk(BulkAction::Cancel, filter, cursor).await?;
    /// while client.bulk_step(&mut bulk).await?.is_some() {}
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Client::bulk`].
    pub async fn resume_bulk(&self, action: BulkAction, filter: BulkFilter, cursor: BulkCursor) -> Result<Bulk, Error> {
        self.untyped().resume_bulk(action, filter, cursor).await
    }

    /// How many jobs a bulk change would be made to, by queue, kind and state. Changes nothing.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let bulk = client.bulk(BulkAction::Cancel, BulkFilter::default().queue("images".parse()?)).await?;
    /// for of in client.bulk_counts(&bulk).await? {
    ///     println!("{} {} jobs of kind {}", of.count, of.state, of.kind);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn bulk_counts(&self, bulk: &Bulk) -> Result<Vec<BulkCount>, Error> {
        self.untyped().bulk_counts(bulk).await
    }

    /// Does the next part of a bulk change. `None`: the change is complete, except for [`Bulk::locked`].
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let to_slow = BulkAction::Place(Place::Queue("slow".parse()?));
    /// let mut bulk = client.bulk(to_slow, BulkFilter::default().kind("resize".parse()?)).await?;
    /// while let Some(step) = client.bulk_step(&mut bulk).await? {
    ///     println!("{} jobs moved", step.changed);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails. The steps before are done, and the call can be made again.
    pub async fn bulk_step(&self, bulk: &mut Bulk) -> Result<Option<BulkStep>, Error> {
        self.untyped().bulk_step(bulk).await
    }
}
