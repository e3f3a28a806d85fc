//! A process of a fleet that SIGKILL ends at a given point between two writes.
//!
//! `mortal ROLE [--dies-at POINT]`; the URLs of the stores come from the environment. Without a point the process runs
//! until another process kills it.

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use leasehold::{Client, Config, Job, JobError, JobId, Run, Store, Worker, handoff_or_later};
use leasehold_core::{FailPoint, on_fail_points};
use leasehold_reaper::Reaper;
use leasehold_tests::{Probe, quick_reaper};
use nix::{
    sys::signal::{Signal, kill},
    unistd::getpid,
};
use serde::{Deserialize, Serialize};
use std::{path::PathBuf, sync::OnceLock};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The point at which this process dies.
static PLACE: OnceLock<FailPoint> = OnceLock::new();

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    role: Role,
    /// The point at which the process dies, such as `enqueue_committed`
    #[arg(long, global = true, value_parser = fail_point)]
    dies_at: Option<FailPoint>,
}

#[derive(Subcommand)]
enum Role {
    /// Enqueues one probe with this id
    Enqueue { id: Uuid, log: PathBuf },
    /// Revives a job
    Revive { id: Uuid },
    /// Works on the default queue; SIGTERM stops it
    Worker { slots: u32 },
    /// Reaps
    Reaper,
}

fn fail_point(name: &str) -> Result<FailPoint, serde_json::Error> {
    serde_json::from_value(name.into())
}

/// A job that fails in its first attempt only.
#[derive(Debug, Serialize, Deserialize)]
struct FailsOnce(Probe);

impl Job for FailsOnce {
    const KIND: &'static str = "fails_once";
    type Output = i32;

    async fn run(self, run: &Run) -> Result<i32, JobError> {
        let epoch = self.0.run(run).await?;
        if epoch == 1 { Err(JobError::failed("the first attempt")) } else { Ok(epoch) }
    }
}

fn die_here(point: FailPoint) {
    if PLACE.get() == Some(&point) {
        let _ = kill(getpid(), Signal::SIGKILL);
        // The signal was sent: this thread must write nothing more.
        loop {
            std::thread::park();
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let arguments = Arguments::parse();
    if let Some(point) = arguments.dies_at {
        PLACE.get_or_init(|| point);
        on_fail_points(die_here);
    }
    let config = Config::load()?;
    match arguments.role {
        Role::Enqueue { id, log } => {
            let client = Client::connect(&config).await?;
            client.enqueue(Probe { log, ms: 0, is_poison: false }).id(JobId(id)).send().await?;
        }
        Role::Revive { id } => {
            Client::connect(&config).await?.revive(&[JobId(id)]).await?;
        }
        Role::Worker { slots } => {
            let worker = Worker::builder(&config).register::<Probe>().register::<FailsOnce>().queue("default", slots);
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            worker
                .run_until(async move {
                    terminate.recv().await;
                })
                .await?;
        }
        Role::Reaper => reap(&config).await?,
    }
    Ok(())
}

async fn reap(config: &Config) -> Result<()> {
    let store = Store::connect(&config.store_settings("mortal reaper").context("database.url")?).await?;
    let handoff = handoff_or_later(&config.handoff_settings().context("redis.url")?).await?;
    Reaper::new(store, handoff, quick_reaper()).run(CancellationToken::new()).await;
    Ok(())
}
