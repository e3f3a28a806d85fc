//! Typed jobs of a queue that takes encrypted payloads: the caller's own transaction, the handler's own transaction, and errors that do
//! not quote the payload.

use crate::typed::config;
use leasehold::{Client, Config, Done, Error, FollowOn, Job, JobError, Kind, NewJob, Run, Worker, reaper_settings};
use leasehold_tests::{Stores, eventually, leaks};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgPool;
use std::time::Duration;
use tokio::sync::oneshot;

const LONG: Duration = Duration::from_secs(30);
const SECRET: &str = "4111-1111";

#[derive(Debug, Serialize, Deserialize)]
struct Charge {
    card: String,
    cents: u32,
}

impl Job for Charge {
    const KIND: &'static str = "test/charge";
    const QUEUE: &'static str = "cards";
    const MAX_ATTEMPTS: i32 = 1;
    type Output = Done<String>;

    async fn run(self, run: &Run) -> Result<Done<String>, JobError> {
        let done = Done::with(self.card.clone()).then(FollowOn::of(Receipt { card: self.card }).unique_key("receipt"));
        if self.cents == 0 {
            return Ok(done);
        }
        let mut transaction = run.state::<PgPool>()?.begin().await?;
        let done = done.complete_in(run, &mut transaction).await?;
        transaction.commit().await?;
        Ok(done)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Receipt {
    card: String,
}

impl Job for Receipt {
    const KIND: &'static str = "test/receipt";
    const QUEUE: &'static str = "cards";
    type Output = String;

    async fn run(self, _: &Run) -> Result<String, JobError> {
        Ok(self.card)
    }
}

fn with_keys(stores: &Stores) -> Config {
    let mut config = config(stores);
    config.encryption.keys = Some("k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".into());
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn typed_jobs_are_encrypted_also_in_transactions_of_the_caller_and_of_the_handler() {
    let stores = Stores::start().await;
    let config = with_keys(&stores);
    let client = Client::connect(&config).await.expect("connected");
    client.store().set_queue_encrypted(&"cards".parse().expect("a name"), true).await.expect("setting the queue");
    let pool = PgPool::connect(&stores.database.url).await.expect("a pool");
    let (stop, stopped) = oneshot::channel::<()>();
    let worker =
        Worker::builder(&config).register::<Charge>().register::<Receipt>().queue("cards", 4).state(pool.clone());
    let worker = tokio::spawn(worker.run_until(async {
        let _ = stopped.await;
    }));
    let pair = leasehold::Pair::connect(&with_keys(&stores), "a reaper").await.expect("both stores");
    let reaper = leasehold_reaper::Reaper::new(
        pair.store.clone(),
        pair.handoff().expect("Redis").clone(),
        reaper_settings(&config),
    );
    let reaper = tokio::spawn(reaper.run(tokio_util::sync::CancellationToken::new()));

    let charge = |cents| Charge { card: SECRET.into(), cents };
    let sent = client.enqueue(charge(0)).send().await.expect("accepted");
    let mut transaction = pool.begin().await.expect("a transaction");
    let sent_in = client.enqueue(charge(7)).send_in(&mut transaction).await.expect("accepted");
    transaction.commit().await.expect("committed");
    for id in [sent, sent_in] {
        assert_eq!(client.wait(id, LONG).await.expect("a result"), SECRET);
    }
    eventually("the follow-on job ends", LONG, async || {
        let sql = "SELECT count(*) FROM leasehold.history WHERE kind = 'test/receipt' AND state = 'succeeded'";
        let ended: i64 = sqlx::query_scalar(sql).fetch_one(&pool).await.expect("a number");
        if ended >= 1 { Ok(()) } else { Err(ended) }
    })
    .await;

    // A payload of another form. The decoder quotes the part that it does not understand.
    let kind: Kind = "test/charge".parse().expect("a name");
    let payload = RawValue::from_string(format!(r#"{{"card":"x","cents":"{SECRET}"}}"#)).expect("JSON");
    let bad = NewJob { queue: "cards".parse().expect("a name"), max_attempts: 1, ..NewJob::new(kind, payload) };
    let id = bad.id;
    client.enqueue_many(&[bad]).await.expect("accepted");
    let ended = client.wait_finished(id, LONG).await.expect("its end");
    let error = ended.last_error.expect("an error");
    assert!(error.contains("the payload is not what test/charge takes (line 1, column"), "{error}");
    assert_eq!(leaks(&mut stores.database.connect().await, SECRET).await, [""; 0]);

    // In a transaction too, a client without keys is refused.
    let without = Client::connect(&crate::typed::config(&stores)).await.expect("connected");
    let mut transaction = pool.begin().await.expect("a transaction");
    match without.enqueue(charge(1)).send_in(&mut transaction).await {
        Err(Error::Store(error)) => {
            assert!(error.to_string().contains("queue cards takes encrypted payloads"), "{error}")
        }
        other => panic!("{:?}", other.map(|_| ())),
    }
    let _ = stop.send(());
    worker.await.expect("the worker ends").expect("without an error");
    reaper.abort();
}
