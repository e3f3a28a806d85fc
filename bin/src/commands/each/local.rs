//! Slots in this process (`--jobs`): a worker for the queue, and a reaper. So the batch is done even if no other
//! process runs.

use super::plan::KIND;
use crate::{commands::served::PassEnv, context::Context, failure::Failure, job_line, signals::Stop};
use leasehold::{Error, QueueName, Tally, Worker};
use leasehold_worker::Exec;
use std::{sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// A worker and a reaper in this process.
pub(crate) struct Local {
    stop: Stop,
    worker: JoinHandle<Result<Tally, Error>>,
    reaper: JoinHandle<()>,
}

impl Local {
    pub(crate) async fn start(
        queue: &QueueName,
        slots: u32,
        pass_env: &PassEnv,
        context: &Context,
    ) -> Result<Self, Failure> {
        let stop = Stop::default();
        let kill_after = Duration::from_millis(context.config.worker.kill_after_ms);
        let worker = Worker::builder(&context.config)
            .queue(queue.as_str(), slots)
            .handler(
                KIND,
                Arc::new(Exec::from_payload(kill_after).passing(&pass_env.passed()).enqueueing(job_line::from_command)),
            )
            .run(stop.soon.clone(), stop.now.clone());
        let reaper = context.reaper(&context.pair("leasehold reaper").await?)?;
        let reaper = tokio::spawn(reaper.run(stop.soon.clone()));
        Ok(Self { worker: tokio::spawn(worker), reaper, stop })
    }

    /// Whether the worker ended by itself. It does so only when it could not start.
    pub(crate) fn has_ended(&self) -> bool {
        self.worker.is_finished()
    }

    /// Stops both. `at_once` releases the running jobs instead of letting them finish.
    pub(crate) async fn stop(self, at_once: bool, context: &Context) -> Result<(), Failure> {
        self.stop.soon.cancel();
        if at_once {
            self.stop.now.cancel();
        }
        let (worker, _) = tokio::join!(self.worker, self.reaper);
        match worker {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(context.failure(&error)),
            Err(error) => Err(Failure::new(format!("the local worker failed: {error}"))),
        }
    }
}
