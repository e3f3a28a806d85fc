//! Jobs of `leasehold each` that a worker without `--commands` has claimed. The worker must not run its own command `*=…` for
//! such a job, because each job of `leasehold each` has its own command.

use super::plan::KIND;
use leasehold_core::{Backoff, Outcome};
use leasehold_worker::{Exec, Handler, Run};
use serde::Deserialize;
use std::{future::Future, pin::Pin, time::Duration};

/// Why the worker does not run the job. `leasehold each` finds it in the trail of the job.
pub(crate) const DECLINED: &str = "the worker has a command for every kind and was started without --commands, so it does not run what `leasehold each` asks for";
/// After this time, the job comes to a worker again, perhaps to another one.
const AGAIN_AFTER: Duration = Duration::from_secs(2);

/// The command for every kind, but not for jobs of `leasehold each`.
pub(crate) struct ButNotOfEach(pub(crate) Exec);

/// The payload of such a job.
#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "argv")]
    _argv: Vec<String>,
}

impl Handler for ButNotOfEach {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        let job = run.job();
        if job.kind.as_str() == KIND && serde_json::from_str::<Payload>(job.payload.get()).is_ok() {
            return Box::pin(async { Outcome::Snoozed(Some(AGAIN_AFTER), Some(DECLINED.into())) });
        }
        self.0.run(run)
    }

    fn stop_timeout(&self) -> Duration {
        self.0.stop_timeout()
    }

    fn backoff(&self) -> Option<Backoff> {
        self.0.backoff()
    }

    fn lack(&self) -> Option<String> {
        self.0.lack()
    }
}
