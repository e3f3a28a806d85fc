//! Handlers, which run the jobs of a kind, and the list of kinds that have a handler.

use crate::run::Run;
use leasehold_core::{Backoff, Kind, Outcome};
use leasehold_ports::Kinds;
use std::{collections::HashMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

/// How long a handler may take to stop, unless it sets another time. Together with the default grace of 25 s, the time
/// stays within the 30 s that supervisors usually wait before they kill.
pub const STOP_TIMEOUT: Duration = Duration::from_secs(3);

/// Runs the jobs of a kind. Dyn-safe: typed handlers and commands both implement this trait.
///
/// ```
/// # use leasehold_core::{Backoff, Outcome};
/// # use leasehold_worker::{Handler, Run};
/// # use std::{pin::Pin, time::Duration};
/// /// Counts the bytes of its payload.
/// struct Count;
///
/// impl Handler for Count {
///     fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
///         Box::pin(async move {
///             match serde_json::value::to_raw_value(&run.job().payload.get().len()) {
///                 Ok(result) => Outcome::Succeeded(Some(result)),
///                 Err(error) => Outcome::Failed(error.to_string()),
///             }
///         })
///     }
///
///     fn backoff(&self) -> Option<Backoff> {
///         Some(Backoff::fixed(Duration::from_secs(10)))
///     }
/// }
/// ```
pub trait Handler: Send + Sync + 'static {
    /// Runs one job and returns its outcome. [`Run::cancelled`] tells the handler to stop. A handler that has not ended
    /// [`Handler::stop_timeout`] later is dropped at its next await. A panic counts as a failure with the message of
    /// the panic.
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>>;

    /// How long the handler may continue after it was told to stop.
    fn stop_timeout(&self) -> Duration {
        STOP_TIMEOUT
    }

    /// The delays between the attempts of a failing job; `None` uses the delays of the worker.
    fn backoff(&self) -> Option<Backoff> {
        None
    }

    /// What the handler lacks now to run any job, as the end of a sentence that begins with `it lacks`. The worker asks
    /// only after a run has ended in [`Outcome::Lacking`], and takes jobs again when this is `None`.
    fn lack(&self) -> Option<String> {
        None
    }
}

/// Handlers by kind.
#[derive(Clone, Default)]
pub struct Handlers {
    by_kind: HashMap<Kind, Arc<dyn Handler>>,
    any: Option<Arc<dyn Handler>>,
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handlers").field("kinds", &self.kinds()).finish()
    }
}

impl Handlers {
    /// No handlers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a handler for one kind. Replaces an earlier handler for this kind.
    pub fn insert(&mut self, kind: Kind, handler: Arc<dyn Handler>) {
        self.by_kind.insert(kind, handler);
    }

    /// Adds a handler for every kind without a specific handler.
    pub fn insert_any(&mut self, handler: Arc<dyn Handler>) {
        self.any = Some(handler);
    }

    /// Which kinds may be claimed.
    #[must_use]
    pub fn kinds(&self) -> Kinds {
        if self.any.is_some() {
            return Kinds::All;
        }
        let mut kinds: Vec<Kind> = self.by_kind.keys().cloned().collect();
        kinds.sort();
        Kinds::Only(kinds)
    }

    /// Whether there is a handler for this kind.
    pub(crate) fn serves(&self, kind: &Kind) -> bool {
        self.any.is_some() || self.by_kind.contains_key(kind)
    }

    /// What one of the handlers lacks to run any job.
    pub(crate) fn lack(&self) -> Option<String> {
        self.by_kind.values().chain(&self.any).find_map(|handler| handler.lack())
    }

    /// The handler for this kind.
    pub(crate) fn resolve(&self, kind: &Kind) -> Option<Arc<dyn Handler>> {
        self.by_kind.get(kind).or(self.any.as_ref()).cloned()
    }
}
