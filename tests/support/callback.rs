//! A job that a batch enqueues as its callback.

use leasehold::{Job, JobError, Run};
use serde::{Deserialize, Serialize};
use std::time::Duration;

const DURATION: Duration = Duration::from_millis(60);

/// The payload of a callback. The numbers are there if all jobs of the batch have ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchCallback {
    /// The name of the batch.
    pub batch: String,
    /// `success`, `complete` or `death`.
    pub event: String,
    /// Jobs that have succeeded.
    pub succeeded: Option<i64>,
    /// Jobs that are dead.
    pub dead: Option<i64>,
    /// Jobs that were cancelled.
    pub cancelled: Option<i64>,
}

impl Job for BatchCallback {
    const KIND: &'static str = "batch_callback";
    type Output = ();

    /// Takes some time, so that a worker can be killed meanwhile.
    async fn run(self, run: &Run) -> Result<(), JobError> {
        tokio::select! {
            () = tokio::time::sleep(DURATION) => Ok(()),
            _ = run.cancelled() => Err(JobError::failed("told to stop")),
        }
    }
}
