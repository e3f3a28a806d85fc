//! Jobs that follow from a success, and the end of a job in a transaction of its handler.

use crate::typed::config;
use leasehold::{
    Client, CompleteError, Done, Error, FollowOn, Id, Job, JobError, Kind, NewJob, Reaper, Run, State, Tally, Worker,
    WorkerBuilder, testing::Queue,
};
use leasehold_tests::{Proxy, Stores, eventually};
use serde::{Deserialize, Serialize};
use sqlx::{Executor, PgPool, postgres::PgPoolOptions};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};

const LONG: Duration = Duration::from_secs(30);

/// The first stage.
#[derive(Debug, Serialize, Deserialize)]
enum First {
    FollowedBy(u32),
    FailsAfterAsking,
    NamesNoQueue,
    AsksForTooMany,
    DependsOnNobody,
}

impl Job for First {
    const KIND: &'static str = "test/first";
    const QUEUE: &'static str = "stages";
    const MAX_ATTEMPTS: i32 = 1;
    type Output = Done<u32>;

    async fn run(self, run: &Run) -> Result<Done<u32>, JobError> {
        let second = |nth| FollowOn::of(Second { nth });
        match self {
            Self::FollowedBy(count) => {
                let done = (0..count).fold(Done::with(count), |done, nth| done.then(Second { nth }));
                Ok(done.then(second(1000).queue("later").priority(9).delay(LONG)))
            }
            Self::FailsAfterAsking => {
                run.then(second(0).build()?);
                Err(JobError::failed("as told"))
            }
            Self::NamesNoQueue => Ok(Done::with(0).then(second(0).queue("no queue!"))),
            Self::AsksForTooMany => Ok((0..1001).fold(Done::with(0), |done, nth| done.then(second(nth)))),
            Self::DependsOnNobody => Ok(Done::with(0).then(second(0).depends_on([leasehold::JobId::new()]))),
        }
    }
}

/// The second stage.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Second {
    nth: u32,
}

impl Job for Second {
    const KIND: &'static str = "test/second";
    const QUEUE: &'static str = "stages";
    type Output = u32;

    async fn run(self, _: &Run) -> Result<u32, JobError> {
        Ok(self.nth)
    }
}

/// Writes into its own table and ends in the same transaction.
#[derive(Debug, Serialize, Deserialize)]
struct Pay {
    order: i32,
    how: How,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum How {
    Commits,
    ForgetsToCommitOnce,
    FailsAfterCommit,
    /// Waits with the open transaction until the test says so.
    CommitsWhenTold,
    /// Waits before it completes the job.
    CompletesWhenTold,
}

impl Job for Pay {
    const KIND: &'static str = "test/pay";
    const QUEUE: &'static str = "stages";
    const MAX_ATTEMPTS: i32 = 3;
    type Output = Done<i32>;

    async fn run(self, run: &Run) -> Result<Done<i32>, JobError> {
        let mut transaction = run.state::<PgPool>()?.begin().await?;
        let insert = sqlx::query("INSERT INTO paid (order_id, epoch) VALUES ($1, $2)");
        insert.bind(self.order).bind(run.fence().epoch).execute(&mut *transaction).await?;
        let Gate { arrived, open } = run.state::<Gate>()?;
        if self.how == How::CompletesWhenTold {
            arrived.notify_one();
            open.notified().await;
        }
        let done = Done::with(self.order).then(Second { nth: self.order.unsigned_abs() });
        let done = done.complete_in(run, &mut transaction).await?;
        if self.how == How::ForgetsToCommitOnce && run.fence().epoch == 1 {
            return Ok(done);
        }
        if self.how == How::CommitsWhenTold {
            arrived.notify_one();
            open.notified().await;
        }
        transaction.commit().await?;
        match self.how {
            How::FailsAfterCommit => Err(JobError::failed("too late")),
            _ => Ok(done),
        }
    }
}

/// Where a handler waits for the test.
#[derive(Clone, Default)]
struct Gate {
    arrived: Arc<Notify>,
    open: Arc<Notify>,
}

struct Program {
    client: Client,
    pool: PgPool,
    gate: Gate,
    stop: oneshot::Sender<()>,
    worker: JoinHandle<Result<Tally, Error>>,
}

impl Program {
    async fn start(stores: &Stores, handlers_url: &str) -> Self {
        let config = config(stores);
        let client = Client::connect(&config).await.expect("connected");
        let pool = PgPoolOptions::new().max_connections(4).connect(&stores.database.url).await.expect("a pool");
        pool.execute("CREATE TABLE paid (order_id integer, epoch integer)").await.expect("a table");
        let (gate, (stop, stopped)) = (Gate::default(), oneshot::channel::<()>());
        let of_handlers = PgPoolOptions::new().max_connections(4).connect(handlers_url).await.expect("a pool");
        let worker = Worker::builder(&config).state(of_handlers).state(gate.clone()).register::<Pay>();
        let worker = worker.register::<First>().register::<Second>().queue("stages", 4).run_until(async {
            let _ = stopped.await;
        });
        Self { client, pool, gate, stop, worker: tokio::spawn(worker) }
    }

    async fn stop(self) -> Tally {
        let _ = self.stop.send(());
        self.worker.await.expect("the worker ends").expect("without an error")
    }

    async fn paid(&self) -> Vec<(i32, i32)> {
        let rows = sqlx::query_as("SELECT order_id, epoch FROM paid ORDER BY 1, 2");
        rows.fetch_all(&self.pool).await.expect("rows")
    }

    /// How many jobs of the second stage there are, in any state.
    async fn seconds(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM leasehold.jobs WHERE kind = 'test/second'");
        count.fetch_one(&self.pool).await.expect("a count")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_is_followed_by_its_jobs_and_a_failure_by_none() {
    let stores = Stores::start().await;
    let program = Program::start(&stores, &stores.database.url).await;
    let client = &program.client;
    // No reaper runs: the worker itself tells Redis about the new jobs.
    let id = client.enqueue(First::FollowedBy(5)).send().await.expect("accepted");
    assert_eq!(client.wait(id, LONG).await.expect("the result, without its wrapper"), 5);
    eventually("the second stage is done", LONG, || async {
        let done: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.history WHERE kind = 'test/second'")
            .fetch_one(&program.pool)
            .await
            .expect("a count");
        if done == 5 { Ok(()) } else { Err(done) }
    })
    .await;
    let later: (String, i16, String) =
        sqlx::query_as("SELECT queue::text, priority, state::text FROM leasehold.job WHERE kind = 'test/second'")
            .fetch_one(&program.pool)
            .await
            .expect("one job for later");
    assert_eq!(later, ("later".to_owned(), 9, "scheduled".to_owned()));
    for (job, wanted) in [
        (First::FailsAfterAsking, "as told"),
        (First::NamesNoQueue, "a follow-on job is invalid: "),
        (First::AsksForTooMany, "the run has 1001 follow-on jobs; at most 1000 are allowed"),
        (First::DependsOnNobody, "a follow-on job cannot be stored: "),
    ] {
        let id = client.enqueue(job).send().await.expect("accepted");
        match client.wait(id, LONG).await {
            Err(Error::Dead { error, .. }) => assert!(error.contains(wanted), "{error}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(program.seconds().await, 6);
    let tally = program.stop().await;
    assert_eq!((tally.claimed, tally.retried), (10, 0), "what can never be enqueued is not tried again: {tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_writes_of_a_handler_and_the_end_of_its_job_are_one_transaction() {
    let stores = Stores::start().await;
    let program = Program::start(&stores, &stores.database.url).await;
    let client = &program.client;
    let reaper = tokio::spawn(Reaper::builder(&config(&stores)).run_until(std::future::pending()));
    for (order, how) in [(1, How::Commits), (2, How::ForgetsToCommitOnce), (3, How::FailsAfterCommit)] {
        let id = client.enqueue(Pay { order, how }).send().await.expect("accepted");
        assert_eq!(client.wait(id, LONG).await.expect("paid"), order);
    }
    assert_eq!(program.paid().await, [(1, 1), (2, 2), (3, 1)], "of each order, one run has paid");
    eventually("each payment was followed by one job", LONG, || async {
        let done: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.history WHERE kind = 'test/second'")
            .fetch_one(&program.pool)
            .await
            .expect("a count");
        if done == 3 { Ok(()) } else { Err(done) }
    })
    .await;
    assert_eq!(program.seconds().await, 3);
    let tally = program.stop().await;
    reaper.abort();
    assert_eq!(
        (tally.succeeded, tally.retried, tally.stale_writes_refused, tally.leases_lost),
        (6, 1, 0, 0),
        "{tally:?}"
    );
}

/// The commit has happened, and its answer is lost: the handler reports an error, and the job has succeeded once.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_no_failure() {
    let stores = Stores::start_apart().await;
    let proxy = Proxy::start(stores.database.server().port()).await;
    let program = Program::start(&stores, &proxy.instead_of(&stores.database.url)).await;
    proxy.lose_answers("COMMIT", "COMMIT", 1);
    let id = program.client.enqueue(Pay { order: 7, how: How::Commits }).send().await.expect("accepted");
    assert_eq!(program.client.wait(id, LONG).await.expect("paid"), 7);
    assert_eq!(proxy.answers_left(), 0, "an answer was lost");
    assert_eq!(program.paid().await, [(7, 1)]);
    eventually("the job that follows is done", LONG, || async {
        let done: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.history WHERE kind = 'test/second'")
            .fetch_one(&program.pool)
            .await
            .expect("a count");
        if done == 1 { Ok(()) } else { Err(done) }
    })
    .await;
    let tally = program.stop().await;
    assert_eq!((tally.succeeded, tally.retried, tally.stale_writes_refused), (2, 0, 0), "{tally:?}");
}

/// The lease runs out while the handler has an open transaction, and another worker runs the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_lost_its_lease_commits_nothing() {
    let stores = Stores::start().await;
    let program = Program::start(&stores, &stores.database.url).await;
    let id = program.client.enqueue(Pay { order: 4, how: How::CompletesWhenTold }).send().await.expect("accepted");
    program.gate.arrived.notified().await;
    // What an expiry and another claim leave: the same job with the next epoch, held by another worker.
    sqlx::query("UPDATE leasehold.job SET epoch = epoch + 1, worker = leasehold.new_id() WHERE id = $1")
        .bind(id.get().0)
        .execute(&program.pool)
        .await
        .expect("the row");
    program.gate.open.notify_one();
    let pool = program.pool.clone();
    let tally = program.stop().await;
    assert_eq!((tally.succeeded, tally.stale_writes_refused), (0, 1), "{tally:?}");
    let counts: (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM paid), (SELECT count(*) FROM leasehold.jobs WHERE kind = 'test/second')",
    )
    .fetch_one(&pool)
    .await
    .expect("counts");
    assert_eq!(counts, (0, 0), "neither a payment nor a job that follows");
}

/// A heartbeat that meets the open transaction does not tell the handler that its lease is lost, and a cancel comes too late.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_decides_before_a_cancel() {
    let stores = Stores::start().await;
    let program = Program::start(&stores, &stores.database.url).await;
    let id: Id<Pay> =
        program.client.enqueue(Pay { order: 5, how: How::CommitsWhenTold }).send().await.expect("accepted");
    program.gate.arrived.notified().await;
    let cancel = tokio::spawn({
        let client = program.client.clone();
        async move { client.cancel(&[id.get()]).await }
    });
    eventually("the cancel waits for the row, or has given up", LONG, || async {
        let waits: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)")
            .fetch_one(&program.pool)
            .await
            .expect("locks");
        if waits || cancel.is_finished() { Ok(()) } else { Err("it does neither") }
    })
    .await;
    program.gate.open.notify_one();
    assert_eq!(program.client.wait(id, LONG).await.expect("paid"), 5);
    let told = cancel.await.expect("no panic");
    assert!(told.is_err() || told.is_ok_and(|told| told.iter().all(|told| !told.changed)), "the job had ended");
    assert_eq!(program.paid().await, [(5, 1)]);
    assert_eq!(program.client.job(id).await.expect("asked").expect("there").state, State::Succeeded);
    program.stop().await;
}

#[tokio::test]
async fn a_queue_in_memory_makes_the_jobs_that_follow() {
    let queue = Queue::new();
    let client = queue.client();
    let config = leasehold::Config::new("postgres://nowhere/", "redis://nowhere/");
    let worker = || -> WorkerBuilder { Worker::builder(&config).register::<First>().queue("stages", 1) };
    client.enqueue(First::FollowedBy(2)).send().await.expect("accepted");
    let failing = client.enqueue(First::AsksForTooMany).send().await.expect("accepted");
    let tally = queue.drain(worker()).await.expect("drained");
    assert_eq!((tally.succeeded, tally.buried), (1, 1));
    let seconds: Vec<u32> = queue.enqueued::<Second>().into_iter().map(|job| job.nth).collect();
    assert_eq!(seconds, [0, 1, 1000]);
    let job = client.job(failing).await.expect("asked").expect("there");
    assert!(job.last_error.is_some_and(|error| error.contains("1001 follow-on jobs")));
}

/// What is wrong with the end of a job ends the job, because another run would do the same.
#[test]
fn an_end_that_can_never_be_stored_is_not_tried_again() {
    let error = JobError::from(CompleteError::Invalid("the result is too long".into()));
    assert!(format!("{error:?}").contains("Never"), "{error:?}");
    let lost = JobError::from(CompleteError::LeaseLost);
    assert!(format!("{lost:?}").contains("Failed"), "{lost:?}");
    let kind: Kind = "any".parse().expect("a name");
    let job = NewJob::new(kind, serde_json::value::to_raw_value(&1).expect("JSON"));
    assert_eq!(*Done::with(3).then(job).result(), 3);
}
