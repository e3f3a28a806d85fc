//! What can go wrong with Redis, each with what was being done.

use crate::health::advice;

/// What went wrong, and what was being done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is not one of Redis.
    #[error("redis.url: {0}")]
    Url(String),
    /// The server is too old, set up so that it throws keys away, or does not let us in.
    #[error("{0}")]
    Unfit(String),
    /// No connection within the time.
    #[error("{doing}: {reason}")]
    Pool {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        reason: String,
    },
    /// The server answered with an error, or did not answer in time.
    #[error("{doing}: {source}{}", advice(source))]
    Redis {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: redis::RedisError,
    },
}
