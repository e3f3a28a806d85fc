//! A typed job from end to end.

use leasehold::{Client, Config, Error, Id, Job, JobError, Run, State, Tally, Worker};
use leasehold_tests::Stores;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::{sync::oneshot, task::JoinHandle};

const LONG: Duration = Duration::from_secs(30);

/// Does what its payload says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Told {
    Add(i64, i64),
    Fail,
    Snooze,
    Never,
    Parse(String),
    Panic,
    WaitForCancel,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    sum: i64,
    epoch: i32,
    attempt: i32,
}

impl Job for Told {
    const KIND: &'static str = "test/told";
    type Output = Answer;

    async fn run(self, run: &Run) -> Result<Answer, JobError> {
        let sum = match self {
            Self::Add(left, right) => left + right,
            Self::Parse(text) => text.parse::<i64>()?,
            Self::Fail => return Err(JobError::failed("as told")),
            Self::Never => return Err(JobError::never("as told, for ever")),
            Self::Snooze if run.fence().epoch == 1 => return Err(JobError::snooze(Duration::from_millis(1))),
            Self::Snooze => 0,
            Self::Panic => panic!("as told, loudly"),
            Self::WaitForCancel => return Err(JobError::failed(format!("{:?}", run.cancelled().await))),
        };
        Ok(Answer { sum, epoch: run.fence().epoch, attempt: run.job().attempt })
    }
}

pub(crate) fn config(stores: &Stores) -> Config {
    let mut config = Config::new(&stores.database.url, &stores.redis.url);
    config.worker.backoff_base_ms = 1;
    config.worker.backoff_cap_ms = 10;
    config
}

/// A worker for `Told` on the queue `q`, and a reaper.
struct Fleet {
    stop: oneshot::Sender<()>,
    worker: JoinHandle<Result<Tally, Error>>,
    reaper: JoinHandle<()>,
}

impl Fleet {
    async fn start(config: &Config) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let worker = Worker::builder(config).register::<Told>().queue("q", 4).run_until(async {
            let _ = stopped.await;
        });
        let store =
            leasehold::Store::connect(&config.store_settings("test").expect("a URL")).await.expect("PostgreSQL");
        let handoff = leasehold::handoff_or_later(&config.handoff_settings().expect("a URL")).await.expect("Redis");
        let settings = leasehold_reaper::Settings {
            tick: Duration::from_millis(50),
            head_max: config.head.max,
            handoff_lease: Duration::from_secs(5),
            lease: config.lease(),
            keep_finished: config.keep_finished(),
        };
        let reaper = leasehold_reaper::Reaper::new(store, handoff, settings);
        let reaper = tokio::spawn(reaper.run(tokio_util::sync::CancellationToken::new()));
        Self { stop, worker: tokio::spawn(worker), reaper }
    }

    async fn stop(self) -> Tally {
        let _ = self.stop.send(());
        let tally = self.worker.await.expect("the worker ends").expect("without an error");
        self.reaper.abort();
        tally
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_and_errors_come_back_typed() {
    let stores = Stores::start().await;
    let config = config(&stores);
    let client = Client::connect(&config).await.expect("connected");
    let fleet = Fleet::start(&config).await;
    let send = async |job: Told| client.enqueue(job).queue("q").max_attempts(2).send().await.expect("accepted");

    let sum = send(Told::Add(2, 3)).await;
    assert_eq!(client.wait(sum, LONG).await.expect("a sum"), Answer { sum: 5, epoch: 1, attempt: 1 });
    let snoozed = send(Told::Snooze).await;
    assert_eq!(client.wait(snoozed, LONG).await.expect("an answer"), Answer { sum: 0, epoch: 2, attempt: 1 });
    for (job, wanted, attempts) in [
        (Told::Fail, "as told", 2),
        (Told::Never, "as told, for ever", 1),
        (Told::Parse("x".into()), "invalid digit found in string", 2),
        (Told::Panic, "as told, loudly", 2),
    ] {
        let id = send(job).await;
        match client.wait(id, LONG).await {
            Err(Error::Dead { error, .. }) => assert!(error.contains(wanted), "{error}"),
            other => panic!("{other:?}"),
        }
        let record = client.job(id).await.expect("asked").expect("there");
        assert_eq!((record.state, record.attempt), (State::Dead, attempts), "{record:?}");
    }
    let tally = fleet.stop().await;
    assert_eq!((tally.succeeded, tally.buried, tally.leases_lost), (2, 4, 0), "{tally:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_is_told_of_a_cancel() {
    let stores = Stores::start().await;
    let config = config(&stores);
    let client = Client::connect(&config).await.expect("connected");
    let fleet = Fleet::start(&config).await;
    let id = client.enqueue(Told::WaitForCancel).queue("q").send().await.expect("accepted");
    leasehold_tests::eventually("the job is running", LONG, || async {
        let record = client.job(id).await.expect("asked").expect("there");
        if record.state == State::Running { Ok(()) } else { Err(record.state) }
    })
    .await;
    assert!(matches!(client.wait(id, Duration::from_millis(50)).await, Err(Error::TimedOut(_))));
    let answers = client.cancel(&[id.get()]).await.expect("cancelled");
    assert_eq!((answers.len(), answers[0].state), (1, State::Running));
    assert!(matches!(client.wait(id, LONG).await, Err(Error::Cancelled(_))));
    assert_eq!(fleet.stop().await.cancelled, 1);
}

/// A thousand simultaneous waits share their statements; each wait gets its own answer.
#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_waits_gets_its_own_answer() {
    let stores = Stores::start().await;
    let config = config(&stores);
    let client = Client::connect(&config).await.expect("connected");
    let jobs: Vec<_> =
        (0..1_000).map(|number| client.enqueue(Told::Add(number, 1)).queue("q").build().expect("valid")).collect();
    let accepted = client.enqueue_many(&jobs).await.expect("accepted");
    assert!(accepted.iter().zip(&jobs).all(|(answer, job)| answer.inserted && answer.id == job.id));
    let waits = accepted.iter().map(|answer| client.wait(Id::<Told>::new(answer.id), LONG));
    let waits = futures_util::future::try_join_all(waits);
    let fleet = Fleet::start(&config).await;
    let answers = waits.await.expect("all succeed");
    let sums: Vec<i64> = answers.iter().map(|answer| answer.sum).collect();
    assert_eq!(sums, (1..=1_000).collect::<Vec<_>>());
    assert_eq!(fleet.stop().await.succeeded, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_work_is_refused() {
    let stores = Stores::start().await;
    let config = config(&stores);
    let refused =
        async |builder: leasehold::WorkerBuilder| builder.run_until(async {}).await.expect_err("refused").to_string();
    assert!(refused(Worker::builder(&config).register::<Told>()).await.contains("needs a queue"));
    assert!(refused(Worker::builder(&config).queue("q", 1)).await.contains("needs a handler"));
    assert!(refused(Worker::builder(&config).register::<Told>().queue("q", 0)).await.contains("at least one slot"));
    assert!(refused(Worker::builder(&config).register::<Told>().queue("a b", 1)).await.contains("has ' ' at byte 1"));
}
