//! Compares each verb's statement with the pure state machine. For every state, every event, every kind of stale fence,
//! and every budget up to three: afterwards the row is what [`Lifecycle::apply`] says, or it is unchanged.

use crate::fixture::{Fixture, LEASE, retry};
use leasehold_core::{
    Event, Fence, FinishedRun, JobId, JobRecord, Lifecycle, Refusal, Settle, Settled, State, WorkerId,
};
use leasehold_store::Kinds;
use std::{collections::HashMap, time::Duration};

/// The worker of running jobs, the worker that settled finished jobs, and the worker that claims.
struct Workers {
    running: WorkerId,
    before: WorkerId,
    claiming: WorkerId,
}

/// Every lifecycle that the CHECKs allow, with at most three attempts and two crashes.
fn lifecycles(worker: WorkerId) -> Vec<Lifecycle> {
    let mut all = Vec::new();
    for state in State::ALL {
        for (max_attempts, max_crashes) in [(1, 1), (2, 1), (3, 2)] {
            for attempt in 0..=max_attempts {
                for crashes in 0..=max_crashes {
                    for cancel_wanted in [false, true] {
                        let running = state == State::Running;
                        let job = Lifecycle {
                            id: JobId::new(),
                            state,
                            epoch: attempt + 1,
                            attempt,
                            max_attempts,
                            crashes,
                            max_crashes,
                            worker: running.then_some(worker),
                            cancel_wanted,
                        };
                        let live = !state.is_final();
                        let legal = (attempt < max_attempts || running || !live)
                            && (attempt > 0 || !running)
                            && (crashes < max_crashes || !live)
                            && (running || !cancel_wanted);
                        if legal {
                            all.push(job);
                        }
                    }
                }
            }
        }
    }
    all
}

/// The part of a row that decides about transitions. The worker in history is the one that settled, not one that runs.
fn read(record: &JobRecord) -> Lifecycle {
    Lifecycle {
        id: record.id,
        state: record.state,
        epoch: record.epoch,
        attempt: record.attempt,
        max_attempts: record.max_attempts,
        crashes: record.crashes,
        max_crashes: record.max_crashes,
        worker: record.worker.filter(|_| !record.state.is_final()),
        cancel_wanted: record.cancel_requested_at.is_some(),
    }
}

/// The fences that a write can name: the right one, and each kind of stale one.
fn fences(job: &Lifecycle, workers: &Workers) -> [Fence; 4] {
    let right = Fence { id: job.id, epoch: job.epoch, worker: workers.running };
    [
        right,
        Fence { epoch: job.epoch - 1, ..right },
        Fence { epoch: job.epoch + 1, ..right },
        Fence { worker: WorkerId::new(), ..right },
    ]
}

/// Sends one event for every job in as few calls as possible. Settles return answers.
async fn send(fixture: &Fixture, workers: &Workers, events: &[(JobId, Event)]) -> HashMap<JobId, Settled> {
    let ids: Vec<JobId> = events.iter().map(|(id, _)| *id).collect();
    let mut settles: HashMap<WorkerId, Vec<FinishedRun>> = HashMap::new();
    let mut settle =
        |fence: &Fence, settle| settles.entry(fence.worker).or_default().push(FinishedRun { fence: *fence, settle });
    let mut renewals: HashMap<WorkerId, Vec<Fence>> = HashMap::new();
    for (_, event) in events {
        match event {
            Event::Complete(fence) => settle(fence, Settle::Complete(None)),
            Event::Retry(fence) => settle(fence, retry()),
            Event::Snooze(fence) => settle(fence, Settle::Snooze { delay: Duration::ZERO, reason: None }),
            Event::Release(fence) => settle(fence, Settle::Release),
            Event::Bury(fence) => settle(fence, Settle::Bury { error: String::new() }),
            Event::CancelRun(fence) => settle(fence, Settle::Cancel),
            Event::Renew(fence) => renewals.entry(fence.worker).or_default().push(*fence),
            _ => {}
        }
    }
    for (worker, runs) in renewals {
        fixture.renew(worker, &runs, LEASE).await.expect("renew");
    }
    let mut answers = HashMap::new();
    for (worker, runs) in settles {
        let settled = fixture.settle(worker, &runs).await.expect("settle");
        answers.extend(runs.iter().map(|run| run.fence.id).zip(settled));
    }
    match events[0].1 {
        Event::Promote => drop(fixture.promote(10_000, None).await.expect("promote")),
        Event::Unblock => drop(fixture.unblock(&ids).await.expect("unblock")),
        Event::Claim(_) => claim_all(fixture, workers.claiming, &ids).await,
        Event::GiveUp => drop(fixture.lapse(10_000).await.expect("lapse")),
        Event::Expire => drop(fixture.expire(10_000, None).await.expect("expire")),
        Event::Cancel => drop(fixture.cancel(&ids).await.expect("cancel")),
        Event::Revive => drop(fixture.revive(&ids).await.expect("revive")),
        _ => {}
    }
    answers
}

/// Jobs in danger are claimed one at a time, so this needs several rounds.
async fn claim_all(fixture: &Fixture, worker: WorkerId, ids: &[JobId]) {
    while !fixture.claim(worker, ids, &Kinds::All, LEASE).await.expect("claim").is_empty() {
        fixture.make_runs_old().await;
    }
}

/// Sends one event for every lifecycle. `event` makes it from the fence that it names, if it names one.
async fn compare(event: impl Fn(Fence, &Workers) -> Event) {
    let fixture = Fixture::start().await;
    let workers = Workers { running: WorkerId::new(), before: WorkerId::new(), claiming: WorkerId::new() };
    let mut compared = 0;
    for which in 0..4 {
        let jobs = lifecycles(workers.running);
        fixture.write_rows(&jobs, workers.before).await;
        let events: Vec<(JobId, Event)> =
            jobs.iter().map(|job| (job.id, event(fences(job, &workers)[which], &workers))).collect();
        let answers = send(&fixture, &workers, &events).await;
        for (job, (_, event)) in jobs.iter().zip(&events) {
            let wanted = apply(*job, *event);
            let row = read(&fixture.record(job.id).await);
            let (live, finished) = fixture.rows_of(job.id).await;
            assert_eq!(live + finished, 1, "{job:?} after {event:?}");
            assert_eq!(row, wanted.unwrap_or(*job), "{job:?} after {event:?}, which is {wanted:?}");
            if let Some(answer) = answers.get(&job.id) {
                let expected = match wanted {
                    Ok(_) => Settled::Done,
                    Err(Refusal::CancelWanted) => Settled::CancelWanted,
                    Err(_) => Settled::LeaseLost,
                };
                assert_eq!(*answer, expected, "{job:?} after {event:?}, which is {wanted:?}");
            }
            compared += 1;
        }
        if !answers.is_empty() || matches!(events[0].1, Event::Renew(_)) {
            continue;
        }
        break;
    }
    assert!(compared >= 80, "{compared} pairs");
}

/// The store's revive also moves a scheduled job into the line immediately: an early promotion.
fn apply(job: Lifecycle, event: Event) -> Result<Lifecycle, Refusal> {
    match (job.state, event) {
        (State::Scheduled, Event::Revive) => job.apply(Event::Promote),
        _ => job.apply(event),
    }
}

macro_rules! verbs {
    ($($name:ident => $event:expr),* $(,)?) => {
        $(#[tokio::test]
        async fn $name() {
            compare($event).await;
        })*
    };
}

verbs! {
    promote => |_, _| Event::Promote,
    unblock => |_, _| Event::Unblock,
    claim => |_, workers| Event::Claim(workers.claiming),
    renew => |fence, _| Event::Renew(fence),
    complete => |fence, _| Event::Complete(fence),
    retry_ => |fence, _| Event::Retry(fence),
    snooze => |fence, _| Event::Snooze(fence),
    release => |fence, _| Event::Release(fence),
    expire => |_, _| Event::Expire,
    bury => |fence, _| Event::Bury(fence),
    cancel => |_, _| Event::Cancel,
    cancel_run => |fence, _| Event::CancelRun(fence),
    revive => |_, _| Event::Revive,
}
