//! How much memory Redis uses while something is measured.

use crate::error::Error;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

/// Ten short questions a second weigh on nothing.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// `used_memory` of Redis, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisMemory {
    /// When the measurement began.
    pub before_bytes: u64,
    /// The most that was seen: by the server itself, if it never used more before, else by looking ten times a second.
    pub peak_bytes: u64,
}

/// Looks at it until it is asked what it saw.
#[derive(Debug)]
pub struct RedisMemoryWatch {
    stop: oneshot::Sender<()>,
    looking: JoinHandle<Result<RedisMemory, Error>>,
}

impl RedisMemoryWatch {
    /// Begins to look.
    ///
    /// # Errors
    /// When Redis does not answer.
    pub async fn start(url: &str) -> Result<Self, Error> {
        let mut connection = connect(url).await?;
        let (before, old_record) = look(&mut connection).await?;
        let (stop, mut stopped) = oneshot::channel();
        let looking = tokio::spawn(async move {
            let mut seen = before;
            let mut ticks = interval(LOOK_EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while tokio::select! { _ = ticks.tick() => true, _ = &mut stopped => false } {
                seen = seen.max(look(&mut connection).await?.0);
            }
            let (last, record) = look(&mut connection).await?;
            let peak_bytes = if record > old_record { record } else { seen.max(last) };
            Ok(RedisMemory { before_bytes: before, peak_bytes })
        });
        Ok(Self { stop, looking })
    }

    /// What it saw.
    ///
    /// # Errors
    /// When Redis did not answer meanwhile.
    pub async fn finish(self) -> Result<Option<RedisMemory>, Error> {
        // It is there until it is told, unless it has failed: then that is the answer.
        let _ = self.stop.send(());
        self.looking.await.ok().transpose()
    }
}

/// A connection to Redis for questions to the server, not to its keys.
pub(crate) async fn connect(url: &str) -> Result<MultiplexedConnection, Error> {
    let client = redis::Client::open(url).map_err(Error::redis("reading the URL of Redis"))?;
    client.get_multiplexed_async_connection().await.map_err(Error::redis("connecting to Redis"))
}

/// Values of a section of INFO, by their names; 0 for one that is not there.
pub(crate) async fn info<const N: usize>(
    connection: &mut MultiplexedConnection,
    section: &str,
    names: [&str; N],
) -> Result<[f64; N], Error> {
    let asked = redis::cmd("INFO").arg(section).query_async::<String>(connection).await;
    let text = asked.map_err(Error::redis("asking Redis about itself"))?;
    let value = |name: &str| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| *key == name).find_map(|(_, value)| value.trim().parse().ok())
    };
    Ok(names.map(|name| value(name).unwrap_or(0.0)))
}

/// What it uses, and the most it ever used.
async fn look(connection: &mut MultiplexedConnection) -> Result<(u64, u64), Error> {
    let [used, record] = info(connection, "memory", ["used_memory", "used_memory_peak"]).await?;
    Ok((used as u64, record as u64))
}
