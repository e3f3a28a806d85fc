//! Jobs run within their slots and their time, and their ends are written.

use crate::fixture::{Fixture, HEAD_MAX, SOON, handler, handlers, job, jobs, json, kind, settings, succeeded};
use leasehold_core::{JobId, NewJob, Outcome, QueueName, RESULT_MAX_BYTES, State};
use leasehold_ports::STRICT_PRIORITY_STEP;
use leasehold_tests::{eventually, hints};
use leasehold_worker::{Handlers, Settings};
use redis::AsyncTypedCommands;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::sync::{Semaphore, watch};

/// How many jobs run in each queue now, and the maximum so far.
#[derive(Clone, Default)]
struct Gauge(Arc<Mutex<HashMap<QueueName, (u32, u32)>>>);

impl Gauge {
    fn change(&self, queue: &QueueName, by: i32) {
        let mut gauges = self.0.lock().expect("no panic");
        let (now, most) = gauges.entry(queue.clone()).or_default();
        *now = now.checked_add_signed(by).expect("as many ends as beginnings");
        *most = (*most).max(*now);
    }

    fn read(&self, queue: &QueueName) -> (u32, u32) {
        self.0.lock().expect("no panic").get(queue).copied().unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_queue_runs_as_many_at_once_as_it_has_slots() {
    let fixture = Fixture::start().await;
    let queues: [QueueName; 2] = ["a".parse().expect("a name"), "b".parse().expect("a name")];
    let (gauge, (open, gate)) = (Gauge::default(), watch::channel(false));
    let handlers = {
        let gauge = gauge.clone();
        handlers("k", move |run| {
            let (gauge, mut gate) = (gauge.clone(), gate.clone());
            async move {
                gauge.change(&run.job().queue, 1);
                gate.wait_for(|open| *open).await.expect("the test opens the gate");
                gauge.change(&run.job().queue, -1);
                succeeded()
            }
        })
    };
    let settings = Settings { queues: vec![(queues[0].clone(), 3), (queues[1].clone(), 2)], ..settings(0) };
    let worker = fixture.worker(settings, handlers).await;
    let all: Vec<NewJob> = (0..60).map(|nth| NewJob { queue: queues[nth % 2].clone(), ..job("k") }).collect();
    let ids = fixture.enqueue(&all).await;
    eventually("all slots are in use", SOON, || async {
        let seen = (gauge.read(&queues[0]).0, gauge.read(&queues[1]).0);
        if seen == (3, 2) { Ok(()) } else { Err(seen) }
    })
    .await;
    open.send(true).expect("handlers wait at the gate");
    for id in ids {
        fixture.until(id, State::Succeeded).await;
    }
    assert_eq!((gauge.read(&queues[0]), gauge.read(&queues[1])), ((0, 3), (0, 2)));
    for queue in &queues {
        fixture.until_redis_is_empty(queue).await;
    }
    let tally = worker.stop().await;
    assert_eq!((tally.claimed, tally.succeeded, tally.hints_refused), (60, 60, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_flows_through_a_short_head() {
    let fixture = Fixture::start().await;
    let all = jobs("k", 500);
    fixture.store.enqueue(&all).await.expect("enqueueing");
    let ids: Vec<_> = all.iter().map(|job| job.id).collect();
    let queue = QueueName::default();
    let pushed = fixture.handoff.push(&queue, &hints(&ids)).await.expect("pushing");
    assert!(pushed.overflowed > 400, "{pushed:?}");
    // No reaper runs: the worker finds the head low and fills it.
    let worker = fixture.worker(settings(16), handlers("k", |_| async { succeeded() })).await;
    for id in &ids {
        fixture.until(*id, State::Succeeded).await;
    }
    fixture.until_redis_is_empty(&queue).await;
    assert_eq!(worker.stop().await.succeeded, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_line_is_long_a_worker_waits_for_the_bell() {
    let fixture = Fixture::start().await;
    let queue = QueueName::default();
    let mut redis = fixture.stores.redis.connect().await;
    // The line is longer than the head, and another process fills the head during the whole test.
    redis.hset("leasehold:{default}:flags", "overflow", 1).await.expect("HSET");
    redis.set("leasehold:{default}:fill", 1).await.expect("SET");
    let worker = fixture.worker(settings(4), handlers("k", |_| async { succeeded() })).await;
    fixture.until_a_worker_blocks_in("blpop").await;
    let jobs = jobs("k", 20);
    fixture.store.enqueue(&jobs).await.expect("enqueueing");
    let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
    fixture.handoff.fill(&queue, &hints(&ids[..10]), true, None).await.expect("a fill");
    for id in &ids[..10] {
        fixture.until(*id, State::Succeeded).await;
    }
    fixture.until_a_worker_blocks_in("blpop").await;
    fixture.handoff.fill(&queue, &hints(&ids[10..]), false, None).await.expect("the last fill");
    for id in &ids[10..] {
        fixture.until(*id, State::Succeeded).await;
    }
    fixture.until_a_worker_blocks_in("blmove").await;
    assert_eq!(worker.stop().await.succeeded, 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn prefetched_jobs_behind_long_jobs_go_to_a_free_worker() {
    let fixture = Fixture::start().await;
    let end = Arc::new(Semaphore::new(0));
    let waits_for_end = Arc::clone(&end);
    let first = fixture
        .worker(
            settings(2),
            handlers("k", move |run| {
                let end = Arc::clone(&waits_for_end);
                async move {
                    if run.job().payload.get() == "\"long\"" {
                        drop(end.acquire().await);
                    }
                    succeeded()
                }
            }),
        )
        .await;
    // So that the worker expects short jobs, and prefetches many.
    for id in fixture.enqueue(&jobs("k", 300)).await {
        fixture.until(id, State::Succeeded).await;
    }
    let long: Vec<_> = (0..20).map(|_| NewJob { payload: json("\"long\""), ..job("k") }).collect();
    let ids = fixture.enqueue(&long).await;
    let in_state = async |state| {
        let mut count = 0;
        for id in &ids {
            count += usize::from(fixture.job(*id).await.state == state);
        }
        count
    };
    eventually("all jobs without a slot are released", SOON, async || match in_state(State::Queued).await {
        18 => Ok(()),
        other => Err(other),
    })
    .await;
    let second = fixture.worker(settings(2), handlers("k", |_| async { succeeded() })).await;
    eventually("the free worker has run the other jobs", SOON, async || match in_state(State::Succeeded).await {
        18 => Ok(()),
        other => Err(other),
    })
    .await;
    end.add_permits(2);
    for id in &ids {
        let job = fixture.until(*id, State::Succeeded).await;
        assert_eq!(job.attempt, 1, "what was given back has its attempt again");
    }
    assert!(first.stop().await.released >= 1, "the first worker held none ahead: this shows nothing");
    assert_eq!(second.stop().await.succeeded, 18);
}

/// While PostgreSQL works on one claim, Redis hands out the hints for the next claim. If no slot becomes free for these
/// hints, other workers get them.
#[tokio::test(flavor = "multi_thread")]
async fn hints_that_were_taken_before_long_jobs_are_given_back() {
    let fixture = Fixture::start().await;
    let end = Arc::new(Semaphore::new(0));
    let waits_for_end = Arc::clone(&end);
    let handlers = handlers("k", move |run| {
        let end = Arc::clone(&waits_for_end);
        async move {
            if run.job().payload.get() == "\"long\"" {
                drop(end.acquire().await);
            }
            succeeded()
        }
    });
    let worker = fixture.worker(settings(2), handlers).await;
    // Short jobs before the long ones, so that the worker is between two claims when it reaches the long ones.
    let long = (0..1_000).map(|_| NewJob { payload: json("\"long\""), ..job("k") });
    let ids = fixture.enqueue(&jobs("k", 2_000).into_iter().chain(long).collect::<Vec<_>>()).await;
    eventually("all hints wait except the hints of the two runs", SOON, async || {
        let head = fixture.handoff.stats(&QueueName::default()).await.expect("stats");
        if (head.leased, head.ready) == (2, u64::from(HEAD_MAX)) { Ok(()) } else { Err(head) }
    })
    .await;
    end.add_permits(1_000);
    for id in ids {
        fixture.until(id, State::Succeeded).await;
    }
    let tally = worker.stop().await;
    assert_eq!((tally.succeeded, tally.leases_lost), (3_000, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_takes_too_long_is_stopped_and_fails() {
    let fixture = Fixture::start().await;
    let mut handlers = Handlers::new();
    handlers.insert(
        kind("listens"),
        handler(|run| async move {
            let reason = run.cancelled().await;
            Outcome::Failed(format!("stopped: {reason:?}"))
        }),
    );
    handlers.insert(kind("deaf"), handler(|_| std::future::pending()));
    let _worker = fixture.worker(settings(4), handlers).await;
    let timed = |kind| NewJob { timeout: Some(Duration::from_millis(200)), max_attempts: 1, ..job(kind) };
    let ids = fixture.enqueue(&[timed("listens"), timed("deaf")]).await;
    let listens = fixture.until(ids[0], State::Dead).await;
    assert_eq!(listens.last_error.as_deref(), Some("timed out after 200ms: stopped: TimedOut"));
    let deaf = fixture.until(ids[1], State::Dead).await;
    let error = deaf.last_error.expect("an error text");
    assert!(error.starts_with("timed out after 200ms; the handler did not stop"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_failure_with_its_message() {
    let fixture = Fixture::start().await;
    let panics = handlers("k", |run| async move {
        assert!(run.job().payload.get() == "1", "only one is {}", "good");
        succeeded()
    });
    let worker = fixture.worker(settings(2), panics).await;
    let bad = fixture.enqueue_one(NewJob { max_attempts: 1, ..job("k") }).await;
    let good = fixture.enqueue_one(NewJob { payload: json("1"), ..job("k") }).await;
    let bad = fixture.until(bad, State::Dead).await;
    assert_eq!(bad.last_error.as_deref(), Some("the handler panicked: only one is good"));
    assert_eq!(fixture.until(good, State::Succeeded).await.result.expect("a result").get(), "true");
    let tally = worker.stop().await;
    assert_eq!((tally.succeeded, tally.buried), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_retried_and_snoozes_spend_no_attempt() {
    let fixture = Fixture::start().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    let mut handlers = Handlers::new();
    handlers.insert(
        kind("fails"),
        handler(|run| async move {
            match run.job().attempt {
                1 => Outcome::Failed("not yet".to_owned()),
                _ => succeeded(),
            }
        }),
    );
    handlers.insert(
        kind("snoozes"),
        handler(|run| async move {
            match run.fence().epoch {
                1 => Outcome::Snoozed(Some(Duration::from_millis(20)), Some("too early".to_owned())),
                _ => succeeded(),
            }
        }),
    );
    handlers.insert(kind("hopeless"), handler(|_| async { Outcome::Hopeless("never".to_owned()) }));
    let worker = fixture.worker(settings(4), handlers).await;
    let ids = fixture.enqueue(&[job("fails"), job("snoozes"), job("hopeless")]).await;
    let failed = fixture.until(ids[0], State::Succeeded).await;
    assert_eq!((failed.attempt, failed.epoch), (2, 2));
    let snoozed = fixture.until(ids[1], State::Succeeded).await;
    assert_eq!((snoozed.attempt, snoozed.epoch), (1, 2));
    let hopeless = fixture.until(ids[2], State::Dead).await;
    assert_eq!((hopeless.attempt, hopeless.last_error.as_deref()), (1, Some("never")));
    let tally = worker.stop().await;
    assert_eq!((tally.succeeded, tally.retried, tally.snoozed, tally.buried), (2, 1, 1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_cannot_be_stored_does_not_delay_other_results() {
    let fixture = Fixture::start().await;
    let results = handlers("k", |run| async move {
        Outcome::Succeeded(Some(match run.job().payload.get() {
            "\"large\"" => json(&format!("\"{}\"", "x".repeat(RESULT_MAX_BYTES))),
            // Valid JSON, but nested deeper than PostgreSQL can parse.
            "\"deep\"" => json(&format!("{}{}", "[".repeat(200_000), "]".repeat(200_000))),
            _ => json("\"nul \\u0000\""),
        }))
    });
    let _worker = fixture.worker(settings(3), results).await;
    let with = |payload| NewJob { payload: json(payload), ..job("k") };
    let ids = fixture.enqueue(&[with("\"large\""), with("\"deep\""), with("\"nul\"")]).await;
    assert_eq!(fixture.until(ids[2], State::Succeeded).await.result.expect("a result").get(), "\"nul \\u0000\"");
    let large = fixture.until(ids[0], State::Dead).await.last_error.expect("an error text");
    assert!(large.contains("at most 1048576 are allowed"), "{large}");
    let deep = fixture.until(ids[1], State::Dead).await.last_error.expect("an error text");
    assert!(deep.starts_with("its result cannot be stored: "), "{deep}");
}

/// Notes the order in which the jobs of a queue with strict priorities begin.
async fn strict() -> (Fixture, Arc<Mutex<Vec<JobId>>>, Handlers) {
    let fixture = Fixture::start().await;
    fixture.store.set_priority_step(&QueueName::default(), STRICT_PRIORITY_STEP).await.expect("strict");
    let begun = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&begun);
    let handlers = handlers("k", move |run| {
        noted.lock().expect("a lock").push(run.job().fence.id);
        async { succeeded() }
    });
    (fixture, begun, handlers)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_slot_starts_the_jobs_of_a_strict_line_in_order() {
    let (fixture, begun, handlers) = strict().await;
    let jobs: Vec<NewJob> = (0..1000_i16).map(|nth| NewJob { priority: nth % 101 * 37 % 100, ..job("k") }).collect();
    fixture.enqueue(&jobs).await;
    let mut wanted: Vec<&NewJob> = jobs.iter().collect();
    wanted.sort_by_key(|job| (-job.priority, job.id));
    let _reaper = fixture.reaper(Duration::from_secs(30));
    let worker = fixture.worker(settings(1), handlers).await;
    for job in &jobs {
        fixture.until(job.id, State::Succeeded).await;
    }
    let begun = begun.lock().expect("a lock").clone();
    let wrong = begun.iter().zip(&wanted).filter(|(id, job)| **id != job.id).count();
    assert_eq!((begun.len(), wrong), (1000, 0), "jobs began out of order");
    worker.stop().await;
}

/// A worker holds nothing ahead that an urgent job would have to wait for.
#[tokio::test(flavor = "multi_thread")]
async fn an_urgent_job_of_a_strict_line_is_the_next_one_to_start() {
    let (fixture, begun, handlers) = strict().await;
    let _reaper = fixture.reaper(Duration::from_secs(30));
    let worker = fixture.worker(settings(1), handlers).await;
    // The worker knows by now that jobs of this kind take no time.
    for id in fixture.enqueue(&jobs("k", 100)).await {
        fixture.until(id, State::Succeeded).await;
    }
    let mut overtaken = Vec::new();
    for _ in 0..10 {
        let before = begun.lock().expect("a lock").len();
        fixture.enqueue(&jobs("k", 400)).await;
        while begun.lock().expect("a lock").len() < before + 20 {
            tokio::task::yield_now().await;
        }
        let urgent = fixture.enqueue_one(NewJob { priority: 100, ..job("k") }).await;
        // Its hint is in the head now.
        let known = begun.lock().expect("a lock").len();
        fixture.until(urgent, State::Succeeded).await;
        let begun = begun.lock().expect("a lock");
        let place = begun.iter().position(|id| *id == urgent).expect("it has begun");
        overtaken.push(place.saturating_sub(known));
    }
    // One may run, and one may be claimed at the moment at which the hint arrives.
    assert!(overtaken.iter().all(|before| *before <= 2), "jobs that began before an urgent one: {overtaken:?}");
    worker.stop_now.cancel();
}
