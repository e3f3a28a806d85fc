//! Shared by the commands that take ids: the job of an id, and the exit code if some ids belong to no job.

use crate::{context::Context, failure::Failure};
use leasehold::{JobId, JobRecord, Store};
use std::process::ExitCode;

/// The job with this id, or the failure that no job has this id.
pub(super) async fn existing(store: &Store, id: JobId, context: &Context) -> Result<JobRecord, Failure> {
    let job = store.job(id).await.map_err(|error| context.store_failure(error))?;
    job.ok_or_else(|| no_such_job(id))
}

pub(super) fn no_such_job(id: JobId) -> Failure {
    Failure::new(format!("no job has the id {id}; `leasehold job list` shows the newest"))
}

/// The exit code. Reports each failure, such as an id that belongs to no job.
pub(super) fn finish(mut failures: Vec<Failure>, failed: bool) -> Result<ExitCode, Failure> {
    let last = failures.pop();
    for failure in failures {
        failure.report();
    }
    match last {
        Some(failure) => Err(failure),
        None if failed => Ok(ExitCode::FAILURE),
        None => Ok(ExitCode::SUCCESS),
    }
}
