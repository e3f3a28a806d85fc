//! The word unique: until when a job has its key, what happens to a job whose key is held, and what makes a key.

use crate::fixture::{Fixture, LEASE, concurrently, json, name, neutral, new_job, retry};
use leasehold_core::{Claimability, JobId, NewJob, Settle, Settled, State, Unique, UniqueRule, WorkerId};
use leasehold_ports::{Class, Enqueued, Kinds};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

fn keyed(unique: Unique) -> NewJob {
    NewJob { unique_key: Some("key".to_owned()), unique: Some(unique), ..new_job() }
}

fn numbered(number: u32, unique: Unique) -> NewJob {
    NewJob { payload: json(&number.to_string()), ..keyed(unique) }
}

async fn send(fixture: &Fixture, job: NewJob) -> Enqueued {
    fixture.enqueue(&[job]).await.expect("enqueue").remove(0)
}

async fn inserted(fixture: &Fixture, job: NewJob) -> JobId {
    let (id, answer) = (job.id, send(fixture, job).await);
    assert!(answer.inserted && !answer.replaced && answer.id == id, "{answer:?}");
    id
}

async fn payload(fixture: &Fixture, id: JobId) -> String {
    fixture.record(id).await.payload.get().to_owned()
}

#[tokio::test]
async fn the_word_alone_changes_nothing() {
    let fixture = Fixture::start().await;
    let first = inserted(&fixture, keyed(Unique::while_live())).await;
    assert_eq!(fixture.record(first).await.unique_rule, None);
    let plain = NewJob { unique_key: Some("key".to_owned()), ..new_job() };
    for job in [plain, keyed(Unique::while_live())] {
        let answer = send(&fixture, job).await;
        assert_eq!((answer.id, answer.inserted, answer.replaced), (first, false, false));
    }
    let run = fixture.claim_one(WorkerId::new(), first).await;
    assert_eq!(send(&fixture, keyed(Unique::while_live())).await.id, first, "a running job is live");
    assert_eq!(fixture.settle_one(run.fence, Settle::Complete(None)).await, Settled::Done);
    inserted(&fixture, keyed(Unique::while_live())).await;
}

#[tokio::test]
async fn while_queued_the_key_is_free_when_the_job_begins() {
    let fixture = Fixture::start().await;
    let first = inserted(&fixture, keyed(Unique::while_queued())).await;
    assert_eq!(send(&fixture, keyed(Unique::while_queued())).await.id, first);
    let run = fixture.claim_one(WorkerId::new(), first).await;
    let second = inserted(&fixture, keyed(Unique::while_queued())).await;
    // The first one waits for its retry without the key. Both can begin.
    assert_eq!(fixture.settle_one(run.fence, retry()).await, Settled::Done);
    fixture.promote(10, None).await.expect("promote");
    for id in [first, second] {
        let record = fixture.record(id).await;
        assert_eq!((record.state, record.unique_key.as_deref()), (State::Queued, Some("key")), "the key is shown");
        assert_eq!(record.unique_rule, Some(UniqueRule::Queued));
    }
    assert_eq!(send(&fixture, keyed(Unique::while_queued())).await.id, second, "the second one has the key");
    let ids = [first, second];
    let claimed = fixture.claim(WorkerId::new(), &ids, &Kinds::All, LEASE).await.expect("claim");
    assert_eq!(claimed.len(), 2);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_replacement_gives_the_waiting_job_all_fields_but_its_id() {
    let fixture = Fixture::start().await;
    let debounce = || Unique::while_queued().replace();
    let first = NewJob { delay: Some(MINUTE), ..numbered(1, debounce()) };
    let id = inserted(&fixture, first).await;
    let before = fixture.record(id).await;
    let second = NewJob {
        queue: name("other"),
        priority: 5,
        max_attempts: 2,
        timeout: Some(MINUTE),
        delay: Some(MINUTE * 2),
        expires_in: Some(MINUTE * 9),
        ..numbered(2, debounce())
    };
    let answer = send(&fixture, second).await;
    assert_eq!((answer.id, answer.inserted, answer.replaced, answer.state), (id, false, true, State::Scheduled));
    let record = fixture.record(id).await;
    assert_eq!((record.payload.get(), record.queue.as_str(), record.priority), ("2", "other", 5));
    assert_eq!((record.max_attempts, record.timeout_ms, record.created_at), (2, Some(60_000), before.created_at));
    assert!(record.run_at > before.run_at && record.expires_at.is_some());
    // Due immediately: from scheduled into the line.
    let answer = send(&fixture, numbered(3, debounce())).await;
    assert_eq!((answer.replaced, answer.state, answer.line_at.is_some()), (true, State::Queued, true));
    let place = fixture.record(id).await.run_at;
    send(&fixture, numbered(4, debounce())).await;
    let record = fixture.record(id).await;
    assert_eq!((record.payload.get(), record.run_at), ("4", place), "it keeps its place in the line");
    assert_eq!((record.queue.as_str(), record.expires_at), ("default", None));
    // And from the line to a later time.
    let later = NewJob { delay: Some(MINUTE), ..numbered(5, debounce()) };
    assert_eq!(send(&fixture, later).await.state, State::Scheduled);
    assert_eq!(fixture.live_jobs().await, 1);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn replacements_put_off_a_job_for_its_longest_wait_only() {
    let fixture = Fixture::start().await;
    let debounce = || Unique::while_queued().replace().longest_wait(MINUTE * 3);
    let later = |number| NewJob { delay: Some(MINUTE * 2), ..numbered(number, debounce()) };
    let id = inserted(&fixture, later(1)).await;
    let created = fixture.record(id).await.created_at;
    let much_later = NewJob { delay: Some(MINUTE * 60), ..numbered(2, debounce()) };
    assert!(send(&fixture, much_later).await.replaced);
    let record = fixture.record(id).await;
    assert_eq!((record.run_at - created, record.payload.get()), (chrono::TimeDelta::minutes(3), "2"));
}

#[tokio::test]
async fn a_job_that_has_begun_is_not_replaced() {
    let fixture = Fixture::start().await;
    let id = inserted(&fixture, numbered(1, Unique::while_live().replace())).await;
    let run = fixture.claim_one(WorkerId::new(), id).await;
    let answer = send(&fixture, numbered(2, Unique::while_live().replace())).await;
    assert_eq!((answer.id, answer.inserted, answer.replaced, answer.state), (id, false, false, State::Running));
    // While it waits for its retry, it is replaced as a whole: attempts, crashes and error are gone.
    assert_eq!(fixture.settle_one(run.fence, retry()).await, Settled::Done);
    let last = NewJob { max_attempts: 1, ..numbered(3, Unique::while_live().replace()) };
    assert!(send(&fixture, last).await.replaced);
    let record = fixture.record(id).await;
    assert_eq!((record.attempt, record.max_attempts, record.last_error), (0, 1, None));
    assert_eq!(payload(&fixture, id).await, "3");
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn keep_last_lets_one_run_and_the_last_one_wait() {
    let fixture = Fixture::start().await;
    let first = inserted(&fixture, numbered(1, Unique::keep_last())).await;
    assert!(send(&fixture, numbered(2, Unique::keep_last())).await.replaced, "nothing runs yet");
    let run = fixture.claim_one(WorkerId::new(), first).await;
    assert_eq!(run.payload.get(), "2");
    let second = inserted(&fixture, numbered(3, Unique::keep_last())).await;
    let answer = send(&fixture, numbered(4, Unique::keep_last())).await;
    assert_eq!((answer.id, answer.replaced), (second, true));
    let cannot_begin = async |id, first_runs| {
        let worker = WorkerId::new();
        let mut claimed = fixture.claim(worker, &[id], &Kinds::All, LEASE).await.expect("claim");
        claimed.extend(fixture.claim_careful(worker, &[id], &Kinds::All, 9, LEASE).await.expect("claim_careful"));
        if first_runs {
            let queue = name("default");
            claimed.extend(fixture.claim_line(worker, &queue, &Kinds::All, 9, LEASE, true).await.expect("claim_line"));
        }
        assert!(claimed.is_empty(), "the first one has begun");
        let looked = fixture.look(&[id], &Kinds::All).await.expect("look");
        assert_eq!(looked[0].claimability, Claimability::KeyHeld);
        let moment = fixture.job_moment(id).await.expect("a moment").expect("the job");
        assert_eq!(moment.key_held_by, Some(first));
    };
    cannot_begin(second, true).await;
    // A retry, a snooze and a release keep the second place of the key: the second one still waits.
    let mut run = run.fence;
    for settle in [retry(), Settle::Snooze { delay: Duration::ZERO, reason: None }, Settle::Release] {
        assert_eq!(fixture.settle_one(run, settle).await, Settled::Done);
        fixture.promote(10, None).await.expect("promote");
        cannot_begin(second, false).await;
        assert_eq!(send(&fixture, numbered(5, Unique::keep_last())).await.id, second);
        run = fixture.claim_one(WorkerId::new(), first).await.fence;
    }
    assert_eq!(fixture.settle_one(run, Settle::Complete(None)).await, Settled::Done);
    let run = fixture.claim_one(WorkerId::new(), second).await;
    assert_eq!(run.payload.get(), "5");
    assert_eq!(fixture.record(first).await.unique_key.as_deref(), Some("key"), "history keeps the key");
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_revived_job_takes_the_first_place_of_its_key() {
    let fixture = Fixture::start().await;
    let first = inserted(&fixture, numbered(1, Unique::keep_last())).await;
    let run = fixture.claim_one(WorkerId::new(), first).await;
    assert_eq!(fixture.settle_one(run.fence, Settle::Bury { error: "no".into() }).await, Settled::Done);
    let second = inserted(&fixture, numbered(2, Unique::keep_last())).await;
    let refused = fixture.revive(&[first]).await.expect_err("the second one waits");
    assert_eq!(neutral(refused).class, Class::Refused);
    let run = fixture.claim_one(WorkerId::new(), second).await;
    assert_eq!(fixture.revive(&[first]).await.expect("revive").len(), 1, "the first place is free");
    let looked = fixture.look(&[first], &Kinds::All).await.expect("look");
    assert_eq!(looked[0].claimability, Claimability::KeyHeld, "it waits like a new one");
    assert_eq!(fixture.settle_one(run.fence, Settle::Complete(None)).await, Settled::Done);
    fixture.claim_one(WorkerId::new(), first).await;
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_key_can_be_made_of_fields_or_of_the_whole_payload() {
    let fixture = Fixture::start().await;
    let of = |payload: &str, unique: Unique| NewJob { payload: json(payload), unique: Some(unique), ..new_job() };
    let by_fields = || Unique::while_live().fields(["a", "b"]);
    let first = inserted(&fixture, of(r#"{"a": 1, "b": [2], "c": 3}"#, by_fields())).await;
    let key = fixture.record(first).await.unique_key.expect("a key");
    assert!(key.starts_with("k:") && key.len() > 10, "{key}");
    assert_eq!(send(&fixture, of(r#"{"c": 9, "b":[2],"a":1}"#, by_fields())).await.id, first, "order does not count");
    for other in [r#"{"a": 1, "b": [3]}"#, r#"{"a": 1}"#, r#"{"b": [2]}"#] {
        inserted(&fixture, of(other, by_fields())).await;
    }
    let kind = NewJob { kind: crate::fixture::kind("other"), ..of(r#"{"a": 1, "b": [2]}"#, by_fields()) };
    inserted(&fixture, kind).await;
    let whole = inserted(&fixture, of(r#"[1, {"x": 2, "y": 3}]"#, Unique::while_live().payload())).await;
    let same = of(r#"[1,{"y":3,"x":2}]"#, Unique::while_live().payload());
    assert_eq!(send(&fixture, same).await.id, whole);
    inserted(&fixture, of(r#"[{"x": 2, "y": 3}, 1]"#, Unique::while_live().payload())).await;
}

#[tokio::test]
async fn a_key_can_be_held_until_a_time() {
    let fixture = Fixture::start().await;
    let hourly = || Unique::while_live().for_time(MINUTE * 60);
    let first = inserted(&fixture, numbered(1, hourly())).await;
    let run = fixture.claim_one(WorkerId::new(), first).await;
    assert_eq!(send(&fixture, numbered(2, hourly())).await.id, first);
    assert_eq!(fixture.settle_one(run.fence, Settle::Complete(None)).await, Settled::Done);
    let answer = send(&fixture, numbered(3, hourly())).await;
    assert_eq!((answer.id, answer.inserted, answer.state), (first, false, State::Succeeded));
    let until = chrono::Utc::now() + chrono::TimeDelta::hours(3);
    assert_eq!(send(&fixture, numbered(4, Unique::while_live().until(until))).await.id, first);
    fixture.make_periods_over().await;
    let second = inserted(&fixture, numbered(5, Unique::while_live().until(until))).await;
    assert_eq!(send(&fixture, numbered(6, hourly())).await.id, second);
    // A waiting job of the period can be replaced.
    assert!(send(&fixture, numbered(7, hourly().replace())).await.replaced);
    assert_eq!(payload(&fixture, second).await, "7");
    // The period is over, but its job is still live.
    fixture.make_periods_over().await;
    assert_eq!(send(&fixture, numbered(8, hourly())).await.id, second);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn of_concurrent_jobs_one_is_inserted() {
    for unique in [Unique::while_queued(), Unique::while_live().for_time(MINUTE), Unique::keep_last()] {
        let fixture = Fixture::with_connections(8).await;
        let calls = (0..16).map(|number| send(&fixture, numbered(number, unique.clone())));
        let answers = concurrently(calls).await;
        assert_eq!(answers.iter().filter(|answer| answer.inserted).count(), 1, "{answers:?}");
        assert!(answers.iter().all(|answer| answer.id == answers[0].id), "{answers:?}");
        assert_eq!(fixture.live_jobs().await, 1);
    }
}

#[tokio::test]
async fn a_job_that_is_sent_again_is_answered() {
    let fixture = Fixture::start().await;
    let job = numbered(1, Unique::keep_last());
    inserted(&fixture, job.clone()).await;
    let run = fixture.claim_one(WorkerId::new(), job.id).await;
    let again = NewJob { id_may_exist: true, ..job.clone() };
    let answer = send(&fixture, again.clone()).await;
    assert_eq!((answer.id, answer.inserted, answer.state), (job.id, false, State::Running));
    assert_eq!(fixture.settle_one(run.fence, Settle::Complete(None)).await, Settled::Done);
    let answer = send(&fixture, again).await;
    assert_eq!((answer.id, answer.inserted, answer.state), (job.id, false, State::Succeeded));
}

#[tokio::test]
async fn words_that_contradict_each_other_are_refused() {
    let fields =
        |job: NewJob| job.validate().expect_err("refused").0.into_iter().map(|bad| bad.field).collect::<Vec<_>>();
    assert_eq!(fields(NewJob { unique: Some(Unique::while_live()), ..new_job() }), ["unique"]);
    assert_eq!(fields(keyed(Unique::while_live().fields(["a"]))), ["unique"]);
    assert_eq!(
        fields(keyed(Unique { while_state: leasehold_core::UniqueWhile::Queued, ..Unique::keep_last() })),
        ["unique.while"]
    );
    assert_eq!(fields(keyed(Unique::keep_last().for_time(MINUTE))), ["unique.until"]);
    assert_eq!(fields(keyed(Unique::while_live().longest_wait(MINUTE))), ["unique.longest_wait"]);
    let list = NewJob { payload: json("[1]"), unique: Some(Unique::while_live().fields(["a"])), ..new_job() };
    assert_eq!(fields(list), ["unique.fields"]);
}
