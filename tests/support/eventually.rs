//! Waiting for something to become so, never for time to pass.

use std::{
    fmt::Debug,
    time::{Duration, Instant},
};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks again and again until a look answers `Ok`, and returns that.
///
/// # Panics
/// When `within` is over: with what was waited for, and what was last seen.
pub async fn eventually<T, Seen: Debug>(
    what: &str,
    within: Duration,
    mut look: impl AsyncFnMut() -> Result<T, Seen>,
) -> T {
    let start = Instant::now();
    let mut last = String::from("nothing: the first look did not end");
    loop {
        // A look may hang too.
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
