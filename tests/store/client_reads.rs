//! job, finished, explain, position: the queries of clients.

use crate::fixture::{Fixture, json, kind, name, new_job};
use leasehold_core::{JobId, NewJob, Settle, State, WorkerId};
use std::time::Duration;

#[tokio::test]
async fn an_unknown_id_has_no_job() {
    let fixture = Fixture::start().await;
    assert!(fixture.job(JobId::new()).await.expect("job").is_none());
}

#[tokio::test]
async fn finished_answers_only_final_states_and_results() {
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

/// All in one snapshot and by one clock: `run_at` and `as_of` can be compared, whatever the clock of this machine says.
#[tokio::test]
async fn a_job_to_explain_comes_with_the_time_of_the_database_and_the_pause_of_its_queue() {
    let fixture = Fixture::start().await;
    let job = NewJob { delay: Some(Duration::from_secs(3600)), ..new_job() };
    fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
    let moment = fixture.job_moment(job.id).await.expect("read").expect("there");
    assert!(moment.as_of >= moment.job.created_at && moment.as_of < moment.job.run_at, "{moment:?}");
    assert_eq!((moment.job.id, moment.job.state, moment.paused), (job.id, State::Scheduled, false));
    fixture.pause(&name("elsewhere")).await.expect("pause");
    assert!(!fixture.job_moment(job.id).await.expect("read").expect("there").paused, "another queue is paused");
    fixture.pause(&job.queue).await.expect("pause");
    fixture.cancel(&[job.id]).await.expect("cancel");
    let moment = fixture.job_moment(job.id).await.expect("read").expect("still there in history");
    assert_eq!((moment.job.state, moment.paused), (State::Cancelled, true));
    assert!(moment.job.finished_at.is_some_and(|at| at <= moment.as_of), "{moment:?}");
    assert!(fixture.job_moment(JobId::new()).await.expect("read").is_none());
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
    assert_eq!(fixture.position(jobs[4].id, 2).await.expect("position"), Some(2), "the count must stop at the limit");
    let running = fixture.running(WorkerId::new()).await;
    assert_eq!(fixture.position(running.id, 10).await.expect("position"), None);
    assert_eq!(fixture.position(JobId::new(), 10).await.expect("position"), None);
}
