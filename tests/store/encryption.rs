//! Queues that take encrypted payloads: nothing readable is in any table, each value belongs to its place, and SQL cannot go around it.

use crate::{
    fixture::{Fixture, LEASE, json, kind, name, new_job},
    schedules::{ago, due, fire, fire_one, fired, hourly},
    subject::connect,
};
use leasehold_core::{
    ClaimedJob, Encryption, Fence, FinishedRun, NewJob, NewSchedule, Outcome, PLAIN_MAX_BYTES, Settle, Settled, State,
    Success, WorkerId,
};
use leasehold_encryption::Keys;
use leasehold_ports::{Claims, Deferred, Kinds};
use leasehold_store::{JobFilter, KeyUse, NewWebhook, QueueChange, Store};

/// What no row may have.
pub(crate) const SECRET: &str = "4111 1111";
pub(crate) const K1: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const K2: &str = "k2:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
const OTHER_K1: &str = "k1:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

pub(crate) fn payload() -> Box<serde_json::value::RawValue> {
    json(&format!(r#"{{"card":"{SECRET}"}}"#))
}

pub(crate) fn secret_job() -> NewJob {
    NewJob { queue: name("secret"), payload: payload(), ..new_job() }
}

impl Fixture {
    /// A store with a key, and a queue that takes encrypted payloads.
    pub(crate) async fn encrypting() -> Self {
        let mut fixture = Self::start().await;
        fixture.store = fixture.store.clone().with_keys(Keys::read(K1, None).expect("a key"));
        fixture.set_queue_encrypted(&name("secret"), true).await.expect("setting the queue");
        fixture
    }

    /// Another process on the same database.
    pub(crate) async fn beside(&self, keys: &str) -> Store {
        let keys = if keys.is_empty() { Keys::default() } else { Keys::read(keys, None).expect("keys") };
        connect(&self.database, 2).await.with_keys(keys)
    }

    /// Every row of every table that has the secret.
    pub(crate) async fn leaks(&self) -> Vec<String> {
        leasehold_tests::leaks(&mut self.pool().acquire().await.expect("a connection"), SECRET).await
    }

    pub(crate) async fn encrypted_rows(&self, table: &str, column: &str) -> i64 {
        self.number(format!(
            "SELECT count(*) FROM leasehold.{table} WHERE starts_with({column}::text, '{{\"$encrypted\":{{\"v\":1,')"
        ))
        .await
    }

    pub(crate) async fn triggers(&self) -> i64 {
        self.number("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'plain%' AND tgparentid = 0").await
    }
}

pub(crate) async fn claim_first(store: &Store, queue: &str) -> ClaimedJob {
    let claimed = Claims::claim_line(store, WorkerId::new(), &name(queue), &Kinds::All, 1, LEASE, true).await;
    claimed.expect("claim").pop().expect("a job in the line")
}

pub(crate) async fn settle(store: &Store, fence: Fence, settle: Settle) -> Settled {
    store.settle(fence.worker, &[FinishedRun { fence, settle }]).await.expect("settle")[0]
}

/// What a worker writes for a result.
async fn complete(store: &Store, fence: Fence, result: &str) -> Settled {
    let result = store.encrypt_result(fence.id, &json(result)).await.expect("a result");
    settle(store, fence, Settle::Complete(Some(result))).await
}

#[tokio::test]
async fn no_table_has_a_payload_or_a_result_that_can_be_read() {
    let fixture = Fixture::encrypting().await;
    let change = QueueChange { dead_letter: Some(Some(name("letters"))), ..QueueChange::default() };
    fixture.set_queue(&name("secret"), &change).await.expect("the dead-letter queue");
    let webhook = NewWebhook {
        id: kind("hook"),
        url: "https://example.com/".into(),
        queue: "*".into(),
        kinds: Vec::new(),
        states: vec![State::Succeeded, State::Dead],
        secret: "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into(),
    };
    fixture.has_webhook(&webhook).await;

    // Plain words, rare words, a job that was sent before, a graph, and one transaction for each request.
    let parent = secret_job();
    let child = NewJob { depends_on: vec![parent.id], ..secret_job() };
    let rare = NewJob { batch: Some("b".into()), unique_key: Some("u".into()), ..secret_job() };
    fixture.enqueue_graph(&[parent.clone(), child.clone()]).await.expect("a graph");
    fixture.enqueue(&[secret_job(), new_job()]).await.expect("plain words");
    fixture.enqueue(std::slice::from_ref(&rare)).await.expect("rare words");
    fixture.enqueue(&[NewJob { id_may_exist: true, ..rare.clone() }]).await.expect("sent again");
    fixture.enqueue_once(&[secret_job()], None).await.expect("one transaction");
    assert_eq!(fixture.encrypted_rows("job", "payload").await, 5);
    for id in [parent.id, child.id, rare.id] {
        assert_eq!(fixture.record(id).await.payload.get(), payload().get());
    }

    // A result, and the job that follows from the success.
    let run = claim_first(&fixture, "secret").await;
    assert_eq!((run.fence.id, run.encryption.clone()), (parent.id, Encryption::Decrypted));
    assert_eq!(run.payload.get(), payload().get());
    let result = fixture.encrypt_result(parent.id, &payload()).await.expect("a result");
    let follows = secret_job();
    let success = Success { result: Some(result), then: vec![follows.clone()] };
    assert_eq!(settle(&fixture, run.fence, Settle::CompleteThen(Box::new(success))).await, Settled::Done);
    assert_eq!(fixture.record(follows.id).await.payload.get(), payload().get());
    let parents = fixture.parents(child.id, 1_000_000).await.expect("the parents");
    assert_eq!(parents[0].result.as_ref().map(|result| result.get()), Some(payload().get()));
    let finished = fixture.finished(&[parent.id]).await.expect("finished");
    assert_eq!(finished[0].result.as_ref().map(|result| result.get()), Some(payload().get()));
    let moment = fixture.job_moment(parent.id).await.expect("a moment").expect("the job");
    assert_eq!(moment.job.result.as_ref().map(|result| result.get()), Some(payload().get()));

    // A result that a reaper writes.
    let run = claim_first(&fixture, "secret").await;
    let result = fixture.encrypt_result(run.fence.id, &payload()).await.expect("a result");
    let success = Success { result: Some(result), then: vec![secret_job()] };
    let end = FinishedRun { fence: run.fence, settle: Settle::CompleteThen(Box::new(success)) };
    fixture.defer(&[Deferred { queue: name("secret"), run: end }]).await.expect("defer");
    assert_eq!(fixture.leaks().await, [""; 0]);
    let reaper = fixture.beside("").await;
    let left = reaper.deferred(10).await.expect("deferred");
    assert_eq!(reaper.settle(run.fence.worker, &[left[0].run.clone()]).await.expect("settle"), [Settled::Done]);

    // A death, and its letter.
    let run = claim_first(&fixture, "secret").await;
    assert_eq!(settle(&fixture, run.fence, Settle::Bury { error: "no".into() }).await, Settled::Done);
    let letter = claim_first(&fixture, "letters").await;
    assert_eq!((letter.payload.get(), letter.encryption), (payload().get(), Encryption::Decrypted));
    assert_eq!(fixture.record(letter.fence.id).await.payload.get(), payload().get());

    // A schedule, and the job of its tick.
    let schedule = NewSchedule { job: secret_job(), ..hourly("nightly") };
    fixture.set_schedule(&schedule, ago(90)).await;
    assert_eq!(fixture.encrypted_rows("schedule", "payload").await, 1);
    let shown = fixture.schedules(None).await.expect("schedules");
    assert_eq!(shown[0].payload.get(), payload().get());
    let fire = fire(&due(&fixture).await[0]);
    let tick = fired(fire_one(&fixture, &fire).await)[0].id;
    assert_eq!(fixture.record(tick).await.payload.get(), payload().get());

    assert_eq!(fixture.leaks().await, [""; 0]);
    let all = fixture.jobs(&JobFilter { limit: 1000, ..JobFilter::default() }).await.expect("jobs");
    let read = all.iter().filter(|job| job.payload.get() == payload().get()).count();
    assert_eq!((read, all.iter().filter(|job| job.payload.get().contains("$encrypted")).count()), (9, 0), "{all:#?}");
    let told: Vec<_> = all.iter().filter(|job| job.queue == "leasehold.webhooks").collect();
    assert!(!told.is_empty() && told.iter().all(|job| !job.payload.get().contains("encrypted")), "{told:#?}");
    assert!(told.iter().any(|job| job.payload.get().contains(r#""result_left_out" : true"#)), "{told:#?}");
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_value_that_was_copied_or_changed_is_not_decrypted() {
    let fixture = Fixture::encrypting().await;
    let (one, other) = (secret_job(), secret_job());
    fixture.enqueue(&[one.clone(), other.clone()]).await.expect("enqueue");
    fixture
        .sql(format!(
            "UPDATE leasehold.job SET payload = (SELECT payload FROM leasehold.job WHERE id = '{}') WHERE id = '{}'",
            one.id, other.id
        ))
        .await;
    assert!(fixture.record(one.id).await.payload.get().contains(SECRET));
    let told = "cannot be decrypted with key k1: it was changed, or it was copied from another job";
    let copied = fixture.record(other.id).await;
    assert_eq!(copied.payload.get(), format!(r#"{{"$encrypted":"the payload {told}"}}"#));

    // A worker lets the attempt fail: no handler sees such a payload.
    let worker = WorkerId::new();
    let run = Claims::claim(&*fixture, worker, &name("secret"), &[other.id], &Kinds::All, LEASE).await.expect("claim");
    assert_eq!(run[0].encryption, Encryption::Unreadable { reason: format!("the payload {told}"), is_lack: false });
    assert!(matches!(run[0].unreadable(), Some(Outcome::Failed(_))));

    // The kind is a part of the place too, and so is what the value is.
    fixture.sql(format!("UPDATE leasehold.job SET kind = 'print' WHERE id = '{}'", one.id)).await;
    assert!(fixture.record(one.id).await.payload.get().contains(told));
    let third = secret_job();
    fixture.enqueue(std::slice::from_ref(&third)).await.expect("enqueue");
    let run = fixture.claim_one(worker, third.id).await;
    assert_eq!(complete(&fixture, run.fence, "7").await, Settled::Done);
    fixture.sql(format!("UPDATE leasehold.history SET result = payload WHERE id = '{}'", third.id)).await;
    let read = fixture.record(third.id).await;
    assert!(read.result.expect("a result").get().contains("the result cannot be decrypted with key k1"));
}

#[tokio::test]
async fn a_new_key_encrypts_and_an_old_one_still_decrypts() {
    let fixture = Fixture::encrypting().await;
    let old = secret_job();
    fixture.enqueue(std::slice::from_ref(&old)).await.expect("enqueue");
    let rotated = fixture.beside(&format!("{K2},{K1}")).await;
    let new = secret_job();
    rotated.enqueue(std::slice::from_ref(&new)).await.expect("enqueue");
    let uses = async || rotated.encryption_keys().await.expect("the keys in use");
    let used = |key: &str, place: &str, count| KeyUse { key: Some(key.into()), place: place.into(), count };
    assert_eq!(uses().await, [used("k1", "live", 1), used("k2", "live", 1)]);
    for id in [old.id, new.id] {
        let read = rotated.job(id).await.expect("job").expect("the job");
        assert_eq!(read.payload.get(), payload().get());
    }
    // The run of an old payload leaves a result of the new key.
    let run = claim_first(&rotated, "secret").await;
    assert_eq!(complete(&rotated, run.fence, "1").await, Settled::Done);
    assert_eq!(uses().await, [used("k1", "finished", 1), used("k2", "live", 1), used("k2", "results", 1)]);
    fixture.sql("DELETE FROM leasehold.history").await;
    assert_eq!(uses().await, [used("k2", "live", 1)], "the old key can go");
    let without = fixture.beside(K2).await;
    assert_eq!(without.job(new.id).await.expect("job").expect("the job").payload.get(), payload().get());
}

#[tokio::test]
async fn a_process_without_the_key_gives_the_job_back_and_says_which_key_it_lacks() {
    let fixture = Fixture::encrypting().await;
    let job = secret_job();
    fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
    for (keys, told) in [
        ("", "is encrypted with key k1, which this process does not have"),
        (K2, "is encrypted with key k1, which this process does not have"),
        (OTHER_K1, "is encrypted with another key k1 than this process has"),
    ] {
        let other = fixture.beside(keys).await;
        let read = other.job(job.id).await.expect("job").expect("the job");
        assert_eq!(read.payload.get(), format!(r#"{{"$encrypted":"the payload {told}"}}"#));
        assert_eq!((read.kind.as_str(), read.state), ("k", State::Queued), "the rest is shown");

        let run = claim_first(&other, "secret").await;
        let Some(Outcome::Snoozed(Some(delay), Some(reason))) = run.unreadable() else { panic!("{run:?}") };
        assert_eq!(reason, format!("the payload {told}"));
        let outcome = Outcome::Snoozed(Some(delay), Some(reason));
        let end = outcome.settle(&run.tries(leasehold_core::Backoff::default(), delay), 0.5).expect("an end");
        assert_eq!(settle(&other, run.fence, end).await, Settled::Done);
        let after = fixture.record(job.id).await;
        assert_eq!((after.state, after.attempt), (State::Scheduled, 0), "no attempt is spent");
        let note = after.trail.last().and_then(|entry| entry.note.clone());
        assert_eq!(note, Some(format!("the payload {told}")));
        fixture.revive(&[job.id]).await.expect("revive");
    }
    let run = claim_first(&fixture, "secret").await;
    assert_eq!(run.payload.get(), payload().get());
}

#[tokio::test]
async fn a_result_is_encrypted_exactly_if_the_payload_is() {
    let fixture = Fixture::encrypting().await;
    fixture.enqueue(&[secret_job(), secret_job(), secret_job()]).await.expect("enqueue");
    let run = claim_first(&fixture, "secret").await;
    // What an HTTP server does.
    let end = |result: &str| FinishedRun { fence: run.fence, settle: Settle::Complete(Some(json(result))) };
    let without = fixture.beside("").await;
    let (_, unstorable) = without.settle_storable(run.fence.worker, &[end(payload().get())]).await.expect("settle");
    assert!(unstorable[0].reason.contains("needs the setting encryption.keys"), "{unstorable:?}");
    assert_eq!(fixture.record(run.fence.id).await.state, State::Running, "the run has not ended");
    let long = format!("\"{}\"", "x".repeat(PLAIN_MAX_BYTES));
    let (_, unstorable) = fixture.settle_storable(run.fence.worker, &[end(&long)]).await.expect("settle");
    assert!(unstorable[0].reason.starts_with("result is 786002 bytes long; at most 786000"), "{unstorable:?}");
    let (settled, unstorable) =
        fixture.settle_storable(run.fence.worker, &[end(payload().get())]).await.expect("settle");
    assert!(settled == [Settled::Done] && unstorable.is_empty(), "{unstorable:?}");
    assert_eq!(fixture.record(run.fence.id).await.result.expect("a result").get(), payload().get());

    // A worker that could not encrypt: the job is dead rather than its result readable.
    let run = claim_first(&without, "secret").await;
    assert_eq!(settle(&without, run.fence, Settle::Complete(Some(payload()))).await, Settled::Done);
    let dead = fixture.record(run.fence.id).await;
    assert!(dead.state == State::Dead && dead.last_error.is_some_and(|error| error.contains("its result is not")));
    assert_eq!(fixture.leaks().await, [""; 0]);
}
