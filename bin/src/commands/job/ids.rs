//! What the actions on ids share: the job of an id, and the end of a command of which some ids are of no job.

use crate::{context::Context, failure::Failure};
use leasehold::{JobId, JobRecord, Store};
use std::process::ExitCode;

/// The job of an id, or the failure that no job has the id.
pub(super) async fn existing(store: &Store, id: JobId, context: &Context) -> Result<JobRecord, Failure> {
    let job = store.job(id).await.map_err(|error| context.store_failure(error))?;
    job.ok_or_else(|| no_such_job(id))
}

pub(super) fn no_such_job(id: JobId) -> Failure {
    Failure::new(format!("no job has the id {id}; `leasehold job list` shows the newest"))
}

/// The exit code. Reports each id that is of no job.
pub(super) fn finish(mut missing: Vec<Failure>, failed: bool) -> Result<ExitCode, Failure> {
    let last = missing.pop();
    for failure in missing {
        failure.report();
    }
    match last {
        Some(failure) => Err(failure),
        None if failed => Ok(ExitCode::FAILURE),
        None => Ok(ExitCode::SUCCESS),
    }
}
