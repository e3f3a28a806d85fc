//! Finds in which lines something changed, and where the live jobs begin. The other steps start their reads at these
//! positions.

use crate::{
    conditions::Condition,
    error::Error,
    step::{Needs, Ran, Step},
    tick::Tick,
};
use async_trait::async_trait;
use leasehold_ports::LineChanges;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Survey {
    outages: u64,
}

#[async_trait]
impl Step for Survey {
    fn name(&self) -> &'static str {
        "survey"
    }

    fn needs(&self) -> Needs {
        Needs::Postgres
    }

    fn is_wanted(&self, tick: &Tick) -> bool {
        tick.store.is_some()
    }

    async fn run(&mut self, tick: &Tick) -> Result<Ran, Error> {
        let store: Arc<dyn LineChanges> = tick.postgres()?;
        let mut surveys = tick.shared.surveys.lock().await;
        let (expired_until, promoted_until) = {
            let mut known = tick.shared.known();
            if self.outages != known.outages {
                self.outages = known.outages;
                surveys.forget();
            }
            (known.leases.take_done(), known.schedule.take_done())
        };
        if let Some(time) = expired_until {
            surveys.expired_until(time);
        }
        if let Some(time) = promoted_until {
            surveys.promoted_until(time);
        }
        let looked = surveys.look(&store, tick.snapshot.as_deref()).await;
        tick.shared.log(Condition::SlowSurveys, surveys.complaint().as_deref());
        tick.shared.publish(&surveys);
        looked?;
        Ok(Ran::Done)
    }
}
