//! A process of a fleet that SIGKILL ends at a given point between two writes.
//!
//! `mortal ROLE [--dies-at POINT]`; the URLs of the stores come from the environment. Without a point the process runs
//! until another process kills it.

#[path = "../../examples/clusters/scheduler.rs"]
#[expect(dead_code, reason = "this process runs computations and submits none")]
mod scheduler;

#[path = "../../examples/extraction/documents.rs"]
#[expect(dead_code, reason = "tests/extraction uses the rest of the example")]
mod documents;
#[path = "../../examples/extraction/stages.rs"]
#[expect(dead_code, reason = "the settings are those of the test")]
mod stages;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use leasehold::{Client, Config, Done, FollowOn, Job, JobError, JobId, Run, Store, Worker, handoff_or_later};
use leasehold_core::{FailPoint, on_fail_points, pass};
use leasehold_kubernetes::{Account, PodsOfCluster};
use leasehold_reaper::{PodCosts, Reaper};
use leasehold_tests::{Probe, quick_reaper};
use nix::{
    sys::signal::{Signal, kill},
    unistd::getpid,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The pods of workers.
const SELECTOR: &str = "app=worker";

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
    /// Submits a document of the example `extraction`, and dies before it tells anybody, if told so
    Submit { key: String, body: String },
    /// Works on the stages of the example `extraction`; the model takes this long, and refuses the first attempt if told so
    Extraction {
        model_ms: u64,
        #[arg(long)]
        refuses_first: bool,
    },
    /// Works on the computations of the example `clusters`, on these clusters
    Clusters { slots: u32, clusters: Vec<String> },
    /// Reaps; with an API server, it stands for election as the reaper that writes the costs of pods
    Reaper {
        /// The address of the API server
        #[arg(long, requires = "account")]
        api_server: Option<SocketAddr>,
        /// The folder with token, authority and namespace
        #[arg(long)]
        account: Option<PathBuf>,
    },
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

/// A probe from which another probe follows, with a known id.
#[derive(Debug, Serialize, Deserialize)]
struct Followed {
    probe: Probe,
    next: Probe,
    next_id: Uuid,
}

impl Job for Followed {
    const KIND: &'static str = "followed";
    type Output = Done<i32>;

    async fn run(self, run: &Run) -> Result<Done<i32>, JobError> {
        let epoch = self.probe.run(run).await?;
        Ok(Done::with(epoch).then(FollowOn::of(self.next).id(JobId(self.next_id))))
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
            let worker = Worker::builder(&config)
                .register::<Probe>()
                .register::<FailsOnce>()
                .register::<Followed>()
                .queue("default", slots);
            let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
            worker
                .run_until(async move {
                    terminate.recv().await;
                })
                .await?;
        }
        Role::Submit { key, body } => {
            let client = Client::connect(&config).await?;
            documents::submit(&client, &pool().await?, &key, &body).await.map_err(anyhow::Error::from_boxed)?;
            pass(FailPoint::EnqueueCommitted);
        }
        Role::Extraction { model_ms, refuses_first } => {
            let model = stages::Model { takes: Duration::from_millis(model_ms), refuses_first };
            stages::serve(Worker::builder(&config), pool().await?, model).run_until(std::future::pending()).await?;
        }
        Role::Clusters { slots, clusters } => {
            let worker = Worker::builder(&config).register::<scheduler::Computation>();
            let worker = clusters.iter().fold(worker, |worker, cluster| worker.queue(cluster, slots));
            worker.run_until(std::future::pending()).await?;
        }
        Role::Reaper { api_server, account } => reap(&config, api_server.zip(account)).await?,
    }
    Ok(())
}

/// The pool of a program that has its own tables.
async fn pool() -> Result<PgPool> {
    Ok(PgPool::connect(&std::env::var("LEASEHOLD_DATABASE_URL")?).await?)
}

async fn reap(config: &Config, pods: Option<(SocketAddr, PathBuf)>) -> Result<()> {
    let store = Store::connect(&config.store_settings("mortal reaper").context("database.url")?).await?;
    let handoff = handoff_or_later(&config.handoff_settings().context("redis.url")?).await?;
    let election = Arc::new(store.election());
    let mut reaper = Reaper::new(store, handoff, quick_reaper());
    if let Some((address, folder)) = pods {
        let account = Account { host: Some(address.ip().to_string()), port: Some(address.port()), folder };
        let pods = Arc::new(PodsOfCluster::new(account, SELECTOR.to_owned()));
        reaper = reaper.with_pods(PodCosts { pods, election, every: Duration::from_millis(200) });
    }
    reaper.run(CancellationToken::new()).await;
    Ok(())
}
