//! job, jobs, finished, position: what people and clients read.

use crate::fixture::{Fixture, json, kind, name, new_job, retry};
use leasehold_core::{JobId, NewJob, Settle, State, WorkerId};
use leasehold_store::JobFilter;

#[tokio::test]
async fn a_job_of_no_id_is_none() {
    let fixture = Fixture::start().await;
    assert!(fixture.job(JobId::new()).await.expect("job").is_none());
}

#[tokio::test]
async fn jobs_pages_through_both_tables_by_id() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let mut ids = Vec::new();
    for nth in 0..25 {
        let fence = fixture.running(worker).await;
        ids.push(fence.id);
        match nth % 5 {
            0 => drop(fixture.settle_one(fence, Settle::Complete(None)).await),
            1 => drop(fixture.settle_one(fence, Settle::Bury { error: "no".into() }).await),
            2 => drop(fixture.settle_one(fence, retry()).await),
            _ => {}
        }
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut filter = JobFilter { limit: 10, ..JobFilter::default() };
    loop {
        let page = fixture.jobs(&filter).await.expect("jobs");
        seen.extend(page.iter().map(|job| job.id));
        match page.last() {
            Some(last) => filter.before = Some(last.id),
            None => break,
        }
    }
    assert_eq!(seen, ids);
    for (state, count) in
        [(State::Succeeded, 5), (State::Dead, 5), (State::Scheduled, 5), (State::Running, 10), (State::Queued, 0)]
    {
        let page =
            fixture.jobs(&JobFilter { state: Some(state), limit: 100, ..JobFilter::default() }).await.expect("jobs");
        assert_eq!(page.len(), count, "{state}");
        assert!(page.iter().all(|job| job.state == state) && page.is_sorted_by(|one, next| one.id > next.id));
    }
}

#[tokio::test]
async fn jobs_by_queue_kind_and_state_together() {
    let fixture = Fixture::start().await;
    for (queue, of) in [("a", "x"), ("a", "y"), ("b", "x")] {
        fixture.enqueue(&[NewJob { queue: name(queue), kind: kind(of), ..new_job() }]).await.expect("enqueue");
    }
    let count = async |queue: Option<&str>, of: Option<&str>, state| {
        let filter = JobFilter { queue: queue.map(name), kind: of.map(kind), state, before: None, limit: 100 };
        fixture.jobs(&filter).await.expect("jobs").len()
    };
    assert_eq!(count(Some("a"), None, None).await, 2);
    assert_eq!(count(None, Some("x"), None).await, 2);
    assert_eq!(count(Some("a"), Some("x"), Some(State::Queued)).await, 1);
    assert_eq!(count(Some("a"), Some("x"), Some(State::Dead)).await, 0);
}

#[tokio::test]
async fn finished_tells_ends_and_results_only() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let (live, done, dead) = (fixture.queued().await, fixture.running(worker).await, fixture.running(worker).await);
    fixture.settle_one(done, Settle::Complete(Some(json("[1, 2]")))).await;
    fixture.settle_one(dead, Settle::Bury { error: "no".into() }).await;
    let mut finished = fixture.finished(&[dead.id, live, done.id, JobId::new()]).await.expect("finished");
    finished.sort_by_key(|job| job.id);
    assert_eq!(finished.len(), 2);
    assert_eq!(
        (finished[0].state, finished[0].result.as_deref().map(|json| json.get())),
        (State::Succeeded, Some("[1, 2]"))
    );
    assert_eq!((finished[1].state, finished[1].last_error.as_deref()), (State::Dead, Some("no")));
}

#[tokio::test]
async fn position_counts_the_line_of_all_kinds_up_to_a_limit() {
    let fixture = Fixture::start().await;
    let job = |of: &str, priority| NewJob { kind: kind(of), priority, ..new_job() };
    let jobs = [job("a", 0), job("b", 0), job("a", 5), job("c", 0), job("c", -5)];
    for job in &jobs {
        fixture.enqueue(std::slice::from_ref(job)).await.expect("enqueue");
    }
    fixture.enqueue(&[NewJob { queue: name("elsewhere"), priority: 50, ..new_job() }]).await.expect("enqueue");
    let mut positions = Vec::new();
    for job in &jobs {
        positions.push(fixture.position(job.id, 100).await.expect("position"));
    }
    assert_eq!(positions, [Some(1), Some(2), Some(0), Some(3), Some(4)]);
    assert_eq!(fixture.position(jobs[4].id, 2).await.expect("position"), Some(2), "counted up to the limit");
    let running = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.position(running.id, 10).await.expect("position"), None);
    assert_eq!(fixture.position(JobId::new(), 10).await.expect("position"), None);
}
