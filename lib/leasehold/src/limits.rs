//! Limits of keys, for programs that set the limits of their fleet.

use crate::{Client, Error, KeyLimit, LimitRecord};

impl Client {
    /// Sets the limit of a key, or of each key that matches a pattern, such as `api-*`. Replaces an earlier limit
    /// immediately. Running jobs continue when a limit is lowered. Jobs name their keys with
    /// [`Enqueue::limit_key`](crate::Enqueue::limit_key).
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.set_limit("cluster-a", &KeyLimit::default().running(10)).await?;
    /// // Each tenant has a limit of its own.
    /// client.set_limit("tenant-*", &KeyLimit::default().rate("10/s").burst(20)).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The limit is not valid, or PostgreSQL fails.
    pub async fn set_limit(&self, key: &str, limit: &KeyLimit) -> Result<(), Error> {
        self.untyped().set_limit(key, limit).await
    }

    /// All limits, by key, with the runs that count and the jobs that wait.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for limit in client.limits().await? {
    ///     println!("{}: {} runs, {} jobs wait", limit.key, limit.running_now, limit.waiting);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn limits(&self) -> Result<Vec<LimitRecord>, Error> {
        self.untyped().limits().await
    }

    /// The limit of a key or a pattern, as it was set; `None` if there is none.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// let most = client.limit("cluster-a").await?.and_then(|limit| limit.running);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn limit(&self, key: &str) -> Result<Option<LimitRecord>, Error> {
        self.untyped().limit(key).await
    }

    /// Removes the limit of a key or a pattern: the jobs that wait for this limit may start. Returns whether there was
    /// one.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// client.remove_limit("cluster-a").await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn remove_limit(&self, key: &str) -> Result<bool, Error> {
        self.untyped().remove_limit(key).await
    }
}
