//! Keeps a rate: after each step, waits until the rate allows as many jobs as have been started.

use super::rate::Rate;
use tokio::time::{Instant, sleep_until};

pub(super) struct Pace {
    rate: Rate,
    next: Instant,
}

impl Pace {
    pub(super) fn new(rate: Rate) -> Self {
        Self { rate, next: Instant::now() }
    }

    /// Waits until the next jobs may be begun. A slow step earns no burst: the time of the wait counts from now on.
    pub(super) async fn after(&mut self, begun: u64) {
        self.next = self.next.max(Instant::now()) + self.rate.time_for(begun);
        sleep_until(self.next).await;
    }
}
