//! Jobs that depend on other jobs, on a server: locks of other sessions, open transactions, SQL, and what is kept of edges.

use crate::{
    fixture::{Fixture, new_job},
    graphs::child_of,
};
use leasehold_core::{GRAPH_MAX_JOBS, JobId, NewJob, ParentFailure, Settle, Settled, State, WorkerId};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use std::time::{Duration, Instant};

const DAY: Duration = Duration::from_secs(86_400);

async fn run(connection: &mut PgConnection, script: String) {
    let done = connection.execute(AssertSqlSafe(script.clone())).await;
    done.unwrap_or_else(|error| panic!("{script}: {error}"));
}

#[tokio::test]
async fn a_locked_child_does_not_hold_up_the_settle_of_its_parent() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    for end in [Settle::Complete(None), Settle::Bury { error: "no".into() }] {
        let fence = fixture.running(worker).await;
        let child = fixture.child(&[fence.id], ParentFailure::Cancel).await;
        let mut other = fixture.connection().await;
        run(&mut other, format!("BEGIN; SELECT FROM leasehold.job WHERE id = '{child}' FOR UPDATE")).await;
        let begun = Instant::now();
        assert_eq!(fixture.settle_one(fence, end.clone()).await, Settled::Done);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(fixture.state(child).await, State::Blocked);

        // A reaper meets the same lock, and tries again later.
        let now = fixture.uptime().await.expect("uptime").now;
        assert!(fixture.tell_children(500, now).await.expect("tell_children").is_empty());
        assert!(fixture.uptime().await.expect("uptime").has_ended_parents);
        run(&mut other, "COMMIT".into()).await;
        fixture.tell_all().await;
        let after = if matches!(end, Settle::Complete(_)) { State::Queued } else { State::Cancelled };
        assert_eq!(fixture.state(child).await, after);
    }
    fixture.keeps_the_invariants().await;
}

/// A transaction of a user cancels one parent and stays open: its lock on the counter delays no other parent.
#[tokio::test]
async fn an_open_cancel_of_one_parent_does_not_hold_up_the_settles_of_the_others() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let parents = [fixture.running(worker).await, fixture.running(worker).await];
    let waiting = fixture.queued().await;
    let ids: Vec<JobId> = parents.iter().map(|fence| fence.id).chain([waiting]).collect();
    let child = fixture.child(&ids, ParentFailure::Run).await;
    let mut other = fixture.connection().await;
    run(&mut other, format!("BEGIN; SELECT leasehold.cancel('{waiting}')")).await;
    for fence in parents {
        let begun = Instant::now();
        assert_eq!(fixture.settle_one(fence, Settle::Complete(None)).await, Settled::Done);
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }
    run(&mut other, "COMMIT".into()).await;
    fixture.tell_all().await;
    assert_eq!(fixture.state(child).await, State::Queued);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_cancel_with_one_snapshot_leaves_the_children_to_a_reaper() {
    let fixture = Fixture::start().await;
    let parent = fixture.queued().await;
    let child = fixture.child(&[parent], ParentFailure::Cancel).await;
    let mut other = fixture.connection().await;
    run(&mut other, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM leasehold.job".into()).await;
    let late = fixture.child(&[parent], ParentFailure::Cancel).await;
    run(&mut other, format!("SELECT leasehold.cancel('{parent}'); COMMIT")).await;
    assert_eq!(fixture.state(child).await, State::Blocked);
    fixture.tell_all().await;
    assert_eq!((fixture.state(child).await, fixture.state(late).await), (State::Cancelled, State::Cancelled));
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn transactions_that_enqueue_children_of_one_job_do_not_wait_for_each_other() {
    let fixture = Fixture::start().await;
    let parent = fixture.queued().await;
    fixture.child(&[parent], ParentFailure::Cancel).await;
    let enqueue = format!(
        "SET lock_timeout = '5s'; BEGIN; SELECT leasehold.enqueue('k', '1'::json, depends_on => ARRAY['{parent}']::uuid[])"
    );
    let (mut first, mut second) = (fixture.connection().await, fixture.connection().await);
    run(&mut first, enqueue.clone()).await;
    run(&mut second, enqueue).await;
    run(&mut first, "ROLLBACK".into()).await;
    run(&mut second, "COMMIT".into()).await;
    let mut unblocked = fixture.ends(parent, Settle::Complete(None)).await;
    unblocked.dedup();
    assert_eq!(unblocked.len(), 2);
    fixture.keeps_the_invariants().await;
}

/// A transaction has enqueued a child and has not committed: the end of the parent waits for it, or gets the answer to try
/// again.
#[tokio::test]
async fn the_end_of_a_parent_waits_for_a_child_that_is_not_committed_yet() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    let fence = fixture.running(worker).await;
    fixture.child(&[fence.id], ParentFailure::Run).await;
    let mut other = fixture.connection().await;
    run(
        &mut other,
        format!("BEGIN; SELECT leasehold.enqueue('late', '1'::json, depends_on => ARRAY['{}']::uuid[])", fence.id),
    )
    .await;
    assert_eq!(fixture.settle_one(fence, Settle::Complete(None)).await, Settled::Locked);
    run(&mut other, "COMMIT".into()).await;
    while fixture.settle_one(fence, Settle::Complete(None)).await == Settled::Locked {}
    let waits = "SELECT count(*) FROM leasehold.jobs WHERE kind = 'late' AND state = 'queued'";
    assert_eq!(fixture.number(waits).await, 1);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn sql_makes_graphs_in_the_transaction_of_the_caller() {
    let fixture = Fixture::start().await;
    let graph = r#"{"jobs": [{"name": "b", "kind": "k", "after": ["a"], "payload": {"x": [1, null]}, "timeout": "30s"},
                             {"name": "a", "kind": "k", "payload": null},
                             {"kind": "k", "queue": "other", "after": ["a", "b"], "on_parent_failure": "run"}]}"#;
    for kind in ["json", "jsonb", "text"] {
        let mut other = fixture.connection().await;
        run(&mut other, format!("BEGIN; SELECT leasehold.enqueue_graph('{graph}'::{kind}); ROLLBACK")).await;
        assert_eq!(fixture.live_jobs().await, 0);
        run(&mut other, format!("SELECT leasehold.enqueue_graph('{graph}'::{kind})")).await;
        assert_eq!(fixture.number("SELECT count(*) FROM leasehold.job WHERE state = 'blocked'").await, 2);
        assert_eq!(fixture.number("SELECT count(*) FROM leasehold.edge").await, 3);
        fixture.sql("TRUNCATE leasehold.job, leasehold.edge").await;
    }
    for (graph, told) in [
        (r#"{"jobs": [{"name": "a", "kind": "k", "after": ["a"]}]}"#, "a depends on itself"),
        (
            r#"{"jobs": [{"name": "a", "kind": "k", "after": ["b"]}, {"name": "b", "kind": "k", "after": ["a"]}]}"#,
            "in a cycle: b → a → b",
        ),
        (r#"{"jobs": [{"name": "a", "kind": "k"}, {"name": "a", "kind": "k"}]}"#, "the name 'a' is given to two jobs"),
        (
            r#"{"jobs": [{"name": "a", "kind": "k", "after": ["z"]}]}"#,
            "a comes after 'z', and no job of the graph has this name",
        ),
        (r#"{"jobs": [{"name": "a", "kind": "k", "aftr": ["z"]}]}"#, "a has an unknown word 'aftr'"),
        (r#"{"jobs": [{"name": "a", "kind": "k", "after": "z"}]}"#, "a: after must be an array of strings"),
        (r#"{"jobs": [{"name": "a", "kind": "k", "on_parent_failure": "stop"}]}"#, "on_parent_failure is 'stop'"),
        (r#"{"jobs": [{"name": "a"}]}"#, "kind NULL is no name"),
        (r#"{"jobs": [1]}"#, "job 1 is no object"),
        (r#"{"job": []}"#, "a graph is an object with the array \"jobs\""),
        (
            r#"{"jobs": [{"name": "a", "kind": "k", "depends_on": ["00000000-0000-7000-8000-000000000001"]}]}"#,
            "depends_on names 00000000-0000-7000-8000-000000000001, and no job has this id",
        ),
    ] {
        let refused = sqlx::query("SELECT leasehold.enqueue_graph($1::json)").bind(graph).execute(fixture.pool()).await;
        let error = refused.map(drop).expect_err(graph);
        let text = error.as_database_error().map(|error| error.message().to_owned()).unwrap_or_default();
        assert!(text.contains(told), "{graph}: {error}");
    }
    assert_eq!(fixture.live_jobs().await, 0);
}

#[tokio::test]
async fn the_largest_graph_is_made_in_one_transaction() {
    let fixture = Fixture::start().await;
    let mut jobs: Vec<NewJob> = Vec::with_capacity(GRAPH_MAX_JOBS);
    for nth in 0..GRAPH_MAX_JOBS {
        let parents: Vec<JobId> =
            [1, 7, 100].into_iter().filter_map(|back| Some(jobs.get(nth.checked_sub(back)?)?.id)).collect();
        jobs.push(child_of(&parents, ParentFailure::Cancel));
    }
    let begun = Instant::now();
    let answers = fixture.enqueue_graph(&jobs).await.expect("enqueue");
    // About a second on an idle machine.
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(answers.iter().filter(|answer| answer.state == State::Blocked).count(), GRAPH_MAX_JOBS - 1);
    let graph = fixture.graph(jobs[5000].id, 500).await.expect("graph");
    assert!(graph.is_cut && graph.jobs.len() == 500 && graph.edges.len() > 500);
    let one_more: Vec<NewJob> = (0..=GRAPH_MAX_JOBS).map(|_| new_job()).collect();
    assert!(fixture.enqueue_graph(&one_more).await.expect_err("too many").to_string().contains("10001 jobs"));
}

#[tokio::test]
async fn edges_are_kept_as_long_as_their_children() {
    let fixture = Fixture::start().await;
    let parent = fixture.queued().await;
    let (gone, kept, live) = (
        fixture.child(&[parent], ParentFailure::Cancel).await,
        fixture.child(&[parent], ParentFailure::Cancel).await,
        fixture.child(&[parent], ParentFailure::Cancel).await,
    );
    fixture.ends(parent, Settle::Complete(None)).await;
    for child in [gone, kept] {
        fixture.ends(child, Settle::Complete(None)).await;
    }
    fixture.sql("UPDATE leasehold.edge SET created_at = now() - interval '9 days'").await;
    fixture.sql(format!("DELETE FROM leasehold.history WHERE id = '{gone}'")).await;
    assert_eq!(fixture.retain(DAY * 7).await.expect("retain").edges_deleted, 1);
    for (child, edges) in [(gone, 0), (kept, 1), (live, 1)] {
        assert_eq!(fixture.number(format!("SELECT count(*) FROM leasehold.edge WHERE child = '{child}'")).await, edges);
    }
    let graph = fixture.graph(kept, 100).await.expect("graph");
    assert_eq!((graph.jobs.len(), graph.edges.len(), graph.is_cut), (3, 2, false));
}
