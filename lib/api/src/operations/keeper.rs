//! Works on operations. Each `leasehold api` has one keeper, and any number of them can run at the same time: an operation belongs to the
//! server that has its lease.

use crate::api::Api;
use leasehold_client::{Error, OperationEnd, OperationRun, OperationStep};
use leasehold_core::WorkerId;
use std::time::Duration;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often the keeper searches for operations from other servers. It begins operations of its own server immediately.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The operations of one server at the same time. All of them read the same table.
const AT_ONCE: usize = 4;
/// The pause before a step is tried again that has failed because of PostgreSQL.
const REST: Duration = Duration::from_secs(1);
/// How often old operations are deleted, and how many in one statement.
const TRIM_EVERY: Duration = Duration::from_secs(600);
const TRIM_MAX: i64 = 1_000;

/// Works on operations, together with the other servers.
#[derive(Debug)]
pub struct Operations {
    api: Api,
    server: WorkerId,
}

impl Operations {
    /// Works on the operations of these stores.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self { api, server: WorkerId(Uuid::now_v7()) }
    }

    /// Runs until `stop`. Each operation then stops after its page, and another server continues it.
    pub async fn run(self, stop: CancellationToken) {
        let mut works = JoinSet::new();
        let mut trimmed: Option<Instant> = None;
        loop {
            while works.len() < AT_ONCE && !stop.is_cancelled() {
                let Some(run) = self.take().await else { break };
                works.spawn(work(self.api.clone(), run, stop.clone()));
            }
            if trimmed.is_none_or(|at| at.elapsed() >= TRIM_EVERY) && self.trim().await {
                trimmed = Some(Instant::now());
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = works.join_next() => {}
                () = self.api.new_operations().notified(), if works.len() < AT_ONCE => {}
                () = sleep(LOOK_EVERY.mul_f64(rand::random_range(0.9..1.1))) => {}
            }
        }
        while works.join_next().await.is_some() {}
    }

    async fn take(&self) -> Option<OperationRun> {
        match self.api.client().take_operation(self.server).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::debug!(%error, "operations cannot be looked after");
                None
            }
        }
    }

    /// Returns whether no old operation is left.
    async fn trim(&self) -> bool {
        match self.api.store().trim_operations(TRIM_MAX).await {
            Ok(forgotten) => forgotten < TRIM_MAX,
            Err(error) => {
                tracing::debug!(%error, "old operations cannot be forgotten");
                false
            }
        }
    }
}

/// Works on an operation until its end, or until another server has it.
async fn work(api: Api, mut run: OperationRun, stop: CancellationToken) {
    let id = run.id();
    let reason: String;
    tracing::info!(operation = %id, "working on an operation");
    let end = loop {
        break match &api.client().operation_step(&mut run).await {
            Ok(OperationStep::More) if stop.is_cancelled() => OperationEnd::GivenBack,
            Ok(OperationStep::More) => continue,
            Ok(OperationStep::Complete { locked: 0 }) => OperationEnd::Done,
            Ok(OperationStep::Complete { locked }) => {
                reason = locked_out(*locked);
                OperationEnd::Failed(&reason)
            }
            Ok(OperationStep::CancelWanted) => OperationEnd::Cancelled,
            Ok(OperationStep::Lost) => {
                tracing::info!(operation = %id, "another server has the operation");
                return;
            }
            Err(error) if stop.is_cancelled() || may_pass(error) => {
                tracing::debug!(operation = %id, %error, "a page of an operation has failed");
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = sleep(REST) => {}
                }
                // The page may be committed, if only the answer was lost. So the work continues from the row.
                OperationEnd::GivenBack
            }
            Err(error) => {
                tracing::error!(operation = %id, %error, "an operation cannot go on");
                OperationEnd::Failed(
                    "the server could not do this; its log has the reason under the id of the operation",
                )
            }
        };
    };
    write_end(&api, &run, end, &stop).await;
}

fn locked_out(locked: usize) -> String {
    let jobs = if locked == 1 { "job is".to_owned() } else { format!("{locked} jobs are") };
    let count = if locked == 1 { "1 " } else { "" };
    format!(
        "{count}{jobs} locked by open transactions of other sessions; the other jobs were changed: send the operation again"
    )
}

fn may_pass(error: &Error) -> bool {
    match error {
        Error::Store(error) => error.is_transient() || error.may_be_locked(),
        _ => false,
    }
}

/// Writes the end. A server that cannot write it loses its lease, and another server finds the same end.
async fn write_end(api: &Api, run: &OperationRun, end: OperationEnd<'_>, stop: &CancellationToken) {
    while let Err(error) = api.client().end_operation(run, end).await {
        tracing::debug!(operation = %run.id(), %error, "the end of an operation cannot be written");
        if stop.is_cancelled() || !may_pass(&error) {
            return;
        }
        sleep(REST).await;
    }
    tracing::info!(operation = %run.id(), ?end, "this server has ended its work on the operation");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_counts_the_locked_jobs() {
        assert!(locked_out(1).starts_with("1 job is locked by"));
        assert!(locked_out(3).starts_with("3 jobs are locked by"));
    }
}
