//! Waits for a condition, never for time to pass.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// The pause between two checks.
const PAUSE: Duration = Duration::from_millis(10);

/// Checks again and again until a check returns `Ok`. Returns its value.
///
/// # Panics
/// `within` is over. The message contains `what` and what the last check saw.
pub async fn eventually<T, Seen: Debug>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T, Seen>,
) -> T {
    let start = Instant::now();
    let mut last = String::from("nothing: the first check did not end");
    loop {
        // A check may hang too.
        let left = within.saturating_sub(start.elapsed());
        match tokio::time::timeout(left, look()).await {
            Ok(Ok(found)) => return found,
            Ok(Err(seen)) => last = format!("{seen:?}"),
            Err(_) => {}
        }
        assert!(start.elapsed() < within, "{what}: not so within {within:?}; last seen: {last}");
        tokio::time::sleep(PAUSE).await;
    }
}
