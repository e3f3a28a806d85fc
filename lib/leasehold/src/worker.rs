//! A worker of typed jobs: what the worker serves, and what runs around its runs.

use crate::{
    Config, Error,
    job::{Job, Typed},
    metrics::WorkerMetrics,
    middleware::{Around, Next},
    serve::bind,
};
use leasehold_client::Pair;
use leasehold_core::{Kind, Outcome, QueueName};
use leasehold_telemetry::Vitals;
use leasehold_worker::{Handler, Handlers, Run, Tally};
use std::{future::Future, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long the heartbeat of a worker may need for itself: sixty times the usual time.
const HEARTBEAT_PATIENCE: Duration = Duration::from_secs(60);

/// A worker: takes jobs, runs them on a lease, settles them.
///
/// ```no_run
/// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// let config = Config::load()?;
/// let stop = async { let _ = tokio::signal::ctrl_c().await; };
/// let tally = Worker::builder(&config).register::<Resize>().queue("images", 32).run_until(stop).await?;
/// println!("{} jobs succeeded", tally.succeeded);
/// # Ok(()) }
/// ```
pub struct Worker;

impl Worker {
    /// Begins to describe a worker.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let worker = Worker::builder(&Config::default()).register::<Resize>().queue("default", 4);
    /// client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// assert_eq!(queue.drain(worker).await?.succeeded, 1);
    /// # Ok(()) });
    /// ```
    pub fn builder(config: &Config) -> WorkerBuilder {
        WorkerBuilder {
            config: config.clone(),
            handlers: Vec::new(),
            any_kind: None,
            around: Around::default(),
            queues: Vec::new(),
            wrong: None,
        }
    }
}

/// What a worker serves: kinds by [`WorkerBuilder::register`], queues by [`WorkerBuilder::queue`].
///
/// ```
/// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
/// let worker = Worker::builder(&Config::default())
///     .state("what every run can use".to_owned())
///     .register::<Resize>()
///     .queue("images", 32)
///     .around(|run, next| async move { next.run(run).await });
/// ```
#[must_use = "nothing runs before `run_until`"]
pub struct WorkerBuilder {
    config: Config,
    handlers: Vec<(Kind, Arc<dyn Handler>)>,
    any_kind: Option<Arc<dyn Handler>>,
    around: Around,
    queues: Vec<(QueueName, u32)>,
    wrong: Option<Error>,
}

impl WorkerBuilder {
    /// Runs jobs of this type. Jobs of kinds that no handler is registered for are left to other workers.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// let worker = Worker::builder(&Config::default()).register::<Resize>();
    /// ```
    pub fn register<J: Job>(self) -> Self {
        self.handler(J::KIND, Arc::new(Typed::<J>::new()))
    }

    /// Runs jobs of a kind with an untyped handler.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// use std::{pin::Pin, sync::Arc};
    ///
    /// /// Returns its payload.
    /// struct Echo;
    ///
    /// impl Handler for Echo {
    ///     fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
    ///         Box::pin(async move { Outcome::Succeeded(Some(run.job().payload.clone())) })
    ///     }
    /// }
    ///
    /// let worker = Worker::builder(&Config::default()).handler("echo", Arc::new(Echo)).queue("default", 1);
    /// let job = NewJob::new("echo".parse()?, serde_json::value::to_raw_value("hello")?);
    /// client.enqueue_many(&[job]).await?;
    /// assert_eq!(queue.drain(worker).await?.succeeded, 1);
    /// # Ok(()) });
    /// ```
    pub fn handler(mut self, kind: &str, handler: Arc<dyn Handler>) -> Self {
        match kind.parse::<Kind>() {
            Ok(kind) => self.handlers.push((kind, handler)),
            Err(source) => self.refuse(Error::Name { what: "kind", name: kind.to_owned(), source }),
        }
        self
    }

    /// Runs jobs of every kind without a specific handler.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(handler: std::sync::Arc<dyn Handler>) -> Result<(), Box<dyn std::error::Error>> {
    /// let worker = Worker::builder(&Config::load()?).register::<Resize>().handler_of_any_kind(handler);
    /// # Ok(()) }
    /// ```
    pub fn handler_of_any_kind(mut self, handler: Arc<dyn Handler>) -> Self {
        self.any_kind = Some(handler);
        self
    }

    /// Gives every run a value of this type, such as a connection pool: handlers get the value by [`Run::state`]. There
    /// is one value of each type.
    ///
    /// ```no_run
    /// # use leasehold::{Config, Job, JobError, Run, Worker};
    /// # use serde::{Deserialize, Serialize};
    /// struct Templates(Vec<String>);
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct SendMail { template: usize }
    ///
    /// impl Job for SendMail {
    ///     const KIND: &'static str = "send_mail";
    ///     type Output = String;
    ///     async fn run(self, run: &Run) -> Result<String, JobError> {
    ///         let Templates(all) = run.state()?;
    ///         Ok(all.get(self.template).cloned().unwrap_or_default())
    ///     }
    /// }
    /// # fn doc(config: &Config) {
    /// let worker = Worker::builder(config).state(Templates(vec!["Hello".into()])).register::<SendMail>();
    /// # }
    /// ```
    pub fn state<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.around.add_state(value);
        self
    }

    /// Calls a function around every run, for spans, metrics and checks. The function added first is the outermost.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let worker = worker().around(|run, next| async move {
    ///     let (kind, begun) = (run.job().kind.clone(), std::time::Instant::now());
    ///     let outcome = next.run(run).await;
    ///     println!("a run of {kind} has {} after {:?}", outcome.as_str(), begun.elapsed());
    ///     outcome
    /// });
    /// client.enqueue(Resize { path: "a.png".into(), width: 160 }).send().await?;
    /// assert_eq!(queue.drain(worker).await?.succeeded, 1);
    /// # Ok(()) });
    /// ```
    pub fn around<F, R>(mut self, layer: F) -> Self
    where
        F: Fn(Run, Next) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        self.around.add_layer(layer);
        self
    }

    /// Serves a queue, and runs up to this number of its jobs at the same time. May be called several times, once for each queue.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// let worker = Worker::builder(&Config::default()).register::<Resize>().queue("images", 32).queue("slow", 2);
    /// ```
    pub fn queue(mut self, name: &str, slots: u32) -> Self {
        match name.parse::<QueueName>() {
            Ok(_) if slots == 0 => self.refuse(Error::Worker("a queue needs at least one slot")),
            Ok(queue) => self.queues.push((queue, slots)),
            Err(source) => self.refuse(Error::Name { what: "queue", name: name.to_owned(), source }),
        }
        self
    }

    /// The checked parts, each handler with everything that runs around it.
    pub(crate) fn parts(self) -> Result<Parts, Error> {
        let Self { config, handlers, any_kind, around, queues, wrong } = self;
        if let Some(error) = wrong {
            return Err(error);
        }
        if queues.is_empty() {
            return Err(Error::Worker("a worker needs a queue to serve"));
        }
        if handlers.is_empty() && any_kind.is_none() {
            return Err(Error::Worker("a worker needs a handler: without one it would never take a job"));
        }
        let handlers = handlers.into_iter().map(|(kind, handler)| (kind, around.wrap(handler))).collect();
        Ok(Parts { config, handlers, any_kind: any_kind.map(|handler| around.wrap(handler)), queues })
    }

    fn refuse(&mut self, error: Error) {
        self.wrong.get_or_insert(error);
    }

    /// Connects and works until `shutdown` is ready. Then lets handlers finish for `worker.grace_ms`, releases the
    /// other jobs, and returns the counters of the worker.
    ///
    /// Serves `/healthz`, `/readyz` and `/metrics` (for Prometheus) on `worker.listen` if that is set.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut config = Config::load()?;
    /// config.worker.listen = Some("127.0.0.1:9464".parse()?);
    /// let stop = async { let _ = tokio::signal::ctrl_c().await; };
    /// let tally = Worker::builder(&config).register::<Resize>().queue("default", 8).run_until(stop).await?;
    /// println!("{} jobs succeeded, {} are dead", tally.succeeded, tally.buried);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// The worker has nothing to serve, or a store is unavailable at the start. A running worker outlasts outages of
    /// both stores.
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
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(worker: WorkerBuilder) -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio_util::sync::CancellationToken;
    ///
    /// let (stop, stop_now) = (CancellationToken::new(), CancellationToken::new());
    /// let running = tokio::spawn(worker.run(stop.clone(), stop_now.clone()));
    /// // The first Ctrl-C lets the handlers finish, the second one does not.
    /// tokio::signal::ctrl_c().await?;
    /// stop.cancel();
    /// tokio::signal::ctrl_c().await?;
    /// stop_now.cancel();
    /// let tally = running.await??;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`WorkerBuilder::run_until`].
    pub async fn run(self, stop: CancellationToken, stop_now: CancellationToken) -> Result<Tally, Error> {
        let Parts { config, handlers: by_kind, any_kind, queues } = self.parts()?;
        let mut handlers = Handlers::new();
        for (kind, handler) in by_kind {
            handlers.insert(kind, handler);
        }
        if let Some(handler) = any_kind {
            handlers.insert_any(handler);
        }
        let listener = bind(config.worker.listen).await?;
        let pair = Pair::connect(&config, "leasehold worker").await?;
        let handoff = pair.handoff()?.clone();
        pair.store.prepare().await?;
        let names: Vec<String> = queues.iter().map(|(queue, slots)| format!("{queue}={slots}")).collect();
        let settings = worker_settings(&config, queues);
        let worker = leasehold_worker::Worker::new(pair.store.clone(), handoff, settings, handlers);
        let watch = worker.watch();
        let shown = config.shown_queues();
        let served = listener.map(|listener| {
            let (stores, pulse, shortage) = (pair.stores(), watch.clone(), watch.clone());
            let patience = HEARTBEAT_PATIENCE + stores.answers_within() * 2;
            let vitals = Vitals::new(stores, patience, move || pulse.since_progress());
            listener.serve(vitals.with_lack(move || shortage.lack()).with_metrics(WorkerMetrics::new(watch, &shown)))
        });
        tracing::info!(pair = pair.name, worker = %worker.id(), queues = names.join(" "), "the worker has started");
        let tally = worker.run(stop, stop_now).await;
        if let Some(served) = served {
            served.stop().await;
        }
        Ok(tally)
    }
}

/// A builder whose description is valid.
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) handlers: Vec<(Kind, Arc<dyn Handler>)>,
    pub(crate) any_kind: Option<Arc<dyn Handler>>,
    pub(crate) queues: Vec<(QueueName, u32)>,
}

/// How a worker of these settings behaves, for programs of Leasehold itself.
#[doc(hidden)]
#[must_use]
pub fn worker_settings(config: &Config, queues: Vec<(QueueName, u32)>) -> leasehold_worker::Settings {
    leasehold_worker::Settings {
        queues,
        lease: config.lease(),
        grace: Duration::from_millis(config.worker.grace_ms),
        backoff: config.backoff(),
    }
}
