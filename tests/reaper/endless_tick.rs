//! A reaper whose next tick never comes: the work that it still does is work whose time it knows in advance.

use crate::world::{SOON, World};
use leasehold_reaper::{Reaper, Settings, Watch};
use leasehold_tests::eventually;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

impl World {
    /// A reaper that runs. This step has run in its first tick.
    pub(crate) async fn with_an_endless_tick(&self, step: &str) -> (Watch, CancellationToken) {
        let settings = Settings { tick: Duration::from_secs(3600), ..self.settings() };
        let reaper = Reaper::new(self.store.clone(), self.handoff.clone(), settings);
        let (watch, stop) = (reaper.watch(), CancellationToken::new());
        tokio::spawn(reaper.run(stop.clone()));
        eventually("the first tick has run the step", SOON, async || {
            let totals = watch.totals();
            if totals.steps.contains_key(step) { Ok(()) } else { Err(totals) }
        })
        .await;
        (watch, stop)
    }
}
