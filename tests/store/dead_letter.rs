//! The dead-letter queue: a job that dies makes a new job in another queue, once and in the same transaction.

use crate::fixture::{Fixture, LEASE, name, new_job};
use chrono::TimeDelta;
use leasehold_core::{Fence, JobId, NewJob, QueueName, Settle, Settled, State, WorkerId};
use leasehold_ports::{Claims, Kinds};
use leasehold_store::QueueChange;

async fn letters_to(fixture: &Fixture, queue: &str, letters: Option<&str>) {
    let change = QueueChange { dead_letter: Some(letters.map(name)), keep_days: None, fair: None };
    fixture.set_queue(&name(queue), &change).await.expect("setting the dead-letter queue");
}

async fn line(fixture: &Fixture, queue: &QueueName) -> Vec<JobId> {
    fixture.front(queue, &Kinds::All, 100).await.expect("line").ids()
}

fn buried(error: &str) -> Settle {
    Settle::Bury { error: error.into() }
}

/// Claims the first job of a queue.
async fn claim_first(fixture: &Fixture, worker: WorkerId, queue: &QueueName) -> Fence {
    let ids = line(fixture, queue).await;
    let claimed = Claims::claim(&**fixture, worker, queue, &ids[..1], &Kinds::All, LEASE).await.expect("claim");
    claimed[0].fence
}

#[tokio::test]
async fn a_death_makes_one_job_of_the_same_kind_and_payload_and_both_know_each_other() {
    let fixture = Fixture::start().await;
    letters_to(&fixture, "default", Some("dead")).await;
    let worker = WorkerId::new();
    let job = NewJob { priority: 2, unique_key: Some("key".into()), max_attempts: 7, ..new_job() };
    fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
    let fence = fixture.claim_one(worker, job.id).await.fence;
    assert_eq!(fixture.settle_one(fence, buried("no such file")).await, Settled::Done);
    let letters = line(&fixture, &name("dead")).await;
    assert_eq!(letters.len(), 1);
    let letter = fixture.record(letters[0]).await;
    assert_eq!((letter.state, letter.kind.as_str(), letter.payload.get()), (State::Queued, "k", r#"{"n":1}"#));
    assert_eq!((letter.priority, letter.max_attempts, letter.attempt, letter.epoch), (2, 7, 0, 0));
    assert_eq!((letter.unique_key, letter.last_error.as_deref()), (None, Some("no such file")));
    assert_eq!(letter.trail[0].verb, "dead_letter");
    for id in [fence.id, letter.id] {
        let told = fixture.dead_letters(id).await.expect("dead letters");
        assert_eq!((told.len(), told[0].job, told[0].died), (1, letter.id, fence.id));
        assert_eq!((told[0].died_in.as_str(), told[0].error.as_deref()), ("default", Some("no such file")));
    }
    // A worker whose answer was lost sends the settle again.
    assert_eq!(fixture.settle_one(fence, buried("no such file")).await, Settled::Already);
    assert_eq!(line(&fixture, &name("dead")).await.len(), 1);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn only_deaths_make_letters_and_only_where_they_are_wanted() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let plain = fixture.running(worker).await;
    fixture.settle_one(plain, buried("no")).await;
    letters_to(&fixture, "default", Some("dead")).await;
    for settle in [Settle::Complete(None), crate::fixture::retry(), Settle::Release] {
        let run = fixture.running(worker).await;
        fixture.settle_one(run, settle).await;
    }
    let cancelled = fixture.queued().await;
    fixture.cancel(&[cancelled]).await.expect("cancel");
    letters_to(&fixture, "default", None).await;
    let run = fixture.running(worker).await;
    fixture.settle_one(run, buried("no")).await;
    assert_eq!(line(&fixture, &name("dead")).await, []);
}

#[tokio::test]
async fn a_job_that_kills_its_workers_makes_a_letter_too() {
    let fixture = Fixture::start().await;
    letters_to(&fixture, "default", Some("dead")).await;
    let worker = WorkerId::new();
    let id = fixture.queued().await;
    fixture.endanger_all().await;
    fixture.claim_one(worker, id).await;
    let lives = fixture.running(worker).await;
    for id in [id, lives.id] {
        fixture.end_lease(id).await;
    }
    assert_eq!(fixture.expire(10, None).await.expect("expire").len(), 2);
    assert_eq!(fixture.record(id).await.state, State::Dead);
    let letters = line(&fixture, &name("dead")).await;
    let error = fixture.record(letters[0]).await.last_error.expect("an error");
    assert!(letters.len() == 1 && error.contains("its lease ran out"), "{error}");
}

/// A job can also die while it waits: when its time for retries is over. A job that expires is cancelled and makes no letter.
#[tokio::test]
async fn a_job_whose_time_for_retries_is_over_makes_a_letter_too() {
    let fixture = Fixture::start().await;
    letters_to(&fixture, "default", Some("dead")).await;
    let (over, expired) = (fixture.queued().await, fixture.queued().await);
    let past =
        |column: &str, id| format!("UPDATE leasehold.job SET {column} = now() - interval '1 second' WHERE id = '{id}'");
    fixture.sql(past("retry_until", over)).await;
    fixture.sql(past("expires_at", expired)).await;
    assert_eq!(fixture.lapse(10).await.expect("lapse").len(), 2);
    assert_eq!(
        (fixture.record(over).await.state, fixture.record(expired).await.state),
        (State::Dead, State::Cancelled)
    );
    let letters = line(&fixture, &name("dead")).await;
    let told = fixture.dead_letters(over).await.expect("dead letters");
    assert_eq!((letters.len(), told.len()), (1, 1), "{letters:?}");
    assert_eq!(letters[0], told[0].job);
}

/// Two queues that name each other, and a chain: a letter that dies makes no other one.
#[tokio::test]
async fn no_circle_of_queues_makes_letters_without_end() {
    let fixture = Fixture::start().await;
    letters_to(&fixture, "default", Some("dead")).await;
    letters_to(&fixture, "dead", Some("default")).await;
    let worker = WorkerId::new();
    let run = fixture.running(worker).await;
    fixture.settle_one(run, buried("first")).await;
    let letter = claim_first(&fixture, worker, &name("dead")).await;
    fixture.settle_one(letter, buried("second")).await;
    assert_eq!(fixture.live_jobs().await, 0);
    // Nor if somebody revives it.
    fixture.revive(&[letter.id]).await.expect("revive");
    let again = claim_first(&fixture, worker, &name("dead")).await;
    fixture.settle_one(again, buried("third")).await;
    assert_eq!(fixture.live_jobs().await, 0);
    // The job itself may die again, and makes a letter each time.
    fixture.revive(&[run.id]).await.expect("revive");
    let again = claim_first(&fixture, worker, &name("default")).await;
    fixture.settle_one(again, buried("fourth")).await;
    assert_eq!((fixture.live_jobs().await, fixture.dead_letters(run.id).await.expect("letters").len()), (1, 2));
    assert!(
        fixture
            .set_queue(&name("q"), &QueueChange { dead_letter: Some(Some(name("q"))), keep_days: None, fair: None })
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_letter_goes_by_the_priority_step_of_its_queue() {
    let fixture = Fixture::start().await;
    letters_to(&fixture, "default", Some("dead")).await;
    fixture.set_priority_step(&name("dead"), std::time::Duration::from_secs(60)).await.expect("a step");
    let job = NewJob { priority: 3, ..new_job() };
    fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
    let fence = fixture.claim_one(WorkerId::new(), job.id).await.fence;
    fixture.settle_one(fence, buried("no")).await;
    let line = fixture.front(&name("dead"), &Kinds::All, 10).await.expect("line");
    let letter = fixture.record(line.ids()[0]).await;
    assert_eq!(letter.run_at - line.hints[0].line_at.expect("a position"), TimeDelta::minutes(3));
}
