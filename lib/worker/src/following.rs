//! The consequences of a successful run: the follow-on jobs that the handler has requested, and the end of the run that the
//! handler has written in its own transaction.

use crate::run::Run;
use leasehold_core::{Outcome, Settle, Success, check_following};

/// The error of a run whose handler has completed the job in a transaction and has not committed the transaction.
const UNCOMMITTED: &str = "the handler returned success, but its transaction, in which it had completed the job, was not \
                           committed";

/// The outcome of a run, with the requests of its handler. Follow-on jobs that can never be enqueued end the job, because
/// the next run would ask for the same jobs.
#[must_use]
pub fn judge(run: &Run, outcome: Outcome) -> Outcome {
    match outcome {
        // If the transaction is committed, this is refused, because the job has ended: see the settler.
        Outcome::Succeeded(_) if run.is_completed() => Outcome::Failed(UNCOMMITTED.to_owned()),
        Outcome::Succeeded(result) => match run.with_following(check_following) {
            Ok(()) => Outcome::Succeeded(result),
            Err(error) => Outcome::Hopeless(error),
        },
        outcome => outcome,
    }
}

/// The same end of a run, with the jobs that follow from a success.
#[must_use]
pub fn followed(run: &Run, settle: Settle) -> Settle {
    match settle {
        Settle::Complete(result) => match run.take_following() {
            then if then.is_empty() => Settle::Complete(result),
            then => Settle::CompleteThen(Box::new(Success { result, then })),
        },
        settle => settle,
    }
}
