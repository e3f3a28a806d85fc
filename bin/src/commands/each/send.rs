//! Enqueues the jobs of a plan, and revives the jobs that an earlier run of the batch left dead or cancelled.

use super::plan::Plan;
use crate::{context::Context, failure::Failure};
use leasehold::{Client, Error, JobId, State};
use leasehold_core::BATCH_MAX;
use tokio::sync::watch;

/// Sends all jobs; `sent` says how many lines have a job so far.
pub(crate) async fn send(
    plan: &Plan,
    client: &Client,
    context: &Context,
    sent: &watch::Sender<usize>,
) -> Result<(), Failure> {
    if plan.known() && plan.len() > 0 {
        refuse_another_command(plan, 0, client, context).await?;
    }
    // The clock of the database: a job that is due later by another clock would have to wait.
    let now = client.store().uptime().await.map_err(|error| context.store_failure(error))?.now;
    for start in (0..plan.len()).step_by(BATCH_MAX) {
        let end = plan.len().min(start + BATCH_MAX);
        let jobs = (start..end).map(|nth| plan.job_at(nth, now)).collect::<Result<Vec<_>, _>>()?;
        let answers = match client.enqueue_many(&jobs).await {
            Ok(answers) => answers,
            Err(error) => return Err(refused(plan, &error, client, context).await),
        };
        if let Some(nth) = answers.iter().position(|answer| !answer.inserted) {
            refuse_another_command(plan, start + nth, client, context).await?;
        }
        let failed = |state| matches!(state, State::Dead | State::Cancelled);
        let again: Vec<JobId> =
            answers.iter().filter(|answer| !answer.inserted && failed(answer.state)).map(|answer| answer.id).collect();
        if !again.is_empty() {
            client.revive(&again).await.map_err(|error| context.failure(&error))?;
        }
        sent.send_replace(end);
    }
    Ok(())
}

/// Why jobs were refused. A sealed batch takes no new lines, so another attempt would be useless.
async fn refused(plan: &Plan, error: &Error, client: &Client, context: &Context) -> Failure {
    let failure = context.failure(error);
    let Some(name) = plan.batch() else { return failure };
    match client.batch(name).await {
        Ok(Some(batch)) if batch.sealed_at.is_some() && !error_may_pass(error) => Failure::usage(format!(
            "the batch {name:?} is sealed, so it takes no line that it does not have yet; \
             to run the new lines: the same command with another --batch, or without --batch"
        )),
        _ => failure,
    }
}

/// Whether the same call may succeed later.
fn error_may_pass(error: &Error) -> bool {
    match error {
        Error::Store(source) | Error::OutcomeUnknown { source, .. } => source.is_transient(),
        Error::Locked(_) => true,
        _ => false,
    }
}

/// The jobs of a batch that was run before carry their own command. A new command would not be the command that runs.
async fn refuse_another_command(plan: &Plan, nth: usize, client: &Client, context: &Context) -> Result<(), Failure> {
    let Some(job) = client.job(plan.ids()[nth]).await.map_err(|error| context.failure(&error))? else { return Ok(()) };
    if job.payload.get() == plan.payload(nth)?.get() && job.queue == plan.queue().as_str() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "this batch was begun with another command or queue (job {}: queue {}, {}); use another name for another command",
        job.id,
        job.queue,
        job.payload.get()
    )))
}
