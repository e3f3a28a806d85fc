//! Runs the worker that sends deliveries, and keeps the trigger and the log in order. Each `leasehold api` has one keeper, and any
//! number of them can run at the same time.
//!
//! While there is no webhook, there is no worker: the keeper only checks whether a webhook was made.

use super::delivery::Deliveries;
use crate::api::Settings;
use leasehold_client::Pair;
use leasehold_core::QueueName;
use leasehold_handoff::Handoff;
use leasehold_store::{Error as StoreError, Store, WebhookTrigger};
use leasehold_webhooks::{Networks, SENT_WITHIN, Sender};
use leasehold_worker::{Handlers, Settings as WorkerSettings, Worker};
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

/// How often the keeper looks. It is also the time within which the first webhook of a database is served.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often old rows of the log are deleted, and how many with one statement.
const TRIM_EVERY: Duration = Duration::from_secs(60);
const TRIM_MAX: i64 = 5_000;

/// How webhooks are sent.
#[derive(Clone, Debug)]
pub struct WebhookSettings {
    /// Networks that may be reached although they are not public.
    pub allowed: Networks,
    /// Messages that this process sends at the same time.
    pub slots: u32,
    /// How long the log of deliveries is kept.
    pub keep_days: i32,
}

/// Sends the deliveries of webhooks, with the other processes that do the same.
#[derive(Debug)]
pub struct Webhooks {
    store: Store,
    handoff: Handoff,
    sender: Sender,
    worker: WorkerSettings,
    keep_days: i32,
}

impl Webhooks {
    /// Sends deliveries from these stores.
    ///
    /// # Errors
    /// `redis.url` is missing.
    pub fn new(pair: &Pair, settings: &Settings) -> Result<Self, leasehold_client::ConfigError> {
        let worker = WorkerSettings {
            queues: vec![(QueueName::of_webhooks(), settings.webhooks.slots)],
            lease: settings.lease,
            // A message that is on its way may come to its end.
            grace: SENT_WITHIN,
            backoff: settings.backoff,
        };
        Ok(Self {
            store: pair.store.clone(),
            handoff: pair.handoff()?.clone(),
            sender: Sender::new(settings.webhooks.allowed.clone()),
            worker,
            keep_days: settings.webhooks.keep_days,
        })
    }

    /// Runs until `stop`. `now` immediately ends messages that are being sent.
    pub async fn run(self, stop: CancellationToken, now: CancellationToken) {
        let mut worker: Option<JoinHandle<()>> = None;
        let mut trimmed: Option<Instant> = None;
        loop {
            match self.look().await {
                Ok(true) if worker.as_ref().is_none_or(JoinHandle::is_finished) => {
                    worker = Some(tokio::spawn(self.work(stop.clone(), now.clone())));
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "webhooks cannot be looked after"),
            }
            if trimmed.is_none_or(|at| at.elapsed() >= TRIM_EVERY) && self.trim().await {
                trimmed = Some(Instant::now());
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = sleep(LOOK_EVERY.mul_f64(rand::random_range(0.9..1.1))) => {}
            }
        }
        if let Some(worker) = worker
            && let Err(error) = worker.await
        {
            tracing::error!(%error, "the worker of webhooks has failed; its deliveries are sent again");
        }
    }

    /// Sets the trigger if it must be set. Returns whether there is a webhook.
    async fn look(&self) -> Result<bool, StoreError> {
        let wanted = self.store.webhooks_wanted().await?;
        if wanted.must_set {
            match self.store.set_webhook_trigger().await? {
                WebhookTrigger::On => tracing::info!("ends of jobs make deliveries now"),
                WebhookTrigger::Off => tracing::info!("no webhook is enabled: ends of jobs make no deliveries"),
                WebhookTrigger::Busy => tracing::debug!("the trigger of webhooks cannot be set: a lock is held"),
            }
        }
        Ok(wanted.any)
    }

    fn work(&self, stop: CancellationToken, now: CancellationToken) -> impl Future<Output = ()> + use<> {
        let mut handlers = Handlers::new();
        handlers.insert_any(Arc::new(Deliveries::new(self.store.clone(), self.sender.clone())));
        let worker = Worker::new(self.store.clone(), self.handoff.clone(), self.worker.clone(), handlers);
        tracing::info!(worker = %worker.id(), "there are webhooks: their deliveries are sent");
        async move {
            let tally = worker.run(stop, now).await;
            tracing::debug!(?tally, "the worker of webhooks has stopped");
        }
    }

    /// Returns whether nothing old is left.
    async fn trim(&self) -> bool {
        match self.store.trim_webhooks(self.keep_days, TRIM_MAX).await {
            Ok(deleted) => deleted < TRIM_MAX,
            Err(error) => {
                tracing::debug!(%error, "the log of webhooks cannot be trimmed");
                false
            }
        }
    }
}
