//! Starts workers, enqueues jobs, and inspects both.

use leasehold_core::{Backoff, JobId, JobRecord, Kind, NewJob, Outcome, QueueName, State, WorkerId};
use leasehold_handoff::{Handoff, Hint};
use leasehold_reaper::Reaper;
use leasehold_store::Store;
use leasehold_tests::{Stores, eventually};
use leasehold_worker::{Handler, Handlers, Run, Settings, Tally, Watch, Worker};
use serde_json::value::RawValue;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The time limit for every wait, on a machine that may be busy.
pub(crate) const SOON: Duration = Duration::from_secs(20);
pub(crate) const HEAD_MAX: u32 = 64;

/// Both stores, and the connections to them.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) handoff: Handoff,
    pub(crate) stores: Stores,
}

impl Fixture {
    pub(crate) async fn start() -> Self {
        Self::on(Stores::start().await).await
    }

    pub(crate) async fn on(stores: Stores) -> Self {
        let store = connect_store(&stores.database.url, "client").await;
        let handoff = connect_handoff(&stores.redis.url).await;
        Self { store, handoff, stores }
    }

    /// A worker with its own connections, like a worker process.
    pub(crate) async fn worker(&self, settings: Settings, handlers: Handlers) -> Running {
        self.worker_by(&self.stores.database.url, settings, handlers).await
    }

    pub(crate) async fn worker_by(&self, database_url: &str, settings: Settings, handlers: Handlers) -> Running {
        let store = connect_store(database_url, "worker").await;
        let handoff = connect_handoff(&self.stores.redis.url).await;
        let worker = Worker::new(store, handoff, settings, handlers);
        let (stop, stop_now) = (CancellationToken::new(), CancellationToken::new());
        Running {
            id: worker.id(),
            watch: worker.watch(),
            task: tokio::spawn(worker.run(stop.clone(), stop_now.clone())),
            _stopped_at_the_end: stop_now.clone().drop_guard(),
            stop,
            stop_now,
        }
    }

    /// A reaper that runs until the test ends.
    pub(crate) fn reaper(&self, lease: Duration) -> DropGuard {
        let settings = leasehold_reaper::Settings {
            tick: Duration::from_millis(50),
            head_max: HEAD_MAX,
            handoff_lease: Duration::from_secs(1),
            lease,
            keep_finished: Duration::from_secs(3600),
        };
        let stop = CancellationToken::new();
        tokio::spawn(Reaper::new(self.store.clone(), self.handoff.clone(), settings).run(stop.clone()));
        stop.drop_guard()
    }

    /// Enqueues as a client does: first the row, then the hint.
    pub(crate) async fn enqueue(&self, jobs: &[NewJob]) -> Vec<JobId> {
        let answers = self.store.enqueue(jobs).await.expect("enqueueing");
        for (job, answer) in jobs.iter().zip(&answers) {
            // A job that waits for room of a limit key has no position, and gets its hint later.
            let is_behind_the_line = !job.limit_keys.is_empty() && answer.line_at.is_none();
            if job.run_at.is_none() && job.delay.is_none() && !is_behind_the_line {
                let hint = Hint { id: job.id, line_at: answer.line_at };
                self.handoff.push(&job.queue, &[hint]).await.expect("pushing a hint");
            }
        }
        answers.into_iter().map(|answer| answer.id).collect()
    }

    pub(crate) async fn enqueue_one(&self, job: NewJob) -> JobId {
        self.enqueue(&[job]).await[0]
    }

    pub(crate) async fn job(&self, id: JobId) -> JobRecord {
        self.store.job(id).await.expect("looking at a job").expect("the job exists")
    }

    /// Waits until the job is in this state.
    pub(crate) async fn until(&self, id: JobId, state: State) -> JobRecord {
        eventually(&format!("the job is {state}"), SOON, || async {
            let job = self.job(id).await;
            if job.state == state { Ok(job) } else { Err((job.state, job.last_error)) }
        })
        .await
    }

    /// Runs any SQL on the database. Returns the number of changed rows.
    pub(crate) async fn sql(&self, sql: &'static str, id: JobId) -> u64 {
        sqlx::query(sql).bind(id.0).execute(self.store.pool()).await.expect(sql).rows_affected()
    }

    /// Waits until a connection to Redis is blocked by this command.
    pub(crate) async fn until_a_worker_blocks_in(&self, command: &str) {
        let connection = self.stores.redis.connect().await;
        eventually(&format!("a worker waits in {command}"), SOON, || async {
            let mut list = redis::cmd("CLIENT");
            let clients: String = list.arg("LIST").query_async(&mut connection.clone()).await.expect("CLIENT LIST");
            let blocked = |client: &str| client.contains(" flags=b ") && client.contains(&format!(" cmd={command} "));
            if clients.lines().any(blocked) { Ok(()) } else { Err(clients) }
        })
        .await;
    }

    /// Waits until Redis holds no hints and no leases of the queue: then every job is settled and acknowledged.
    pub(crate) async fn until_redis_is_empty(&self, queue: &QueueName) {
        eventually("Redis holds nothing of the queue", SOON, || async {
            let held = self.handoff.stats(queue).await.expect("the head's counts");
            let count = held.ready + held.claimed + held.leased + held.waiting_members + held.aside;
            if count == 0 { Ok(()) } else { Err(held) }
        })
        .await;
    }
}

async fn connect_store(url: &str, name: &str) -> Store {
    let settings = leasehold_store::Settings {
        url: url.into(),
        max_connections: 8,
        pooler: leasehold_store::Pooler::None,
        acquire_timeout: Duration::from_secs(5),
        lock_timeout: leasehold_store::LOCK_TIMEOUT,
        application_name: name.to_owned(),
    };
    Store::connect(&settings).await.expect("connecting to PostgreSQL")
}

async fn connect_handoff(url: &str) -> Handoff {
    let settings = leasehold_handoff::Settings {
        ca_file: None,
        key_prefix: leasehold_handoff::KeyPrefix::default(),
        url: url.into(),
        head_max: HEAD_MAX,
        max_connections: 8,
        timeout: Duration::from_secs(2),
    };
    Handoff::connect(&settings).await.expect("connecting to Redis")
}

/// A running worker.
pub(crate) struct Running {
    pub(crate) id: WorkerId,
    pub(crate) watch: Watch,
    pub(crate) stop: CancellationToken,
    pub(crate) stop_now: CancellationToken,
    pub(crate) task: JoinHandle<Tally>,
    _stopped_at_the_end: DropGuard,
}

impl Running {
    /// Stops the worker and waits for its end.
    pub(crate) async fn stop(self) -> Tally {
        self.stop.cancel();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Tally {
        tokio::time::timeout(SOON, self.task)
            .await
            .expect("the worker ends in time")
            .expect("the worker does not panic")
    }
}

/// One queue with these slots, the default lease and a short backoff.
pub(crate) fn settings(slots: u32) -> Settings {
    Settings {
        queues: vec![(QueueName::default(), slots)],
        lease: Duration::from_secs(30),
        grace: Duration::from_secs(10),
        backoff: Backoff::exponential(Duration::from_millis(10), Duration::from_millis(50)),
    }
}

pub(crate) fn kind(name: &str) -> Kind {
    name.parse().expect("a kind")
}

pub(crate) fn job(kind_name: &str) -> NewJob {
    NewJob::new(kind(kind_name), json("{}"))
}

pub(crate) fn jobs(kind_name: &str, count: usize) -> Vec<NewJob> {
    (0..count).map(|_| job(kind_name)).collect()
}

pub(crate) fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("valid JSON")
}

pub(crate) fn succeeded() -> Outcome {
    Outcome::Succeeded(Some(json("true")))
}

/// A closure as a handler.
struct Calls<F> {
    call: F,
    stop_timeout: Duration,
}

impl<F, Running> Handler for Calls<F>
where
    F: Fn(Run) -> Running + Send + Sync + 'static,
    Running: Future<Output = Outcome> + Send + 'static,
{
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin((self.call)(run))
    }

    fn stop_timeout(&self) -> Duration {
        self.stop_timeout
    }
}

pub(crate) fn handler<F, Running>(call: F) -> Arc<dyn Handler>
where
    F: Fn(Run) -> Running + Send + Sync + 'static,
    Running: Future<Output = Outcome> + Send + 'static,
{
    Arc::new(Calls { call, stop_timeout: Duration::from_secs(1) })
}

/// One kind with one closure.
pub(crate) fn handlers<F, Running>(kind_name: &str, call: F) -> Handlers
where
    F: Fn(Run) -> Running + Send + Sync + 'static,
    Running: Future<Output = Outcome> + Send + 'static,
{
    let mut handlers = Handlers::new();
    handlers.insert(kind(kind_name), handler(call));
    handlers
}
