//! jobs: the query of operators.

use crate::fixture::{Fixture, kind, name, new_job, retry};
use leasehold_core::{JobId, NewJob, Settle, State, WorkerId};
use leasehold_store::JobFilter;

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

/// An id that is not made from a clock, like the ids of `each`.
fn hashed(nth: u128) -> JobId {
    let mixed = (nth + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    JobId(uuid::Builder::from_u128(mixed).with_version(uuid::Version::Custom).into_uuid())
}

/// Pages of every size give the rows of the view in order.
#[tokio::test]
async fn jobs_are_newest_first_whatever_their_ids() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    for nth in 0..60_u128 {
        let id = if nth % 3 == 0 { JobId::new() } else { hashed(nth) };
        let job = NewJob { id, id_may_exist: true, queue: name(if nth % 5 == 0 { "a" } else { "b" }), ..new_job() };
        fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
        if nth % 4 < 2 {
            let fence = fixture.claim_one(worker, id).await.fence;
            let end = if nth % 4 == 0 { Settle::Complete(None) } else { Settle::Bury { error: "no".into() } };
            fixture.settle_one(fence, end).await;
        }
    }
    // Clients whose clocks are wrong by a little and by a lot, and a transaction that inserted many jobs at the same
    // time.
    let (early, late) = (chrono::TimeDelta::milliseconds(1500), chrono::TimeDelta::hours(5));
    for shift in [early, -early, late, -late] {
        let millis = (chrono::Utc::now() + shift).timestamp_millis() as u64;
        let id = JobId(uuid::Builder::from_unix_timestamp_millis(millis, &[7; 10]).into_uuid());
        fixture.enqueue(&[NewJob { id, id_may_exist: true, ..new_job() }]).await.expect("enqueue");
    }
    fixture
        .sql("BEGIN; SELECT leasehold.enqueue('k', '1', queue => 'a') FROM generate_series(1, 20);
              SELECT leasehold.enqueue('k', '1', queue => 'a', id => gen_random_uuid()) FROM generate_series(1, 20); COMMIT")
        .await;
    for (filter, condition) in [
        (JobFilter::default(), "true"),
        (JobFilter { queue: Some(name("a")), ..JobFilter::default() }, "queue = 'a'"),
        (JobFilter { queue: Some(name("none")), ..JobFilter::default() }, "false"),
        (JobFilter { state: Some(State::Dead), ..JobFilter::default() }, "state = 'dead'"),
        (JobFilter { state: Some(State::Cancelled), ..JobFilter::default() }, "state = 'cancelled'"),
        (JobFilter { state: Some(State::Succeeded), ..JobFilter::default() }, "state = 'succeeded'"),
        (
            JobFilter {
                state: Some(State::Queued),
                queue: Some(name("b")),
                kind: Some(kind("k")),
                ..JobFilter::default()
            },
            "state = 'queued' AND queue = 'b'",
        ),
    ] {
        let query = format!("SELECT id FROM leasehold.jobs WHERE {condition} ORDER BY created_at DESC, id DESC");
        let wanted: Vec<uuid::Uuid> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_all(fixture.pool()).await.expect("ids");
        for limit in [1, 3, 7, 50, 1000] {
            let mut seen = Vec::new();
            let mut filter = JobFilter { limit, before: None, ..filter.clone() };
            loop {
                let page = fixture.jobs(&filter).await.expect("jobs");
                seen.extend(page.iter().map(|job| job.id.0));
                match page.last() {
                    Some(last) if page.len() == usize::try_from(limit).expect("small") => filter.before = Some(last.id),
                    _ => break,
                }
            }
            assert_eq!(seen, wanted, "{condition}, {limit} a page");
        }
    }
}

/// Without the flag, the indexes would compute the function at each insert. With a wrong flag, a list would miss the job.
#[tokio::test]
async fn a_job_keeps_whether_its_id_holds_the_time_of_its_enqueue() {
    let fixture = Fixture::start().await;
    // Jobs with and without a unique key are inserted by two statements.
    for has_key in [false, true] {
        let keyed = |id| NewJob { id, unique_key: has_key.then(|| id.to_string()), ..new_job() };
        for id in [JobId::new(), hashed(u128::from(has_key))] {
            fixture.enqueue(&[keyed(id)]).await.expect("enqueue");
            let ended = keyed(JobId::new());
            fixture.enqueue(std::slice::from_ref(&ended)).await.expect("enqueue");
            let fence = fixture.claim_one(WorkerId::new(), ended.id).await.fence;
            fixture.settle_one(fence, Settle::Complete(None)).await;
        }
    }
    let of = async |table: &str| {
        let rows = format!(
            "SELECT count(*) FILTER (WHERE on_clock), count(*) FILTER (WHERE on_clock = leasehold.is_off_clock(id, created_at)),
                    count(*) FROM leasehold.{table}"
        );
        sqlx::query_as::<_, (i64, i64, i64)>(sqlx::AssertSqlSafe(rows)).fetch_one(fixture.pool()).await.expect("flags")
    };
    assert_eq!((of("job").await, of("history").await), ((2, 0, 4), (4, 0, 4)));
    fixture
        .revive(&[JobId(
            sqlx::query_scalar("SELECT id FROM leasehold.history LIMIT 1")
                .fetch_one(fixture.pool())
                .await
                .expect("an id"),
        )])
        .await
        .expect("revive");
    assert_eq!((of("job").await, of("history").await), ((3, 0, 5), (3, 0, 3)));
}

/// The last job of a page may be gone when the next page is requested.
#[tokio::test]
async fn the_next_page_starts_after_a_job_that_is_gone() {
    let fixture = Fixture::start().await;
    let ids = [fixture.queued().await, fixture.queued().await, fixture.queued().await];
    fixture.sql(format!("DELETE FROM leasehold.job WHERE id = '{}'", ids[1])).await;
    let after = async |id| {
        let filter = JobFilter { before: Some(id), limit: 10, ..JobFilter::default() };
        fixture.jobs(&filter).await.expect("jobs").iter().map(|job| job.id).collect::<Vec<_>>()
    };
    assert_eq!(after(ids[1]).await, [ids[0]]);
    assert_eq!(after(hashed(1)).await, [], "the time of such an id is unknown");
}

#[tokio::test]
async fn jobs_by_queue_kind_and_state_together() {
    let fixture = Fixture::start().await;
    for (queue, of) in [("a", "x"), ("a", "y"), ("b", "x")] {
        fixture.enqueue(&[NewJob { queue: name(queue), kind: kind(of), ..new_job() }]).await.expect("enqueue");
    }
    let count = async |queue: Option<&str>, of: Option<&str>, state| {
        let filter =
            JobFilter { queue: queue.map(name), kind: of.map(kind), state, limit: 100, ..JobFilter::default() };
        fixture.jobs(&filter).await.expect("jobs").len()
    };
    assert_eq!(count(Some("a"), None, None).await, 2);
    assert_eq!(count(None, Some("x"), None).await, 2);
    assert_eq!(count(Some("a"), Some("x"), Some(State::Queued)).await, 1);
    assert_eq!(count(Some("a"), Some("x"), Some(State::Dead)).await, 0);
}
