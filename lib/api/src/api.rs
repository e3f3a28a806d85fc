//! The state that all requests share.

use crate::{
    auth::Auth,
    claim::Dispatcher,
    events::Hub,
    limits::BODIES_MAX_BYTES,
    turns::{Turn, Turns},
    webhooks::WebhookSettings,
};
use leasehold_client::{Client, Pair};
use leasehold_core::{Backoff, NamedJob, NewJob};
use std::{sync::Arc, time::Duration};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Reads a job from the fields of a line of `leasehold enqueue --stdin`; the error describes the mistake.
pub type ReadJob = fn(&str) -> Result<NewJob, String>;
/// Reads a duration such as `10m`.
pub type ReadDuration = fn(&str) -> Result<Duration, String>;
/// Reads a job of a graph.
pub type ReadNode = fn(&str) -> Result<NamedJob, String>;

/// How the server behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Reads a job.
    pub read_job: ReadJob,
    /// Reads a job of a graph.
    pub read_node: ReadNode,
    /// Reads a duration.
    pub read_duration: ReadDuration,
    /// The lease of a claim that does not name a lease.
    pub lease: Duration,
    /// The delays between the attempts of a job without a retry policy.
    pub backoff: Backoff,
    /// How webhooks are sent.
    pub webhooks: WebhookSettings,
}

/// The server's side of all requests. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Api(Arc<Inner>);

struct Inner {
    client: Client,
    pair: Pair,
    settings: Settings,
    auth: Auth,
    dispatcher: Dispatcher,
    /// The room for the bodies that are being read, in KiB.
    bodies: Arc<Semaphore>,
    turns: Turns,
    /// An operation was made.
    operations: Notify,
    events: Arc<Hub>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("pair", &self.pair).field("settings", &self.settings).finish_non_exhaustive()
    }
}

const KIB: usize = 1024;

impl Api {
    /// Answers requests with these stores.
    #[must_use]
    pub fn new(pair: Pair, settings: Settings, auth: Auth) -> Self {
        let client = Client::new(pair.clone());
        let dispatcher = Dispatcher::new(&pair);
        let bodies = Arc::new(Semaphore::new(BODIES_MAX_BYTES / KIB));
        Self(Arc::new(Inner {
            client,
            pair,
            settings,
            auth,
            dispatcher,
            bodies,
            turns: Turns::default(),
            operations: Notify::new(),
            events: Arc::default(),
        }))
    }

    pub(crate) fn client(&self) -> &Client {
        &self.0.client
    }

    pub(crate) fn store(&self) -> &leasehold_store::Store {
        &self.0.pair.store
    }

    /// Redis, available or not; `None` without `redis.url`.
    pub(crate) fn handoff(&self) -> Option<&leasehold_handoff::Handoff> {
        self.0.pair.handoff.as_ref()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Who may do what.
    pub(crate) fn auth(&self) -> &Auth {
        &self.0.auth
    }

    pub(crate) fn dispatcher(&self) -> &Dispatcher {
        &self.0.dispatcher
    }

    /// Room for a body of this length.
    pub(crate) async fn body_room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let kib = u32::try_from(bytes.div_ceil(KIB)).unwrap_or(u32::MAX);
        // The semaphore is never closed.
        Arc::clone(&self.0.bodies).acquire_many_owned(kib).await.ok()
    }

    /// Waits until no other request of this process with this key is running. A request counts as running while it holds the
    /// returned value.
    pub(crate) async fn turn_of(&self, key: &str) -> Turn {
        self.0.turns.wait(key).await
    }

    /// The changes, for clients that watch.
    pub(crate) fn events(&self) -> &Arc<Hub> {
        &self.0.events
    }

    /// Tells, and waits for, new operations.
    pub(crate) fn new_operations(&self) -> &Notify {
        &self.0.operations
    }

    /// Ready when the server stops, so that no request waits any longer.
    pub(crate) async fn stopping(&self) {
        self.0.dispatcher.stopping().await;
    }

    /// Waiting claims get an empty answer, and no claim waits from now on.
    pub(crate) fn stop_waiting(&self) {
        self.0.dispatcher.stop_waiting();
    }

    /// Gives back the runs and hints that the server still holds.
    pub(crate) async fn stop(&self) {
        self.0.dispatcher.stop().await;
    }
}
