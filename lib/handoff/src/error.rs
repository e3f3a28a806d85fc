//! The errors of Redis, each with the action that failed.

use crate::health::{advice, why_unfit};
use leasehold_ports::Class;
use redis::ErrorKind;

/// An error, with the action that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is no URL of Redis.
    #[error("redis.url: {0}")]
    Url(String),
    /// The server is too old, evicts keys, or refuses this user.
    #[error("{0}")]
    Unfit(String),
    /// No connection in time.
    #[error("{doing}: {reason}")]
    Pool {
        /// The action that failed.
        doing: &'static str,
        /// The reason.
        reason: String,
    },
    /// The server answered with an error, or did not answer in time.
    #[error("{doing}: {source}{}", advice(source))]
    Redis {
        /// The action that failed.
        doing: &'static str,
        /// The reason.
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

    /// The class of the error, for callers that know no driver.
    fn class(&self) -> Class {
        match self {
            Self::Url(_) | Self::Unfit(_) => Class::Broken,
            Self::Pool { .. } => Class::Transient,
            // The server is busy, or a failover is in progress.
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
