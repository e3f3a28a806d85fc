//! A reaper in a Rust program, so that one process can do everything for a small installation.

use crate::{Config, Error, metrics::ReaperMetrics, serve::bind};
use leasehold_client::Pair;
use leasehold_kubernetes::{Account, PodsOfCluster};
use leasehold_reaper::PodCosts;
use leasehold_telemetry::Vitals;
use std::{future::Future, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long a taken hint without a claim is kept from other workers.
const HANDOFF_LEASE: Duration = Duration::from_secs(5);

/// How often the deletion costs of pods are compared. A HorizontalPodAutoscaler decides every 15 s.
const COSTS_EVERY: Duration = Duration::from_secs(10);

/// A reaper: repairs what crashed processes left behind, moves due jobs into the line, and keeps the head filled.
///
/// Every installation needs at least one running reaper: `leasehold reaper`, or this. Several reapers may run at the same
/// time; each can replace the others.
///
/// ```no_run
/// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
/// use leasehold::{Config, Reaper};
///
/// let config = Config::load()?;
/// Reaper::builder(&config).run_until(async { let _ = tokio::signal::ctrl_c().await; }).await?;
/// # Ok(())
/// # }
/// ```
pub struct Reaper;

impl Reaper {
    /// Begins to describe a reaper.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
    /// // One process that can do all that a small installation needs.
    /// let config = Config::load()?;
    /// let reaper = tokio::spawn(Reaper::builder(&config).run_until(std::future::pending()));
    /// let stop = async { let _ = tokio::signal::ctrl_c().await; };
    /// Worker::builder(&config).register::<Resize>().queue("default", 8).run_until(stop).await?;
    /// reaper.abort();
    /// # Ok(()) }
    /// ```
    pub fn builder(config: &Config) -> ReaperBuilder {
        ReaperBuilder { config: config.clone() }
    }
}

/// A reaper that has not started.
#[must_use = "nothing runs before `run_until`"]
pub struct ReaperBuilder {
    config: Config,
}

impl ReaperBuilder {
    /// Connects, and works until `shutdown` is ready. Serves `/healthz`, `/readyz` and `/metrics` on `reaper.listen` if that
    /// is set.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
    /// let mut config = Config::load()?;
    /// config.reaper.listen = Some("127.0.0.1:9465".parse()?);
    /// Reaper::builder(&config).run_until(async { let _ = tokio::signal::ctrl_c().await; }).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A setting is missing, or PostgreSQL is unavailable at the start. A running reaper outlasts outages of both stores.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let stop = CancellationToken::new();
        let work = self.run(stop.clone());
        tokio::pin!(work, shutdown);
        tokio::select! {
            ended = &mut work => return ended,
            () = &mut shutdown => stop.cancel(),
        }
        work.await
    }

    /// The same with a token that asks for the stop.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc() -> Result<(), Box<dyn std::error::Error>> {
    /// let stop = tokio_util::sync::CancellationToken::new();
    /// let reaper = tokio::spawn(Reaper::builder(&Config::load()?).run(stop.clone()));
    /// stop.cancel();
    /// reaper.await??;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`ReaperBuilder::run_until`].
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let listener = bind(self.config.reaper.listen).await?;
        let pair = Pair::connect(&self.config, "leasehold reaper").await?;
        let mut reaper =
            leasehold_reaper::Reaper::new(pair.store.clone(), pair.handoff()?.clone(), reaper_settings(&self.config));
        if let Some(selector) = &self.config.reaper.pod_deletion_cost {
            let pods = Arc::new(PodsOfCluster::new(Account::of_this_pod(), selector.clone()));
            let election = Arc::new(pair.store.election());
            reaper = reaper.with_pods(PodCosts { pods, election, every: COSTS_EVERY });
        }
        let watch = reaper.watch();
        let served = listener.map(|listener| {
            let (watched, shown) = (watch.clone(), self.config.shown_queues());
            let vitals = Vitals::new(pair.stores(), watch.patience(), move || watched.since_progress());
            listener.serve(
                vitals.with_metrics(ReaperMetrics(watch)).with_queues(pair.queues(shown)).with_demands(pair.demands()),
            )
        });
        tracing::info!(pair = pair.name, tick_ms = self.config.reaper.tick_ms, "the reaper has started");
        reaper.run(stop).await;
        if let Some(served) = served {
            served.stop().await;
        }
        tracing::info!("the reaper has stopped");
        Ok(())
    }
}

/// How a reaper of these settings behaves, for programs of Leasehold itself.
#[doc(hidden)]
#[must_use]
pub fn reaper_settings(config: &Config) -> leasehold_reaper::Settings {
    leasehold_reaper::Settings {
        tick: Duration::from_millis(config.reaper.tick_ms),
        head_max: config.head.max,
        handoff_lease: HANDOFF_LEASE.min(config.lease()),
        lease: config.lease(),
        keep_finished: config.keep_finished(),
    }
}
