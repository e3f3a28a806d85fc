//! What can go wrong with Redis, each with what was being done.

use crate::health::{advice, why_unfit};
use leasehold_ports::Class;
use redis::ErrorKind;

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

impl From<Error> for leasehold_ports::Error {
    fn from(error: Error) -> Self {
        Self::new("Redis", error.doing(), error.class(), error)
    }
}

impl Error {
    const fn doing(&self) -> &'static str {
        match self {
            Self::Url(_) => "connecting to Redis",
            Self::Unfit(_) => "checking Redis",
            Self::Pool { doing, .. } | Self::Redis { doing, .. } => doing,
        }
    }

    /// What a caller that knows no driver can do about it.
    fn class(&self) -> Class {
        match self {
            Self::Url(_) | Self::Unfit(_) => Class::Broken,
            Self::Pool { .. } => Class::Transient,
            // The server is busy, or answers again after a failover.
            Self::Redis { source, .. } if matches!(source.code(), None | Some("LOADING" | "BUSY" | "TRYAGAIN")) => {
                if source.kind() == ErrorKind::Parse {
                    Class::Broken
                } else {
                    Class::Transient
                }
            }
            Self::Redis { source, .. } if why_unfit(source).is_some() => Class::Broken,
            Self::Redis { .. } => Class::Refused,
        }
    }
}
