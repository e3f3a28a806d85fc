//! enqueue: each job exists once, no matter how often it is sent.

use crate::fixture::{Fixture, concurrently, json, kind, name, neutral, new_job};
use leasehold_core::{NewJob, Settle, State, WorkerId};
use leasehold_ports::Class;
use std::{slice::from_ref, time::Duration};

fn again(job: &NewJob) -> NewJob {
    NewJob { id_may_exist: true, ..job.clone() }
}

#[tokio::test]
async fn keeps_every_field_unchanged() {
    let fixture = Fixture::start().await;
    let mut job = new_job();
    job.queue = name("tenant:7/low");
    job.kind = kind("Resize.v2");
    job.payload = json(r#"{"b": 1.50,  "a":"\u0000ä\ud800"}"#);
    job.priority = -7;
    job.max_attempts = 9;
    job.max_crashes = 2;
    job.timeout = Some(Duration::from_millis(2500));
    job.unique_key = Some("unique".into());
    job.limit_keys = vec!["limit".into()];
    let answer = fixture.enqueue(from_ref(&job)).await.expect("enqueue");
    assert_eq!((answer[0].id, answer[0].inserted, answer[0].state), (job.id, true, State::Queued));
    let record = fixture.record(job.id).await;
    assert_eq!((record.queue.as_str(), record.kind.as_str()), ("tenant:7/low", "Resize.v2"));
    assert_eq!(record.payload.get(), job.payload.get());
    assert_eq!((record.priority, record.max_attempts, record.max_crashes, record.timeout_ms), (-7, 9, 2, Some(2500)));
    assert_eq!((record.unique_key.as_deref(), record.limit_key.as_deref()), (Some("unique"), Some("limit")));
    assert_eq!((record.attempt, record.crashes, record.epoch, record.worker), (0, 0, 0, None));
    assert_eq!(record.created_at, record.run_at);
}

#[tokio::test]
async fn waits_for_its_time_by_the_clock_of_the_database() {
    let fixture = Fixture::start().await;
    let at = |seconds| Some(chrono::Utc::now() + chrono::TimeDelta::seconds(seconds));
    let jobs = [
        NewJob { delay: Some(Duration::from_secs(60)), ..new_job() },
        NewJob { run_at: at(60), ..new_job() },
        NewJob { run_at: at(-60), delay: Some(Duration::from_secs(60)), ..new_job() },
        NewJob { delay: Some(Duration::ZERO), ..new_job() },
        NewJob { delay: Some(leasehold_core::DELAY_MAX), ..new_job() },
    ];
    for jobs in [
        jobs.to_vec(),
        jobs.iter().map(|job| NewJob { id_may_exist: true, ..NewJob { id: new_job().id, ..job.clone() } }).collect(),
    ] {
        let states: Vec<State> = fixture.enqueue(&jobs).await.expect("enqueue").iter().map(|job| job.state).collect();
        assert_eq!(states, [State::Scheduled, State::Scheduled, State::Queued, State::Queued, State::Scheduled]);
        let record = fixture.record(jobs[0].id).await;
        assert_eq!(record.run_at - record.created_at, chrono::TimeDelta::seconds(60));
    }
}

#[tokio::test]
async fn a_bad_job_makes_the_whole_call_fail_and_change_nothing() {
    let fixture = Fixture::start().await;
    let bad = NewJob { priority: 101, max_attempts: 0, ..new_job() };
    let problems = bad.validate().expect_err("two problems");
    let refused = neutral(fixture.enqueue(&[new_job(), bad]).await.expect_err("a bad job"));
    assert_eq!((problems.0.len(), refused.class), (2, Class::Invalid), "{refused}");
    assert_eq!(refused.to_string(), problems.to_string());
    assert_eq!(fixture.live_jobs().await, 0);
}

#[tokio::test]
async fn answers_in_order_across_batches_and_duplicates() {
    let fixture = Fixture::start().await;
    let mut jobs: Vec<NewJob> = (0..1200).map(|_| new_job()).collect();
    jobs.reverse();
    jobs.insert(700, jobs[3].clone());
    jobs.insert(10, jobs[5].clone());
    let answers = fixture.enqueue(&jobs).await.expect("enqueue");
    assert!(jobs.iter().zip(&answers).all(|(job, answer)| job.id == answer.id));
    assert_eq!(answers.iter().filter(|answer| answer.inserted).count(), 1200);
    assert!(!answers[10].inserted && !answers[701].inserted);
}

#[tokio::test]
async fn a_job_that_is_sent_again_is_the_same_job_live_or_finished() {
    let fixture = Fixture::start().await;
    let job = new_job();
    fixture.enqueue(from_ref(&job)).await.expect("enqueue");
    for sent in [job.clone(), again(&job)] {
        let answer = fixture.enqueue(&[sent]).await.expect("enqueue")[0].clone();
        assert_eq!((answer.id, answer.inserted, answer.state), (job.id, false, State::Queued));
    }
    let fence = fixture.claim_one(WorkerId::new(), job.id).await.fence;
    assert_eq!(fixture.enqueue(&[again(&job)]).await.expect("enqueue")[0].state, State::Running);
    fixture.settle_one(fence, Settle::Complete(None)).await;
    let answer = fixture.enqueue(&[again(&job)]).await.expect("enqueue")[0].clone();
    assert_eq!((answer.inserted, answer.state), (false, State::Succeeded));
}

#[tokio::test]
async fn a_live_unique_key_names_one_job() {
    let fixture = Fixture::start().await;
    let job = || NewJob { unique_key: Some("key".into()), ..new_job() };
    let (first, second, third) = (job(), job(), job());
    let answers = fixture.enqueue(&[first.clone(), second, new_job()]).await.expect("enqueue");
    assert_eq!((answers[1].id, answers[1].inserted), (first.id, false));
    assert!(answers[2].inserted);
    fixture.cancel(&[first.id]).await.expect("cancel");
    assert!(fixture.enqueue(from_ref(&third)).await.expect("enqueue")[0].inserted, "the key must be free again");
}

#[tokio::test]
async fn the_same_id_in_fifty_concurrent_calls() {
    let fixture = Fixture::with_connections(50).await;
    for round in 0..10 {
        let job = new_job();
        let sent = [job.clone(), again(&job)];
        let answers = concurrently((0..50).map(|nth| fixture.enqueue(from_ref(&sent[nth % 2])))).await;
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("no error").remove(0)).collect();
        assert!(answers.iter().all(|answer| answer.id == job.id && answer.state == State::Queued), "round {round}");
        assert_eq!(answers.iter().filter(|answer| answer.inserted).count(), 1, "round {round}");
    }
    assert_eq!(fixture.live_jobs().await, 10);
}

#[tokio::test]
async fn the_same_unique_key_in_fifty_concurrent_calls() {
    let fixture = Fixture::with_connections(50).await;
    for round in 0..10 {
        let jobs: Vec<NewJob> = (0..50)
            .map(|nth| NewJob { unique_key: Some(format!("key {round}")), id_may_exist: nth % 2 == 0, ..new_job() })
            .collect();
        let answers = concurrently(jobs.iter().map(|job| fixture.enqueue(from_ref(job)))).await;
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.expect("no error").remove(0)).collect();
        assert!(answers.iter().all(|answer| answer.id == answers[0].id), "round {round}");
        assert_eq!(answers.iter().filter(|answer| answer.inserted).count(), 1, "round {round}");
    }
}

/// Batches with the same unique keys in opposite order. The statement sorts the keys, so no deadlock is possible.
#[tokio::test]
async fn the_same_keys_in_opposite_order_concurrently() {
    let fixture = Fixture::with_connections(10).await;
    for round in 0..20 {
        let batch = |reverse: bool| {
            let mut jobs: Vec<NewJob> =
                (0..30).map(|nth| NewJob { unique_key: Some(format!("{round}/{nth}")), ..new_job() }).collect();
            if reverse {
                jobs.reverse();
            }
            jobs
        };
        let batches: Vec<Vec<NewJob>> = (0..10).map(|nth| batch(nth % 2 == 0)).collect();
        let answers = concurrently(batches.iter().map(|batch| fixture.enqueue(batch))).await;
        let inserted =
            answers.into_iter().flat_map(|answer| answer.expect("no error")).filter(|job| job.inserted).count();
        assert_eq!(inserted, 30, "round {round}");
    }
}

/// A job finishes while it is sent again. It must not run a second time.
#[tokio::test]
async fn a_job_that_is_sent_again_while_it_finishes() {
    let fixture = Fixture::with_connections(10).await;
    for round in 0..80 {
        let job = NewJob { unique_key: (round % 2 == 0).then(|| format!("key {round}")), ..new_job() };
        fixture.enqueue(from_ref(&job)).await.expect("enqueue");
        let fence = fixture.claim_one(WorkerId::new(), job.id).await.fence;
        let sent = again(&job);
        let (answers, settled) = tokio::join!(
            concurrently((0..4).map(|_| fixture.enqueue(from_ref(&sent)))),
            fixture.settle_one(fence, Settle::Complete(None))
        );
        for answer in answers {
            let answer = answer.expect("no error").remove(0);
            assert!(
                !answer.inserted && matches!(answer.state, State::Running | State::Succeeded),
                "{answer:?} {settled:?}"
            );
        }
        assert_eq!(fixture.rows_of(job.id).await, (0, 1));
    }
    fixture.keeps_the_invariants().await;
}
