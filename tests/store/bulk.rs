//! bulk_cancel, bulk_place, bulk_find, bulk_find_finished and bulk_count: the jobs of a filter, page by page.

use crate::fixture::{Fixture, LEASE, name, new_job};
use chrono::{DateTime, Utc};
use leasehold_core::{BulkFilter, JobId, NewJob, Place, Settle, State, WorkerId};
use leasehold_store::{Choice, Kinds, Page, just_before};
use sqlx::Connection;
use std::collections::BTreeSet;

const WAITING: &[State] = &[State::Blocked, State::Scheduled, State::Queued];
const LIVE: &[State] = &[State::Blocked, State::Scheduled, State::Queued, State::Running];

async fn now(fixture: &Fixture) -> DateTime<Utc> {
    fixture.uptime().await.expect("uptime").now
}

fn in_queue(queue: &str) -> BulkFilter {
    BulkFilter { queue: Some(name(queue)), ..BulkFilter::default() }
}

/// Jobs in a queue, by one statement.
async fn fill(fixture: &Fixture, queue: &str, count: u32) {
    fixture
        .sql(format!(
            "INSERT INTO leasehold.job (id, run_at, max_attempts, max_crashes, priority, queue, kind, payload, state)
             SELECT leasehold.new_id(), now(), 5, 3, 0, '{queue}', 'k', '1', 'queued' FROM generate_series(1, {count})"
        ))
        .await;
}

async fn live_in(fixture: &Fixture, queue: &str) -> i64 {
    fixture.number(format!("SELECT count(*) FROM leasehold.job WHERE queue = '{queue}'")).await
}

#[tokio::test]
async fn pages_of_any_size_visit_each_job_once_and_only_those_of_the_filter() {
    let fixture = Fixture::start().await;
    for _ in 0..4 {
        fill(&fixture, "q", 25).await;
        fill(&fixture, "other", 25).await;
    }
    let filter = in_queue("q");
    let choice = Choice { filter: &filter, states: WAITING, until: now(&fixture).await };
    let (mut after, mut visited, mut pages) = (None, BTreeSet::new(), 0);
    loop {
        let place = Place::Priority(5);
        let page = fixture.bulk_place(&choice, &place, after, 30).await.expect("a page");
        assert!(page.done.len() <= 30 && page.locked.is_empty());
        visited.extend(page.done.iter().map(|placed| placed.id));
        let Some((_, last)) = page.last else { break };
        (after, pages) = (Some(last), pages + 1);
    }
    assert_eq!((visited.len(), pages), (100, 7));
    let raised = "SELECT count(*) FROM leasehold.job WHERE priority = 5 AND queue = 'q' AND line_at = run_at - interval '5 hours'";
    assert_eq!(fixture.number(raised).await, 100);
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.job WHERE priority = 5").await, 100);
}

#[tokio::test]
async fn each_condition_counts() {
    let fixture = Fixture::start().await;
    let kind = |text: &str| text.parse().expect("a kind");
    let of = async |queue: &str, of: &str| {
        let job = NewJob { queue: name(queue), kind: kind(of), ..new_job() };
        fixture.enqueue(&[job]).await.expect("enqueue")[0].id
    };
    let (a, b, c) = (of("q", "k").await, of("q", "x").await, of("other", "k").await);
    fixture.sql(format!("UPDATE leasehold.job SET last_error = 'Connection REFUSED by host 7' WHERE id = '{a}'")).await;
    fixture.sql(format!("UPDATE leasehold.job SET created_at = now() - interval '2 hours' WHERE id = '{c}'")).await;
    let until = now(&fixture).await;
    let late = of("q", "k").await;
    let chosen = async |filter: BulkFilter, until: DateTime<Utc>, states: &[State]| {
        let page = fixture.bulk_find(&Choice { filter: &filter, states, until }, None, 100).await.expect("a page");
        page.done.into_iter().collect::<BTreeSet<JobId>>()
    };
    let set = |ids: &[JobId]| ids.iter().copied().collect::<BTreeSet<JobId>>();
    assert_eq!(chosen(in_queue("q"), until, WAITING).await, set(&[a, b]), "{late} came later");
    assert_eq!(chosen(in_queue("q"), until, &[State::Scheduled]).await, set(&[]));
    let by_kind = BulkFilter { kind: Some(kind("k")), ..BulkFilter::default() };
    assert_eq!(chosen(by_kind, until, WAITING).await, set(&[a, c]));
    let old = BulkFilter { kind: Some(kind("k")), ..BulkFilter::default() };
    assert_eq!(chosen(old, until - chrono::TimeDelta::hours(1), WAITING).await, set(&[c]));
    for (text, found) in [("connection refused", true), ("refused%7", true), ("timeout", false)] {
        let like = BulkFilter { error_like: Some(text.into()), ..BulkFilter::default() };
        assert_eq!(chosen(like, until, WAITING).await == set(&[a]), found, "{text}");
    }
}

#[tokio::test]
async fn a_cancel_ends_waiting_jobs_and_flags_running_ones() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let running = fixture.running(worker).await;
    let waiting = fixture.queued().await;
    let filter = in_queue("default");
    let choice = Choice { filter: &filter, states: LIVE, until: now(&fixture).await };
    let Page { done, .. } = fixture.bulk_cancel(&choice, None, 100).await.expect("a page");
    assert_eq!(done.len(), 2);
    let of = |id| done.iter().find(|job| job.id == id).expect("an answer");
    assert_eq!((of(running.id).state, of(running.id).running), (State::Running, Some((worker, running.epoch))));
    assert_eq!((of(waiting).state, of(waiting).running), (State::Cancelled, None));
    assert_eq!(fixture.record(waiting).await.state, State::Cancelled);
    assert!(fixture.record(running.id).await.cancel_requested_at.is_some());
    fixture.keeps_the_invariants().await;
}

/// A job that another session holds is skipped and named. The other jobs of the page do not wait.
#[tokio::test]
async fn a_locked_job_is_skipped_and_named() {
    let fixture = Fixture::start().await;
    let ids = [fixture.queued().await, fixture.queued().await, fixture.queued().await];
    let filter = in_queue("default");
    let choice = Choice { filter: &filter, states: WAITING, until: now(&fixture).await };
    let mut other = fixture.connection().await;
    let mut transaction = other.begin().await.expect("a transaction");
    sqlx::query("SELECT leasehold.cancel($1)").bind(ids[1].0).execute(&mut *transaction).await.expect("a lock");
    let place = Place::Queue(name("slow"));
    let page = fixture.bulk_place(&choice, &place, None, 100).await.expect("a page");
    assert_eq!((page.done.len(), &page.locked[..]), (2, &ids[1..2]));
    let again = fixture.bulk_place(&choice, &place, Some(just_before(ids[1])), 1).await.expect("the locked one");
    assert_eq!((again.done.len(), &again.locked[..]), (0, &ids[1..2]));
    transaction.rollback().await.expect("rollback");
    let again = fixture.bulk_place(&choice, &place, Some(just_before(ids[1])), 1).await.expect("the locked one");
    assert_eq!((again.done.len(), again.locked.len()), (1, 0));
    assert_eq!(live_in(&fixture, "slow").await, 3);
}

/// Claims run while the jobs of the filter are moved: each job is either claimed in its old queue or moved, never both.
#[tokio::test]
async fn jobs_that_are_claimed_meanwhile_stay() {
    let fixture = Fixture::start().await;
    fill(&fixture, "default", 600).await;
    let filter = in_queue("default");
    let choice = Choice { filter: &filter, states: WAITING, until: now(&fixture).await };
    let claim = async {
        let mut claimed = BTreeSet::new();
        loop {
            let jobs = fixture.claim_line(WorkerId::new(), &name("default"), &Kinds::All, 1, LEASE, true).await;
            let jobs = jobs.expect("claim_line");
            if jobs.is_empty() {
                return claimed;
            }
            claimed.extend(jobs.into_iter().map(|job| job.fence.id));
        }
    };
    let moving = async {
        let (mut after, mut moved) = (None, BTreeSet::new());
        loop {
            let place = Place::Queue(name("slow"));
            let page = fixture.bulk_place(&choice, &place, after, 30).await.expect("a page");
            moved.extend(page.done.into_iter().map(|placed| placed.id));
            let Some((_, last)) = page.last else { return moved };
            after = Some(last);
        }
    };
    let (claimed, moved) = tokio::join!(claim, moving);
    assert!(
        claimed.is_disjoint(&moved) && !claimed.is_empty() && !moved.is_empty(),
        "{} and {}",
        claimed.len(),
        moved.len()
    );
    assert_eq!(claimed.len() + moved.len(), 600);
    let waiting = "SELECT count(*) FROM leasehold.job WHERE queue = 'slow' AND state = 'queued'";
    assert_eq!(fixture.number(waiting).await, i64::try_from(moved.len()).expect("a count"));
    let running = "SELECT count(*) FROM leasehold.job WHERE queue = 'default' AND state = 'running'";
    assert_eq!(fixture.number(running).await, i64::try_from(claimed.len()).expect("a count"));
}

#[tokio::test]
async fn dead_jobs_are_found_in_pages_in_the_order_of_their_enqueue() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let mut dead = Vec::new();
    for nth in 0..7 {
        let run = fixture.running(worker).await;
        let settle = if nth == 3 { Settle::Complete(None) } else { Settle::Bury { error: format!("no {nth}") } };
        fixture.settle_one(run, settle).await;
        if nth != 3 {
            dead.push(run.id);
        }
    }
    // Partitions by the day of the end are not in the order of the enqueue.
    fixture
        .sql(format!(
            "UPDATE leasehold.history SET finished_at = finished_at + interval '1 day' WHERE id = '{}'",
            dead[0]
        ))
        .await;
    let filter = BulkFilter { error_like: Some("no".into()), ..BulkFilter::default() };
    let choice = Choice { filter: &filter, states: &[State::Dead], until: now(&fixture).await };
    let (mut after, mut found) = ((None, None), Vec::new());
    loop {
        let page = fixture.bulk_find_finished(&choice, after, 2).await.expect("a page");
        found.extend(page.done);
        let Some((at, id)) = page.last else { break };
        after = (at, Some(id));
    }
    assert_eq!(found, dead);
    let counts = fixture.bulk_count(&choice).await.expect("counts");
    assert_eq!(counts.iter().map(|count| (count.state, count.count)).collect::<Vec<_>>(), [(State::Dead, 6)]);
}

#[tokio::test]
async fn a_taken_unique_key_stops_no_other_revive() {
    let fixture = Fixture::start().await;
    let job = |key: Option<&str>| NewJob { unique_key: key.map(str::to_owned), ..new_job() };
    let (first, second, plain) = (job(Some("a")), job(Some("b")), job(None));
    let ids = [first.id, second.id, plain.id];
    fixture.enqueue(&[first, second, plain]).await.expect("enqueue");
    fixture.cancel(&ids).await.expect("cancel");
    fixture.enqueue(&[job(Some("a"))]).await.expect("enqueue");
    let revival = fixture.revive_free(&ids).await.expect("revive");
    let revived: BTreeSet<JobId> = revival.revived.iter().map(|job| job.id).collect();
    assert_eq!((revived, revival.taken, revival.locked.len()), (ids[1..].iter().copied().collect(), vec![ids[0]], 0));
    assert_eq!(fixture.record(ids[0]).await.state, State::Cancelled);
}
