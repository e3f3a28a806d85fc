//! Operations: one server has one, a server that lost it changes nothing, and a page, its cursor and its counts are one.

use crate::fixture::Fixture;
use leasehold_core::{BulkAction, BulkFilter, State, WorkerId};
use leasehold_store::{NewOperation, OperationFence, OperationPage, PageEnd, PageOutcome, PageWork, TakenOperation};
use std::time::Duration;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(15);

async fn make(fixture: &Fixture) -> Uuid {
    let new = NewOperation { action: &BulkAction::Cancel, filter: "{}".into(), actor: "http", cursor: "0".into() };
    fixture.new_operation(&new).await.expect("an operation").expect("there is room")
}

async fn take(fixture: &Fixture) -> Option<TakenOperation> {
    fixture.take_operation(WorkerId(Uuid::now_v7()), LEASE).await.expect("a take")
}

async fn end_of_lease(fixture: &Fixture) {
    fixture.sql("UPDATE leasehold.operation SET lease_expires_at = now() - interval '1 ms'").await;
}

/// Cancels all jobs of the queue `q`.
async fn page(fixture: &Fixture, fence: OperationFence, cursor: &'static str) -> PageOutcome {
    let page = OperationPage {
        filter: BulkFilter { queue: Some("q".parse().expect("a name")), ..BulkFilter::default() },
        states: vec![State::Queued],
        until: chrono::Utc::now() + chrono::TimeDelta::minutes(1),
        work: PageWork::Cancel { after: None },
        limit: 100,
    };
    let end = move |_: &_| PageEnd { cursor: cursor.to_owned(), locked: Vec::new() };
    fixture.operation_page(fence, LEASE, page, end).await.expect("a page")
}

#[tokio::test]
async fn one_server_has_an_operation_until_its_lease_ends() {
    let fixture = Fixture::start().await;
    assert!(take(&fixture).await.is_none(), "there is nothing to do");
    // The ids of one millisecond are in no order.
    let mut made = [make(&fixture).await, make(&fixture).await];
    made.sort_unstable();
    let [first, second] = made;
    assert_eq!(take(&fixture).await.map(|taken| taken.fence.id), Some(first), "the oldest one");
    assert_eq!(take(&fixture).await.map(|taken| taken.fence.id), Some(second));
    assert!(take(&fixture).await.is_none(), "both have a server");
    end_of_lease(&fixture).await;
    let again = take(&fixture).await.expect("the lease is over");
    assert_eq!((again.fence.id, again.fence.epoch), (first, 2));
    assert!(fixture.end_operation(again.fence, "waiting", None).await.expect("given back"));
    assert_eq!(take(&fixture).await.map(|taken| taken.fence.epoch), Some(3), "at once");
}

/// A server that was thought dead changes no job and writes nothing, and a page is counted with its cursor.
#[tokio::test]
async fn a_server_that_lost_an_operation_changes_nothing() {
    let fixture = Fixture::start().await;
    fixture.sql("SELECT leasehold.enqueue('k', '{}', queue => 'q') FROM generate_series(1, 3)").await;
    let id = make(&fixture).await;
    let old = take(&fixture).await.expect("an operation").fence;
    end_of_lease(&fixture).await;
    let new = take(&fixture).await.expect("the operation again").fence;
    assert!(matches!(page(&fixture, old, "1").await, PageOutcome::Lost));
    assert!(!fixture.count_operation(old, 9, LEASE).await.expect("no count"));
    assert!(!fixture.end_operation(old, "done", None).await.expect("no end"));
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.job").await, 3, "nothing was cancelled");
    let PageOutcome::Done(done) = page(&fixture, new, "1").await else { panic!("the operation is its own") };
    assert_eq!(done.cancelled.len(), 3);
    let shown = fixture.operations(Some(id), 1).await.expect("operations").remove(0);
    assert_eq!((shown.changed, shown.state.as_str()), (3, "running"));
    assert_eq!(fixture.number("SELECT count(*) FROM leasehold.operation WHERE cursor::text = '1'").await, 1);

    assert!(fixture.cancel_operation(id).await.expect("a cancel"));
    assert!(matches!(page(&fixture, new, "2").await, PageOutcome::CancelWanted));
    assert!(fixture.end_operation(new, "cancelled", None).await.expect("the end"));
    assert!(matches!(page(&fixture, new, "2").await, PageOutcome::Lost), "it has ended");
    assert!(!fixture.cancel_operation(id).await.expect("no cancel"), "it has ended");
    assert!(take(&fixture).await.is_none());
}

#[tokio::test]
async fn an_operation_that_nobody_works_on_is_cancelled_at_once_and_old_ones_are_forgotten() {
    let fixture = Fixture::start().await;
    let id = make(&fixture).await;
    assert!(fixture.cancel_operation(id).await.expect("a cancel"));
    assert_eq!(fixture.operations(Some(id), 1).await.expect("operations")[0].state, "cancelled");
    assert!(take(&fixture).await.is_none());
    make(&fixture).await;
    assert_eq!(fixture.trim_operations(10).await.expect("a trim"), 0, "neither is old");
    fixture
        .sql("UPDATE leasehold.operation SET finished_at = now() - interval '15 days' WHERE finished_at IS NOT NULL")
        .await;
    assert_eq!(fixture.trim_operations(10).await.expect("a trim"), 1);
    for _ in 0..99 {
        make(&fixture).await;
    }
    let new = NewOperation { action: &BulkAction::Cancel, filter: "{}".into(), actor: "http", cursor: "0".into() };
    assert_eq!(fixture.new_operation(&new).await.expect("no room"), None);
}
