//! Errors of a measurement.

/// A store failed during a measurement.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// PostgreSQL.
    #[error("{doing}: {source}")]
    Postgres {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: sqlx::Error,
    },
    /// Redis.
    #[error("{doing}: {source}")]
    Redis {
        /// What was being done.
        doing: &'static str,
        /// Why it failed.
        source: redis::RedisError,
    },
}

impl Error {
    pub(crate) fn postgres(doing: &'static str) -> impl FnOnce(sqlx::Error) -> Self {
        move |source| Self::Postgres { doing, source }
    }

    pub(crate) fn redis(doing: &'static str) -> impl FnOnce(redis::RedisError) -> Self {
        move |source| Self::Redis { doing, source }
    }
}
