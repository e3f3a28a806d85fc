//! Both stores, a scheduler, and workers in this process.

use crate::scheduler::{Computation, Order, Scheduler};
use leasehold::{Client, Config, JobId, JobRecord, Reaper, State, Tally, Worker};
use leasehold_tests::{Stores, eventually};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

/// The timeout of each wait.
const TIMEOUT: Duration = Duration::from_secs(60);

pub(crate) struct Scene {
    pub(crate) client: Client,
    pub(crate) scheduler: Scheduler,
    config: Config,
    clusters: Vec<String>,
    stores: Stores,
    _reaper: AbortOnDropHandle<Result<(), leasehold::Error>>,
}

/// Running workers.
pub(crate) struct Workers {
    stop: CancellationToken,
    workers: JoinSet<Result<Tally, leasehold::Error>>,
}

impl Workers {
    /// Stops the workers. Returns how many jobs they have claimed together.
    pub(crate) async fn stop(self) -> u64 {
        self.stop.cancel();
        self.workers.join_all().await.into_iter().map(|tally| tally.expect("a worker").claimed).sum()
    }
}

/// A computation of this cluster that takes a moment.
pub(crate) fn order<'a>(cluster: &'a str, name: &'a str, priority: i16) -> Order<'a> {
    Order { cluster, name, takes_ms: 20, priority, after: &[] }
}

impl Scene {
    /// Clusters, each with the most computations that may run at the same time.
    pub(crate) async fn start(clusters: &[(&str, i32)]) -> Self {
        let stores = Stores::start().await;
        let config = Config::new(&stores.database.url, &stores.redis.url);
        let client = Client::connect(&config).await.expect("a client");
        let scheduler = Scheduler::new(client.clone());
        for (cluster, running) in clusters {
            scheduler.set_cluster(cluster, *running).await.expect("a limit");
        }
        let reaper = tokio::spawn(Reaper::builder(&config).run_until(std::future::pending()));
        Self {
            client,
            scheduler,
            config,
            clusters: clusters.iter().map(|(cluster, _)| (*cluster).to_owned()).collect(),
            stores,
            _reaper: AbortOnDropHandle::new(reaper),
        }
    }

    /// Starts workers that each serve all clusters.
    pub(crate) fn workers(&self, count: usize, slots: u32) -> Workers {
        let (stop, mut workers) = (CancellationToken::new(), JoinSet::new());
        for _ in 0..count {
            let worker = Worker::builder(&self.config).register::<Computation>();
            let worker = self.clusters.iter().fold(worker, |worker, cluster| worker.queue(cluster, slots));
            workers.spawn(worker.run_until(stop.clone().cancelled_owned()));
        }
        Workers { stop, workers }
    }

    pub(crate) async fn submit(&self, orders: &[Order<'_>]) -> Vec<JobId> {
        self.scheduler.submit_all(orders).await.expect("a submission")
    }

    pub(crate) async fn job(&self, id: JobId) -> JobRecord {
        self.client.job(id).await.expect("reading a job").expect("the job")
    }

    pub(crate) async fn until_all_succeeded(&self, count: i64) {
        eventually(&format!("{count} jobs have succeeded"), TIMEOUT, async || {
            let succeeded = format!("SELECT count(*) FROM leasehold.jobs WHERE state = '{}'", State::Succeeded);
            let found = self.count(&succeeded).await;
            if found == count { Ok(()) } else { Err(found) }
        })
        .await;
    }

    /// The most computations of a cluster that ran at the same time, by the times in the records.
    pub(crate) async fn most_at_once(&self, cluster: &str) -> i64 {
        self.count(&format!(
            "WITH run AS (SELECT started_at, finished_at FROM leasehold.jobs WHERE queue = '{cluster}')
             SELECT max((SELECT count(*) FROM run o WHERE o.started_at <= r.started_at AND o.finished_at > r.started_at))
             FROM run r"
        ))
        .await
    }

    pub(crate) async fn count(&self, query: &str) -> i64 {
        let mut database = self.stores.database.connect().await;
        let found: Option<i64> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_one(&mut database).await.expect("a number");
        found.unwrap_or_default()
    }
}
