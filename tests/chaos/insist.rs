//! A client that does not give up: its call may fail while a store is unavailable.

use crate::stage::STEP_TIMEOUT;
use anyhow::{Error, Result};
use std::time::{Duration, Instant};

/// The pause before a call is made again.
const PAUSE: Duration = Duration::from_millis(50);

/// Makes a call again until it succeeds.
pub(crate) async fn insist<T, E, F>(what: &str, call: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T, E>>,
    Error: From<E>,
{
    let begun = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(error) if begun.elapsed() > STEP_TIMEOUT => return Err(Error::from(error).context(what.to_owned())),
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
