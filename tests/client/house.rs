//! What a Rust program adds to its handlers: state, middleware, defaults for each kind, and a reaper in the same
//! process.

use crate::typed::config;
use leasehold::{
    Backoff, Client, Config, Error, Job, JobError, Outcome, Reaper, Run, State, Tally, Worker, WorkerBuilder,
};
use leasehold_tests::{Stores, eventually};
use serde::{Deserialize, Serialize};
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinHandle};

const LONG: Duration = Duration::from_secs(30);

/// What the runs of a worker share.
struct Greetings(Vec<&'static str>, AtomicU32);

/// Takes its greeting from the state of the worker.
#[derive(Serialize, Deserialize)]
struct Greet {
    nth: usize,
}

impl Job for Greet {
    const KIND: &'static str = "test/greet";
    const QUEUE: &'static str = "house";
    const PRIORITY: i16 = 7;
    const MAX_ATTEMPTS: i32 = 3;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(60));
    type Output = String;

    async fn run(self, run: &Run) -> Result<String, JobError> {
        let Greetings(words, asked) = run.state()?;
        asked.fetch_add(1, Relaxed);
        Ok(words[self.nth].to_owned())
    }
}

/// Fails, and has its own backoff.
#[derive(Serialize, Deserialize)]
struct Stumble;

impl Job for Stumble {
    const KIND: &'static str = "test/stumble";
    const QUEUE: &'static str = "house";
    const BACKOFF: Option<Backoff> = Some(Backoff::exponential(Duration::from_secs(7200), Duration::from_secs(7200)));
    type Output = ();

    async fn run(self, _: &Run) -> Result<(), JobError> {
        Err(JobError::failed("as always"))
    }
}

/// A worker and a reaper of this crate, in this process.
struct Program {
    stop: oneshot::Sender<()>,
    worker: JoinHandle<Result<Tally, Error>>,
    reaper: JoinHandle<Result<(), Error>>,
}

impl Program {
    fn start(config: &Config, worker: WorkerBuilder) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = tokio::spawn(worker.queue("house", 4).run_until(async {
            let _ = stopped.await;
        }));
        Self { stop, worker, reaper: tokio::spawn(Reaper::builder(config).run_until(std::future::pending())) }
    }

    async fn stop(self) -> Tally {
        let _ = self.stop.send(());
        let tally = self.worker.await.expect("the worker ends").expect("without an error");
        assert!(!self.reaper.is_finished(), "a reaper runs until its program tells it to stop");
        self.reaper.abort();
        tally
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_share_the_state_of_their_worker_and_jobs_have_the_defaults_of_their_kind() {
    let stores = Stores::start().await;
    let config = config(&stores);
    let client = Client::connect(&config).await.expect("connected");
    let id = client.enqueue(Greet { nth: 1 }).send().await.expect("accepted");
    let job = client.job(id).await.expect("asked").expect("there");
    assert_eq!((&*job.queue, job.priority, job.max_attempts, job.timeout_ms), ("house", 7, 3, Some(60_000)));
    let other = client.enqueue(Greet { nth: 0 }).queue("house").priority(0).max_attempts(9).send().await.expect("sent");
    let job = client.job(other).await.expect("asked").expect("there");
    assert_eq!((job.priority, job.max_attempts), (0, 9), "what the call says wins");

    let worker = Worker::builder(&config).state(Greetings(vec!["hello", "good day"], AtomicU32::new(0)));
    let program = Program::start(&config, worker.register::<Greet>());
    assert_eq!(client.wait(id, LONG).await.expect("succeeded"), "good day");
    assert_eq!(client.wait(other, LONG).await.expect("succeeded"), "hello");
    assert_eq!(program.stop().await.succeeded, 2);
}

/// If a worker lacks the state that its handlers need, the worker is at fault and not the job.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_state_spends_no_attempt() {
    let stores = Stores::start().await;
    let config = config(&stores);
    let client = Client::connect(&config).await.expect("connected");
    let id = client.enqueue(Greet { nth: 0 }).send().await.expect("accepted");
    let program = Program::start(&config, Worker::builder(&config).register::<Greet>());
    eventually("the job is released", LONG, || async {
        let job = client.job(id).await.expect("asked").expect("there");
        match job.trail.iter().any(|entry| entry.verb == "release") || (job.epoch > 0 && job.state == State::Queued) {
            true => Ok(()),
            false => Err(job),
        }
    })
    .await;
    let tally = program.stop().await;
    assert!(tally.released >= 1 && tally.succeeded == 0, "{tally:?}");
    let job = client.job(id).await.expect("asked").expect("there");
    assert_eq!((job.state, job.attempt), (State::Queued, 0), "{job:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn middleware_runs_around_every_handler_in_order_and_may_replace_the_outcome() {
    let stores = Stores::start().await;
    let config = config(&stores);
    let client = Client::connect(&config).await.expect("connected");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let seen = Arc::clone(&seen);
        move |what: String| seen.lock().expect("no panic").push(format!("{name} {what}"))
    };
    let (outer, inner) = (note("outer"), note("inner"));
    let (outer, inner) = (Arc::new(outer), Arc::new(inner));
    let worker = Worker::builder(&config)
        .state(Greetings(vec!["hello"], AtomicU32::new(0)))
        .around(move |run, next| {
            let outer = Arc::clone(&outer);
            async move {
                let kind = run.job().kind.to_string();
                outer(format!("before {kind}"));
                let outcome = next.run(run).await;
                outer(format!("after {kind}"));
                outcome
            }
        })
        .around(move |run, next| {
            let inner = Arc::clone(&inner);
            async move {
                inner("before".to_owned());
                match next.run(run).await {
                    Outcome::Failed(_) => Outcome::Hopeless("the middleware gives up".to_owned()),
                    other => other,
                }
            }
        })
        .register::<Greet>()
        .register::<Stumble>();
    let program = Program::start(&config, worker);
    let greeted = client.enqueue(Greet { nth: 0 }).send().await.expect("accepted");
    assert_eq!(client.wait(greeted, LONG).await.expect("state reaches handlers through middleware"), "hello");
    let noted = std::mem::take(&mut *seen.lock().expect("no panic"));
    assert_eq!(noted, ["outer before test/greet", "inner before", "outer after test/greet"]);
    let stumbled = client.enqueue(Stumble).send().await.expect("accepted");
    match client.wait(stumbled, LONG).await {
        Err(Error::Dead { error, .. }) => assert_eq!(error, "the middleware gives up"),
        other => panic!("{other:?}"),
    }
    assert_eq!(program.stop().await.buried, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_has_a_backoff_of_its_own() {
    let stores = Stores::start().await;
    let config = config(&stores);
    let client = Client::connect(&config).await.expect("connected");
    let program = Program::start(&config, Worker::builder(&config).register::<Stumble>());
    let id = client.enqueue(Stumble).send().await.expect("accepted");
    let job = eventually("the job waits for its next attempt", LONG, || async {
        let job = client.job(id).await.expect("asked").expect("there");
        if job.state == State::Scheduled && job.attempt == 1 { Ok(job) } else { Err(job) }
    })
    .await;
    // The worker's own backoff is at most 10 ms here.
    let minutes = (job.run_at - job.created_at).num_minutes();
    assert!((59..=121).contains(&minutes), "{minutes} minutes");
    let explained = client.explain(id).await.expect("asked").expect("there");
    let text = explained.to_string();
    assert!(
        text.contains("it is not to start before ") && text.contains("retry: as always; 1 of 5 attempts"),
        "{text}"
    );
    assert_eq!(program.stop().await.retried, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_without_a_url_of_redis_starts_no_worker_and_no_reaper() {
    let stores = Stores::start().await;
    let mut config = config(&stores);
    config.redis.url = None;
    let worker = Worker::builder(&config).register::<Stumble>().queue("house", 1).run_until(async {});
    let reaper = Reaper::builder(&config).run_until(async {});
    for error in [worker.await.map(drop).expect_err("refused"), reaper.await.expect_err("refused")] {
        assert!(matches!(&error, Error::Config(_)) && error.is_usage(), "{error:?}");
        assert!(error.to_string().starts_with("redis.url is not set"), "{error}");
    }
}
