//! Waits hear over Redis when a job has ended, and end without Redis too.

use crate::typed::config;
use leasehold::{Client, Error, Job, JobError, JobId, Run, State, Tally, Worker};
use leasehold_tests::{Stores, eventually};
use serde::{Deserialize, Serialize};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, oneshot},
    task::JoinHandle,
};

const LONG: Duration = Duration::from_secs(30);
/// Without a message a wait looks every half second after its first second.
const POLLS_RARELY: Duration = Duration::from_millis(1500);

/// Ends when the test says so, and returns nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Gated;

struct Gate(Arc<Notify>);

impl Job for Gated {
    const KIND: &'static str = "test/gated";
    const QUEUE: &'static str = "gated";
    type Output = ();

    async fn run(self, run: &Run) -> Result<(), JobError> {
        run.state::<Gate>()?.0.notified().await;
        Ok(())
    }
}

struct Fleet {
    client: Client,
    gate: Arc<Notify>,
    stop: oneshot::Sender<()>,
    worker: JoinHandle<Result<Tally, Error>>,
}

impl Fleet {
    async fn start(stores: &Stores) -> Self {
        let config = config(stores);
        let client = Client::connect(&config).await.expect("connected");
        let (gate, (stop, stopped)) = (Arc::new(Notify::new()), oneshot::channel::<()>());
        let worker = Worker::builder(&config).state(Gate(Arc::clone(&gate))).register::<Gated>();
        let worker = worker.queue("gated", 1).run_until(async {
            let _ = stopped.await;
        });
        Self { client, gate, stop, worker: tokio::spawn(worker) }
    }

    /// How long a wait goes on after its job was allowed to end. The wait has gone on for so long before that it looks rarely.
    async fn late_by(&self) -> Duration {
        let id = self.client.enqueue(Gated).send().await.expect("accepted");
        let mut wait = tokio::spawn({
            let client = self.client.clone();
            async move { client.wait(id, LONG).await }
        });
        eventually("the job runs", LONG, || async {
            let state = self.client.job(id).await.expect("asked").expect("there").state;
            if state == State::Running { Ok(()) } else { Err(state) }
        })
        .await;
        assert!(tokio::time::timeout(POLLS_RARELY, &mut wait).await.is_err(), "the job has not ended");
        let opened = Instant::now();
        self.gate.notify_one();
        wait.await.expect("no panic").expect("succeeded");
        opened.elapsed()
    }

    async fn stop(self) {
        let _ = self.stop.send(());
        self.worker.await.expect("the worker ends").expect("without an error");
    }
}

/// The time includes the settle. The median of the polling waits would be a quarter of a second.
#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_when_redis_tells_of_the_end() {
    let stores = Stores::start().await;
    let fleet = Fleet::start(&stores).await;
    let mut late = Vec::new();
    for _ in 0..5 {
        late.push(fleet.late_by().await);
    }
    late.sort();
    println!("waits end so long after their jobs may end: {late:?}");
    assert!(late[2] < Duration::from_millis(100), "{late:?}");
    fleet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_without_redis_ends_too() {
    let stores = Stores::start_apart().await;
    let fleet = Fleet::start(&stores).await;
    fleet.late_by().await;
    stores.redis.server().kill();
    fleet.late_by().await;
    fleet.stop().await;
}

/// A cancel of a job that waits is an end that no worker writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_by_another_client_ends_a_wait() {
    let stores = Stores::start().await;
    let config = config(&stores);
    let (client, other) =
        (Client::connect(&config).await.expect("connected"), Client::connect(&config).await.expect("connected"));
    let id = client.enqueue(Gated).send().await.expect("accepted");
    let wait = tokio::spawn({
        let client = client.clone();
        async move { client.wait(id, LONG).await }
    });
    other.cancel(&[id.get()]).await.expect("cancelled");
    assert!(matches!(wait.await.expect("no panic"), Err(Error::Cancelled(_))));
    let nobody = client.wait_finished(JobId::new(), Duration::from_millis(50)).await;
    assert!(matches!(nobody, Err(Error::NoSuchJob(_))), "{nobody:?}");
}
