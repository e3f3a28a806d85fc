//! The pool of connections for commands: how connections are made, kept and closed.

use deadpool::managed::{self, Metrics, RecycleError, RecycleResult};
use redis::{AsyncConnectionConfig, Client, RedisError, RedisResult, aio::MultiplexedConnection};
use std::{io, time::Duration};

/// A connection that was used within this time is used again without a check. A check would cost every command a second round
/// trip.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Makes connections for the pool like `deadpool-redis`, and has stricter rules for keeping them.
pub(crate) struct Manager {
    redis: deadpool_redis::Manager,
}

impl Manager {
    pub(crate) fn new(client: &Client) -> RedisResult<Self> {
        let redis = deadpool_redis::Manager::new_with_config(client.get_connection_info().clone(), without_limits())?;
        Ok(Self { redis })
    }
}

/// A connection of the pool.
pub(crate) struct Connection {
    pub(crate) redis: MultiplexedConnection,
    /// A command was sent and has no good answer. Then the connection is not used again: a late answer would go to the next
    /// caller, and after an error the server may be the wrong one (it became a replica, or is still loading).
    pub(crate) spoilt: bool,
}

impl managed::Manager for Manager {
    type Type = Connection;
    type Error = RedisError;

    async fn create(&self) -> RedisResult<Connection> {
        Ok(Connection { redis: self.redis.create().await?, spoilt: false })
    }

    async fn recycle(&self, connection: &mut Connection, metrics: &Metrics) -> RecycleResult<RedisError> {
        if connection.spoilt {
            return Err(RecycleError::message("the last command on this connection has no good answer"));
        }
        if metrics.last_used() > TRUSTED_FOR {
            self.redis.recycle(&mut connection.redis, metrics).await?;
        }
        Ok(())
    }
}

/// A connection without timeouts: the caller sets a timeout around each use. The default timeout of the driver (500 ms) would
/// give up a blocking command that the server still executes, and the server would give the next hint to a caller that has
/// left.
pub(crate) async fn connection_of_its_own(client: &Client) -> RedisResult<MultiplexedConnection> {
    client.get_multiplexed_async_connection_with_config(&without_limits()).await
}

fn without_limits() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

/// The error for an answer that did not come in time.
pub(crate) fn no_answer_within(time: Duration) -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {time:?}")).into()
}
