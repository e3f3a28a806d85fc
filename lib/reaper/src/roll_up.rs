//! Adds up how many jobs ended in each minute, and how long they waited and ran. Nothing waits for this step. Its input is
//! history only.

use crate::{
    error::Error,
    step::{Needs, Period, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use std::time::Duration;

/// How often a reaper checks whether a minute has ended. A minute is shown this much later at most.
const EVERY: Duration = Duration::from_secs(15);

#[derive(Debug)]
pub(crate) struct RollUp;

#[async_trait]
impl Step for RollUp {
    fn name(&self) -> &'static str {
        "minutes"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn period(&self) -> Period {
        Period::After { success: EVERY, failure: EVERY }
    }

    fn first_after(&self) -> Duration {
        EVERY
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some()
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let added = tick.store()?.roll_up_minutes().await?;
        tick.counts.found(added);
        tick.counts.changed(added);
        Ok(if added > 0 { Ran::Done } else { Ran::Waited })
    }
}
