//! Fair shares of a queue, for programs that set the weights of their tenants.

use crate::{Client, Error, FairWeight, QueueName};

impl Client {
    /// Sets whether the jobs of a queue that have fair keys share it, which is so unless somebody says otherwise; if not, their keys are
    /// only labels. Moves the waiting jobs and returns how many it moved. Jobs name their key with
    /// [`Enqueue::fair_key`](crate::Enqueue::fair_key).
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let moved = client.set_fair(&"images".parse()?, false).await?;
    /// println!("{moved} jobs have another position in the line");
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn set_fair(&self, queue: &QueueName, fair: bool) -> Result<u64, Error> {
        self.untyped().set_fair(queue, fair).await
    }

    /// Sets the weight of a fair key: its part of the queue compared with the other keys, from 0.001 to 1000. Keys without a
    /// weight have 1. The backlog changes its order immediately.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// // Tenant a gets three times as many starts as each other tenant whose jobs wait.
    /// client.set_fair_weight(&"images".parse()?, "tenant-a", 3.0).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The weight is not valid, or PostgreSQL fails.
    pub async fn set_fair_weight(&self, queue: &QueueName, fair_key: &str, weight: f64) -> Result<(), Error> {
        self.untyped().set_fair_weight(queue, fair_key, weight).await
    }

    /// Pauses a fair key in a queue: no job of the key starts until the key is resumed. Running jobs continue, and jobs of other
    /// keys start. Returns whether that changed anything.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let images: QueueName = "images".parse()?;
    /// client.pause_fair_key(&images, "tenant-a").await?;
    /// client.resume_fair_key(&images, "tenant-a").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The fair keys of the queue are only labels, or PostgreSQL fails.
    pub async fn pause_fair_key(&self, queue: &QueueName, fair_key: &str) -> Result<bool, Error> {
        self.untyped().pause_fair_key(queue, fair_key).await
    }

    /// Resumes a fair key in a queue: see [`Client::pause_fair_key`]. Returns whether the key was paused.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn resume_fair_key(&self, queue: &QueueName, fair_key: &str) -> Result<bool, Error> {
        self.untyped().resume_fair_key(queue, fair_key).await
    }

    /// The weights that somebody has set in a queue, by key.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for of in client.fair_weights(&"images".parse()?).await? {
    ///     println!("{}: {}", of.fair_key, of.weight);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn fair_weights(&self, queue: &QueueName) -> Result<Vec<FairWeight>, Error> {
        self.untyped().fair_weights(queue).await
    }
}
