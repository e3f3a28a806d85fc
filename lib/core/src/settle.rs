//! What ends a run, as it is sent to the store, and what the store answers.

use serde_json::value::RawValue;
use std::time::Duration;

/// How a run ends.
#[derive(Clone, Debug)]
pub enum Settle {
    /// Succeeded, with a result.
    Complete(Option<Box<RawValue>>),
    /// Failed; again after the delay, the attempt spent.
    Retry {
        /// How long to wait, on the database's clock.
        delay: Duration,
        /// What went wrong.
        error: String,
    },
    /// Not the job's fault; again after the delay, the attempt given back.
    Snooze {
        /// How long to wait, on the database's clock.
        delay: Duration,
        /// Why, if the handler said.
        reason: Option<String>,
    },
    /// Back to the line at once, the attempt given back.
    Release,
    /// Dead: it cannot succeed.
    Bury {
        /// What went wrong.
        error: String,
    },
    /// Stopped because a cancel was wanted.
    Cancel,
}

/// What became of a settle. Only [`Settled::Done`] and [`Settled::Already`] mean that it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Written now.
    Done,
    /// It was so already, written by this very run: an earlier answer was lost on its way.
    Already,
    /// The run goes nowhere but to cancelled: a cancel is wanted.
    CancelWanted,
    /// The run stands, but another transaction holds a lock on the job's row (an open `leasehold.cancel`, say). Nothing was
    /// changed: send the same settle again later.
    Locked,
    /// The fence is stale. Nothing was changed, and somebody else decides about the job.
    LeaseLost,
}
