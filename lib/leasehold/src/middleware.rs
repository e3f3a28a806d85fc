//! Middleware, which runs around every run of a worker: state for its handlers, and functions of the program.
//!
//! Middleware is one function and not tower's `Layer`. A worker limits, retries and times out runs by itself, durably; tower's
//! middleware for limits, retries and timeouts would do the same again in memory. Other middleware, such as spans and metrics,
//! is shorter as a function, and no version of tower becomes a part of this crate's interface.

use leasehold_core::{Backoff, Outcome};
use leasehold_worker::{Handler, HandlerState, Run};
use std::{fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

type Running = Pin<Box<dyn Future<Output = Outcome> + Send>>;
type Layer = dyn Fn(Run, Next) -> Running + Send + Sync;

/// Everything that runs around the handlers of a worker, outermost first.
#[derive(Clone, Default)]
pub(crate) struct Around {
    state: HandlerState,
    layers: Vec<Arc<Layer>>,
}

impl Around {
    pub(crate) fn add_state<T: Send + Sync + 'static>(&mut self, value: T) {
        self.state = std::mem::take(&mut self.state).with(value);
    }

    pub(crate) fn add_layer<F, R>(&mut self, layer: F)
    where
        F: Fn(Run, Next) -> R + Send + Sync + 'static,
        R: Future<Output = Outcome> + Send + 'static,
    {
        self.layers.push(Arc::new(move |run, next| Box::pin(layer(run, next))));
    }

    /// The handler with all middleware around it; the handler itself if there is no middleware.
    pub(crate) fn wrap(&self, handler: Arc<dyn Handler>) -> Arc<dyn Handler> {
        if self.state.is_empty() && self.layers.is_empty() {
            return handler;
        }
        Arc::new(Wrapped { state: self.state.clone(), layers: self.layers.clone().into(), handler })
    }
}

/// A handler with state and middleware around it.
struct Wrapped {
    state: HandlerState,
    layers: Arc<[Arc<Layer>]>,
    handler: Arc<dyn Handler>,
}

impl Handler for Wrapped {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        let next = Next { layers: Arc::clone(&self.layers), inner: 0, handler: Arc::clone(&self.handler) };
        Box::pin(next.run(run.with_state(self.state.clone())))
    }

    fn stop_timeout(&self) -> Duration {
        self.handler.stop_timeout()
    }

    fn backoff(&self) -> Option<Backoff> {
        self.handler.backoff()
    }

    fn lack(&self) -> Option<String> {
        self.handler.lack()
    }
}

/// The rest of the way to the handler: the other middleware, then the handler. See
/// [`WorkerBuilder::around`](crate::WorkerBuilder::around).
///
/// ```
/// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
/// # in_memory(async |queue, client| {
/// /// Ends a job at its third failure, whatever attempts are left.
/// async fn three_times(run: Run, next: Next) -> Outcome {
///     let attempt = run.job().attempt;
///     match next.run(run).await {
///         Outcome::Failed(error) if attempt >= 3 => Outcome::Hopeless(error),
///         outcome => outcome,
///     }
/// }
///
/// let worker = worker().around(three_times);
/// client.enqueue(resize("a.png")).send().await?;
/// assert_eq!(queue.drain(worker).await?.succeeded, 1);
/// # Ok(()) });
/// ```
pub struct Next {
    layers: Arc<[Arc<Layer>]>,
    /// The first layer that has not run yet.
    inner: usize,
    handler: Arc<dyn Handler>,
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next").field("layers_left", &(self.layers.len() - self.inner)).finish_non_exhaustive()
    }
}

impl Next {
    /// Runs the rest. The middleware can read or replace the outcome. If it does not call the handler, the outcome that it
    /// returns counts.
    ///
    /// ```
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # in_memory(async |queue, client| {
    /// let closed = worker().around(|run, next| async move {
    ///     match run.job().queue.as_str() {
    ///         "default" => Outcome::Snoozed(Some(Duration::from_secs(60)), Some("closed".to_owned())),
    ///         _ => next.run(run).await,
    ///     }
    /// });
    /// client.enqueue(resize("a.png")).send().await?;
    /// assert_eq!(queue.drain(closed).await?.snoozed, 1);
    /// # Ok(()) });
    /// ```
    pub async fn run(self, run: Run) -> Outcome {
        let Self { layers, inner, handler } = self;
        match layers.get(inner).cloned() {
            Some(layer) => layer(run, Self { layers, inner: inner + 1, handler }).await,
            None => handler.run(run).await,
        }
    }
}
