//! Queues: pause, resume, purge, and what a priority is worth.

use crate::{Client, Error, JobId, Kind, QueueName};
use std::time::Duration;

impl Client {
    /// Pauses a queue: no job of the queue starts until the queue is resumed; running jobs continue. Returns whether
    /// the queue was not paused before.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(resize("a.png")).send().await?;
    /// assert!(client.pause(&"default".parse()?).await?);
    /// let explanation = client.explain(id).await?.expect("the job exists");
    /// assert!(matches!(explanation.reasons[0], Reason::Paused { .. }));
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn pause(&self, queue: &QueueName) -> Result<bool, Error> {
        self.untyped().pause(queue).await
    }

    /// Resumes a queue. Returns whether the queue was paused. Kinds that are paused in this queue stay paused.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let images: QueueName = "images".parse()?;
    /// client.pause(&images).await?;
    /// assert!(client.resume(&images).await?);
    /// assert!(!client.resume(&images).await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn resume(&self, queue: &QueueName) -> Result<bool, Error> {
        self.untyped().resume(queue).await
    }

    /// Pauses a kind in a queue: no job of this kind starts in this queue until the kind is resumed; running jobs, and jobs of other
    /// kinds, continue. Returns whether the kind was not paused before. Neither the queue nor the kind needs to have a job yet.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let (default, kind) = (QueueName::default(), Resize::KIND.parse()?);
    /// assert!(client.pause_kind(&default, &kind).await?);
    /// assert!(client.resume_kind(&default, &kind).await?);
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn pause_kind(&self, queue: &QueueName, kind: &Kind) -> Result<bool, Error> {
        self.untyped().pause_kind(queue, kind).await
    }

    /// Resumes a kind in a queue: see [`Client::pause_kind`]. Returns whether the kind was paused. If the queue is paused too, it
    /// stays paused.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn resume_kind(&self, queue: &QueueName, kind: &Kind) -> Result<bool, Error> {
        self.untyped().resume_kind(queue, kind).await
    }

    /// The paused kinds of one queue or of all queues, each with its queue.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for (queue, kind) in client.paused_kinds(None).await? {
    ///     println!("{kind} is paused in {queue}");
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn paused_kinds(&self, queue: Option<&QueueName>) -> Result<Vec<(QueueName, Kind)>, Error> {
        self.untyped().paused_kinds(queue).await
    }

    /// Sets what one point of priority is worth in this queue: the waiting time that it replaces. Moves the waiting jobs and
    /// returns how many it moved.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// // A job of priority 2 starts before a job of priority 0 that came at most ten minutes earlier.
    /// client.set_priority_step(&"images".parse()?, Duration::from_secs(300)).await?;
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn set_priority_step(&self, queue: &QueueName, step: Duration) -> Result<u64, Error> {
        self.untyped().set_priority_step(queue, step).await
    }

    /// Cancels one batch of the waiting jobs of a queue, and returns their ids: none when no job waits.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let id = client.enqueue(resize("a.png")).queue("images").send().await?;
    /// let images: QueueName = "images".parse()?;
    /// assert_eq!(client.purge(&images).await?, [id.get()]);
    /// assert!(client.purge(&images).await?.is_empty());
    /// # Ok(()) });
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn purge(&self, queue: &QueueName) -> Result<Vec<JobId>, Error> {
        self.untyped().purge(queue).await
    }
}
