//! A worker made of typed jobs.

use crate::{
    Config, ConfigError, Error,
    hints::handoff_or_later,
    job::{Job, Typed},
};
use leasehold_api::{Listener, Stores, Vitals};
use leasehold_core::{Kind, QueueName};
use leasehold_store::Store;
use leasehold_worker::{Handler, Handlers, Tally};
use std::{future::Future, sync::Arc};
use tokio_util::sync::CancellationToken;

/// A worker: takes jobs, runs them on a lease, settles them.
pub struct Worker;

impl Worker {
    /// Begins to say what a worker serves.
    pub fn builder(config: &Config) -> WorkerBuilder {
        WorkerBuilder { config: config.clone(), handlers: Handlers::new(), queues: Vec::new(), wrong: None, any: false }
    }
}

/// What a worker serves: kinds by [`WorkerBuilder::register`], queues by [`WorkerBuilder::queue`].
#[must_use = "nothing runs before `run_until`"]
pub struct WorkerBuilder {
    config: Config,
    handlers: Handlers,
    any: bool,
    queues: Vec<(QueueName, u32)>,
    wrong: Option<Error>,
}

impl WorkerBuilder {
    /// Runs jobs of this type. Jobs of kinds that no handler is registered for are left to other workers.
    pub fn register<J: Job>(self) -> Self {
        self.handler(J::KIND, Arc::new(Typed::<J>::new()))
    }

    /// Runs jobs of a kind by a handler that sees them as they are.
    pub fn handler(mut self, kind: &str, handler: Arc<dyn Handler>) -> Self {
        match kind.parse::<Kind>() {
            Ok(kind) => {
                self.handlers.insert(kind, handler);
                self.any = true;
            }
            Err(source) => self.refuse(Error::Name { what: "kind", name: kind.to_owned(), source }),
        }
        self
    }

    /// Runs jobs of every kind that has no handler of its own.
    pub fn handler_of_any_kind(mut self, handler: Arc<dyn Handler>) -> Self {
        self.handlers.insert_any(handler);
        self.any = true;
        self
    }

    /// Serves a queue, with so many jobs of it at once.
    pub fn queue(mut self, name: &str, slots: u32) -> Self {
        match name.parse::<QueueName>() {
            Ok(_) if slots == 0 => self.refuse(Error::Worker("a queue needs at least one slot")),
            Ok(queue) => self.queues.push((queue, slots)),
            Err(source) => self.refuse(Error::Name { what: "queue", name: name.to_owned(), source }),
        }
        self
    }

    fn refuse(&mut self, error: Error) {
        self.wrong.get_or_insert(error);
    }

    /// Connects and works until `shutdown` is ready, then lets handlers finish for `worker.grace_ms`, gives back
    /// what is left, and returns what was done.
    ///
    /// # Errors
    /// What is wrong with what it was told to serve, or that a store cannot be reached at the start. Once it runs,
    /// it outlasts their outages.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<Tally, Error> {
        let stop = CancellationToken::new();
        let work = self.run(stop.clone(), CancellationToken::new());
        tokio::pin!(work, shutdown);
        tokio::select! {
            ended = &mut work => return ended,
            () = &mut shutdown => stop.cancel(),
        }
        work.await
    }

    /// The same with tokens: `stop` asks for a graceful stop, `stop_now` ends the grace.
    ///
    /// # Errors
    /// As [`WorkerBuilder::run_until`].
    pub async fn run(self, stop: CancellationToken, stop_now: CancellationToken) -> Result<Tally, Error> {
        if let Some(error) = self.wrong {
            return Err(error);
        }
        if self.queues.is_empty() {
            return Err(Error::Worker("a worker needs a queue to serve"));
        }
        if !self.any {
            return Err(Error::Worker("a worker needs a handler: without one it would never take a job"));
        }
        let listener = match self.config.worker.listen {
            Some(address) => Some(Listener::bind(address).await?),
            None => None,
        };
        let settings =
            self.config.store_settings("leasehold worker").ok_or_else(|| ConfigError::missing("database.url"))?;
        let store = Store::connect(&settings).await?;
        store.check_schema().await?;
        store.prepare().await?;
        let settings = self.config.handoff_settings().ok_or_else(|| ConfigError::missing("redis.url"))?;
        let handoff = handoff_or_later(&settings).await?;
        let queues: Vec<String> = self.queues.iter().map(|(queue, slots)| format!("{queue}={slots}")).collect();
        let settings = self.config.worker_settings(self.queues);
        let stores = Stores::new(store.clone(), handoff.clone());
        let worker = leasehold_worker::Worker::new(store, handoff, settings, self.handlers);
        let served = listener.map(|listener| listener.serve(Vitals::of_worker(worker.watch(), stores)));
        tracing::info!(worker = %worker.id(), queues = queues.join(" "), "the worker has started");
        let tally = worker.run(stop, stop_now).await;
        if let Some(served) = served {
            served.stop().await;
        }
        Ok(tally)
    }
}
