//! Limits of keys, for programs that set the limits of their fleet.

use crate::{Client, Error, KeyLimit, LimitRecord};

impl Client {
    /// Sets the limit of a key, or of each key that begins like a pattern, which ends in `*`. Replaces an earlier limit at once.
    /// Runs go on when a limit is lowered. Jobs name their keys with [`Enqueue::limit_key`](crate::Enqueue::limit_key).
    ///
    /// ```no_run
    /// # use leasehold::*;
    /// # async fn example(client: &Client) -> Result<(), Error> {
    /// client.set_limit("cluster-a", &KeyLimit::default().running(10)).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The limit is not valid, or PostgreSQL fails.
    pub async fn set_limit(&self, key: &str, limit: &KeyLimit) -> Result<(), Error> {
        self.untyped().set_limit(key, limit).await
    }

    /// All limits, by key, with the runs that count and the jobs that wait.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn limits(&self) -> Result<Vec<LimitRecord>, Error> {
        self.untyped().limits().await
    }

    /// The limit of a key or a pattern, as it was set; `None` if there is none.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn limit(&self, key: &str) -> Result<Option<LimitRecord>, Error> {
        self.untyped().limit(key).await
    }

    /// Removes the limit of a key or a pattern: the jobs that wait for it may start. Returns whether there was one.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn remove_limit(&self, key: &str) -> Result<bool, Error> {
        self.untyped().remove_limit(key).await
    }
}
