//! The memory of Redis during a measurement.

use crate::error::Error;
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};

/// Ten short commands per second cost almost nothing.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(100);

/// `used_memory` of Redis, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RedisMemory {
    /// At the start of the measurement.
    pub before_bytes: u64,
    /// The peak during the measurement: Redis's own record if the measurement set a new one, otherwise the maximum of
    /// ten samples per second.
    pub peak_bytes: u64,
}

/// Samples the memory of Redis until it is stopped.
#[derive(Debug)]
pub struct RedisMemoryWatch {
    stop: oneshot::Sender<()>,
    looking: JoinHandle<Result<RedisMemory, Error>>,
}

impl RedisMemoryWatch {
    /// Starts sampling.
    ///
    /// # Errors
    /// Redis does not answer.
    pub async fn start(url: &str) -> Result<Self, Error> {
        let mut connection = connect(url).await?;
        let (before, old_record) = look(&mut connection).await?;
        let (stop, mut stopped) = oneshot::channel();
        let looking = tokio::spawn(async move {
            let mut seen = before;
            let mut ticks = interval(SAMPLE_INTERVAL);
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

    /// Stops sampling. Returns the measured values.
    ///
    /// # Errors
    /// Redis did not answer during the measurement.
    pub async fn finish(self) -> Result<Option<RedisMemory>, Error> {
        // The receiver exists until it is told to stop, unless it has failed; the next line then returns its error.
        let _ = self.stop.send(());
        self.looking.await.ok().transpose()
    }
}

/// A connection to Redis for commands about the server, not about keys.
pub(crate) async fn connect(url: &str) -> Result<MultiplexedConnection, Error> {
    let client = redis::Client::open(url).map_err(Error::redis("reading the URL of Redis"))?;
    client.get_multiplexed_async_connection().await.map_err(Error::redis("connecting to Redis"))
}

/// Values of a section of INFO, by name; 0 for a missing value.
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

/// The memory in use, and the highest ever in use.
async fn look(connection: &mut MultiplexedConnection) -> Result<(u64, u64), Error> {
    let [used, record] = info(connection, "memory", ["used_memory", "used_memory_peak"]).await?;
    Ok((used as u64, record as u64))
}
