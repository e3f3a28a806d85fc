//! Questions about the Redis server as a whole: its generation, its eviction policy, and its live reapers.

use crate::{
    connect::Handoff,
    error::Error,
    scripts::{RENEW, command},
    worker::milliseconds,
};
use redis::Value;
use std::time::Duration;
use uuid::Uuid;

impl Handoff {
    /// The most hints that the head of one queue may hold.
    #[must_use]
    pub fn head_max(&self) -> u32 {
        self.inner.head_max
    }

    /// Whether Redis has a generation. Unlike [`Handoff::generation`], this function makes none.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn has_generation(&self) -> Result<bool, Error> {
        let (exists,): (bool,) = self
            .run("looking for the generation of Redis", vec![command("EXISTS", self.keys().generation()).into()])
            .await?;
        Ok(exists)
    }

    /// The eviction policy of Redis: `noeviction`, or the rule by which Redis deletes keys when its memory is full. `None` if
    /// Redis does not tell this user.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn eviction_policy(&self) -> Result<Option<String>, Error> {
        let memory: String =
            match self.run("reading the eviction policy of Redis", vec![command("INFO", "memory").into()]).await {
                Ok((memory,)) => memory,
                Err(Error::Redis { source, .. }) if source.code() == Some("NOPERM") => return Ok(None),
                Err(error) => return Err(error),
            };
        Ok(memory
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"))
            .map(|policy| policy.trim().to_owned()))
    }

    /// Announces that a reaper is alive. The announcement is valid for `ttl`.
    ///
    /// # Errors
    /// If Redis does not write the announcement in time.
    pub async fn announce_reaper(&self, reaper: Uuid, ttl: Duration) -> Result<(), Error> {
        let call = RENEW.on([self.keys().reapers()]).arg(milliseconds(ttl).max(1)).arg("drop").args([reaper]);
        self.run::<(u32,)>("announcing a reaper", vec![call.into()]).await.map(|_| ())
    }

    /// Withdraws the announcement of a reaper.
    ///
    /// # Errors
    /// If Redis does not remove the announcement in time. The announcement runs out by itself.
    pub async fn withdraw_reaper(&self, reaper: Uuid) -> Result<(), Error> {
        let step = command("ZREM", (self.keys().reapers(), reaper.to_string())).into();
        self.run::<(Value,)>("withdrawing a reaper", vec![step]).await.map(|_| ())
    }

    /// The number of live reapers.
    ///
    /// # Errors
    /// If Redis does not answer in time.
    pub async fn reapers(&self) -> Result<usize, Error> {
        Ok(self.holding("counting reapers", self.keys().reapers()).await?.len())
    }
}
