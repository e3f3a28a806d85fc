//! Connections for commands: how they are made, kept, and thrown away.

use crate::{
    connect::Handoff,
    error::Error,
    scripts::{Step, send},
};
use deadpool::managed::{self, Metrics, PoolError, RecycleError, RecycleResult};
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, RedisResult, Value, aio::MultiplexedConnection,
};
use std::{io, iter, time::Duration};

/// A connection that has answered within this time is used without asking whether it still lives:
/// the question would cost every command a second round trip.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Makes connections for the pool as `deadpool-redis` does, and keeps them by stricter rules.
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
    /// Whether something was asked of it that has not been answered well. It is then not used again:
    /// not when the answer is late or the caller has left, nor after an error, which may say that this
    /// server is no longer the one to talk to (it became a replica, or is still loading).
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
            return Err(RecycleError::message("left in the middle of something"));
        }
        if metrics.last_used() > TRUSTED_FOR {
            self.redis.recycle(&mut connection.redis, metrics).await?;
        }
        Ok(())
    }
}

/// A connection without time limits of its own: whoever uses it sets one around all that it does. The
/// client's default of 500 ms would give up on a blocking command while the server goes on with it, and
/// the server would hand the next hint to a caller that has left.
pub(crate) async fn connection_of_its_own(client: &Client) -> RedisResult<MultiplexedConnection> {
    client.get_multiplexed_async_connection_with_config(&without_limits()).await
}

fn without_limits() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None)
}

impl Handoff {
    /// Sends the steps in one go, within the time that the settings allow for connecting and answering
    /// together, and reads the answers as `T` (a tuple or a list, one item a step).
    pub(crate) async fn run<T: FromRedisValue>(&self, doing: &'static str, steps: Vec<Step>) -> Result<T, Error> {
        let mut connected = false;
        let work = async {
            let mut connection = self.inner.pool.get().await.map_err(|error| match error {
                PoolError::Backend(source) => Error::Redis { doing, source },
                other => Error::Pool { doing, reason: other.to_string() },
            })?;
            connected = true;
            connection.spoilt = true;
            let answers = send(&mut connection.redis, &steps).await.map_err(|source| Error::Redis { doing, source })?;
            connection.spoilt = false;
            Ok(answers)
        };
        let time = self.inner.timeout;
        match tokio::time::timeout(time, work).await {
            Ok(answers) => redis::from_redis_value(Value::Array(answers?))
                .map_err(|error| Error::Redis { doing, source: error.into() }),
            Err(_) if connected => Err(Error::Redis { doing, source: no_answer_within(time) }),
            Err(_) => Err(Error::Pool { doing, reason: format!("no connection within {time:?}") }),
        }
    }
}

impl Handoff {
    /// The same, with nothing of anybody else in between: all commands are about one moment. They must
    /// be about keys of one queue, or of none.
    pub(crate) async fn run_atomically<T: FromRedisValue>(
        &self,
        doing: &'static str,
        commands: Vec<Cmd>,
    ) -> Result<T, Error> {
        let steps = iter::once(redis::cmd("MULTI")).chain(commands).chain([redis::cmd("EXEC")]);
        let mut answers: Vec<Value> = self.run(doing, steps.map(Step::from).collect()).await?;
        redis::from_redis_value(answers.pop().unwrap_or(Value::Nil))
            .map_err(|error| Error::Redis { doing, source: error.into() })
    }
}

/// The error for an answer that did not come.
pub(crate) fn no_answer_within(time: Duration) -> RedisError {
    io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {time:?}")).into()
}
