//! What is asked of Redis as a whole: whether it is the one that was filled, whether it keeps what it is given, and
//! whether a reaper looks after it.

use crate::{connect::Handoff, error::Error, operator::command, scripts::RENEW, worker::milliseconds};
use redis::Value;
use std::time::Duration;
use uuid::Uuid;

impl Handoff {
    /// The most hints that the head of one queue may hold.
    #[must_use]
    pub fn head_max(&self) -> u32 {
        self.inner.head_max
    }

    /// Whether there is a generation. Unlike [`Handoff::generation`] it makes none.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn has_generation(&self) -> Result<bool, Error> {
        let (exists,): (bool,) = self
            .run("looking for the generation of Redis", vec![command("EXISTS", self.keys().generation()).into()])
            .await?;
        Ok(exists)
    }

    /// What Redis does when its memory is full: `noeviction`, or which keys it throws away. `None` when it does not say, or
    /// not to this user.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn eviction_policy(&self) -> Result<Option<String>, Error> {
        let memory: String = match self.run("reading how Redis evicts", vec![command("INFO", "memory").into()]).await {
            Ok((memory,)) => memory,
            Err(Error::Redis { source, .. }) if source.code() == Some("NOPERM") => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(memory
            .lines()
            .find_map(|line| line.strip_prefix("maxmemory_policy:"))
            .map(|policy| policy.trim().to_owned()))
    }

    /// Says that a reaper lives; holds for `ttl`.
    ///
    /// # Errors
    /// When Redis does not do it in time.
    pub async fn announce_reaper(&self, reaper: Uuid, ttl: Duration) -> Result<(), Error> {
        let call = RENEW.on([self.keys().reapers()]).arg(milliseconds(ttl).max(1)).arg("drop").args([reaper]);
        self.run::<(u32,)>("announcing a reaper", vec![call.into()]).await.map(|_| ())
    }

    /// Takes the announcement of a reaper back.
    ///
    /// # Errors
    /// When Redis does not do it in time. The announcement runs out by itself.
    pub async fn withdraw_reaper(&self, reaper: Uuid) -> Result<(), Error> {
        let step = command("ZREM", (self.keys().reapers(), reaper.to_string())).into();
        self.run::<(Value,)>("withdrawing a reaper", vec![step]).await.map(|_| ())
    }

    /// How many reapers live.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn reapers(&self) -> Result<usize, Error> {
        Ok(self.holding("counting reapers", self.keys().reapers()).await?.len())
    }
}
