//! Limits of keys: set them, read them, remove them.

use crate::{Client, Error};
use leasehold_store::{KeyLimit, LimitRecord};

impl Client {
    /// Sets the limit of a key, or of each key that begins like a pattern, which ends in `*`. Replaces an earlier limit
    /// immediately. Running jobs continue when a limit is lowered.
    ///
    /// # Errors
    /// The limit is not valid, or PostgreSQL fails.
    pub async fn set_limit(&self, key: &str, limit: &KeyLimit) -> Result<(), Error> {
        Ok(self.postgres()?.set_limit(key, limit).await?)
    }

    /// All limits, by key, with the runs that count and the jobs that wait.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn limits(&self) -> Result<Vec<LimitRecord>, Error> {
        Ok(self.postgres()?.limits(None).await?)
    }

    /// The limit of a key or a pattern, as it was set; `None` if there is none.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn limit(&self, key: &str) -> Result<Option<LimitRecord>, Error> {
        Ok(self.postgres()?.limits(Some(key)).await?.pop())
    }

    /// Removes the limit of a key or a pattern: the jobs that wait for this limit may start. Returns whether there was
    /// a limit.
    ///
    /// # Errors
    /// PostgreSQL fails.
    pub async fn remove_limit(&self, key: &str) -> Result<bool, Error> {
        Ok(self.postgres()?.remove_limit(key).await?)
    }
}
