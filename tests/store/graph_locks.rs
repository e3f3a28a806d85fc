//! Jobs that depend on other jobs, while open transactions of other sessions hold some of them: only the calls that need the
//! locked rows wait, and the error names the session.

use crate::{
    fixture::{Fixture, concurrently, new_job},
    graphs::child_of,
    locked_out::{LOCK_TIMEOUT, ends, keyed, locked, no_statement_waits, somebody, store_with_short_lock_timeout},
};
use leasehold_core::{FinishedRun, JobId, NewJob, ParentFailure, Settle, Settled, State, WorkerId};
use leasehold_store::{Error, Once, OnceKey};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use sqlx::{AssertSqlSafe, PgConnection};
use std::time::{Duration, Instant};

/// Two waits for locks, and a busy machine.
const SOON: Duration = Duration::from_secs(8);

#[tokio::test]
async fn a_locked_child_delays_no_other_child() {
    let fixture = Fixture::start().await;
    let worker = WorkerId::new();
    for (end, after) in
        [(Settle::Complete(None), State::Queued), (Settle::Bury { error: "no".into() }, State::Cancelled)]
    {
        for lock in ["SELECT FROM leasehold.job WHERE id = '{}' FOR UPDATE", "SELECT leasehold.cancel('{}')"] {
            let fence = fixture.running(worker).await;
            let mut children = Vec::new();
            for _ in 0..4 {
                children.push(fixture.child(&[fence.id], ParentFailure::Cancel).await);
            }
            let other = somebody(&fixture, &lock.replace("{}", &children[1].to_string())).await;
            assert_eq!(fixture.settle_one(fence, end.clone()).await, Settled::Done);
            for nth in [0, 2, 3] {
                assert_eq!(fixture.state(children[nth]).await, after, "child {nth}, {lock}");
            }
            assert_eq!(fixture.state(children[1]).await, State::Blocked, "{lock}");
            // The parent stays noted, tick after tick.
            for _ in 0..2 {
                let now = fixture.uptime().await.expect("uptime").now;
                assert!(fixture.tell_children(500, now).await.expect("tell_children").is_empty());
                assert!(fixture.uptime().await.expect("uptime").has_ended_parents);
            }
            ends(other, "ROLLBACK").await;
            let now = fixture.uptime().await.expect("uptime").now;
            fixture.tell_children(500, now).await.expect("tell_children");
            assert_eq!(fixture.state(children[1]).await, after, "{lock}");
            assert!(!fixture.uptime().await.expect("uptime").has_ended_parents);
        }
    }
    fixture.keeps_the_invariants().await;
}

/// The counter of a child with many parents is locked: the end of these parents still counts for their other children.
#[tokio::test]
async fn a_locked_counter_delays_only_its_child() {
    let fixture = Fixture::start().await;
    let parents: Vec<NewJob> = (0..40).map(|_| new_job()).collect();
    let ids: Vec<JobId> = parents.iter().map(|job| job.id).collect();
    fixture.enqueue(&parents).await.expect("enqueue");
    let wide = fixture.child(&ids, ParentFailure::Cancel).await;
    let narrow = fixture.child(&ids[..1], ParentFailure::Cancel).await;
    let other = somebody(&fixture, "SELECT FROM leasehold.edge_count FOR UPDATE").await;
    for id in &ids {
        let unblocked = fixture.ends(*id, Settle::Complete(None)).await;
        assert_eq!(unblocked, if *id == ids[0] { vec![narrow] } else { vec![] });
    }
    ends(other, "COMMIT").await;
    fixture.tell_all().await;
    assert_eq!(fixture.state(wide).await, State::Queued);
    fixture.keeps_the_invariants().await;
}

/// Parents settle at the same time while others lock children now and then: each child starts once, after all its parents.
#[tokio::test]
async fn children_that_are_locked_now_and_then_start_once_and_are_not_forgotten() {
    let fixture = Fixture::with_connections(12).await;
    let mut dice = StdRng::seed_from_u64(7);
    for round in 0..15 {
        let parents: Vec<NewJob> = (0..40).map(|_| new_job()).collect();
        let ids: Vec<JobId> = parents.iter().map(|job| job.id).collect();
        fixture.enqueue(&parents).await.expect("enqueue");
        let mut children: Vec<NewJob> = Vec::new();
        for nth in 0..12 {
            let count = if nth % 4 == 0 { 36 } else { dice.random_range(1..6) };
            let first = dice.random_range(0..=ids.len() - count);
            children.push(child_of(&ids[first..first + count], ParentFailure::Run));
        }
        fixture.enqueue_graph(&children).await.expect("enqueue");
        let mut runs = Vec::new();
        let worker = WorkerId::new();
        for id in &ids {
            let fence = fixture.claim_one(worker, *id).await.fence;
            let settle =
                if dice.random_bool(0.3) { Settle::Bury { error: "no".into() } } else { Settle::Complete(None) };
            runs.push(FinishedRun { fence, settle });
        }
        let mut lockers = Vec::new();
        for child in children.iter().filter(|_| dice.random_bool(0.4)) {
            let lock = format!("SELECT FROM leasehold.job WHERE id = '{}' FOR UPDATE", child.id);
            lockers.push(somebody(&fixture, &lock).await);
        }
        let settles = concurrently(runs.chunks(7).map(|runs| fixture.settle(worker, runs)));
        let release = async {
            for (nth, locker) in lockers.into_iter().enumerate() {
                tokio::time::sleep(Duration::from_millis(nth as u64 * 10)).await;
                ends(locker, "ROLLBACK").await;
            }
        };
        let ticks = async {
            for _ in 0..3 {
                let now = fixture.uptime().await.expect("uptime").now;
                fixture.tell_children(3, now).await.expect("tell_children");
            }
        };
        let (settled, (), ()) = tokio::join!(settles, release, ticks);
        let mut unblocked: Vec<JobId> = Vec::new();
        for settled in settled {
            let settled = settled.expect("settle");
            assert!(settled.iter().all(|answer| *answer == Settled::Done), "{settled:?}");
            unblocked.extend(settled.unblocked.iter().map(|job| job.id));
        }
        let count = unblocked.len();
        unblocked.sort_unstable();
        unblocked.dedup();
        assert_eq!(unblocked.len(), count, "each child comes into the line once");
        fixture.tell_all().await;
        for child in &children {
            assert_eq!(fixture.state(child.id).await, State::Queued, "round {round}");
        }
        let open = "SELECT (SELECT count(*) FROM leasehold.edge WHERE NOT met)
                         + (SELECT count(*) FROM leasehold.job WHERE unmet <> 0)";
        assert_eq!(fixture.number(open).await, 0);
        fixture.sql("DELETE FROM leasehold.job").await;
        fixture.keeps_the_invariants().await;
    }
}

/// The lock may belong to a savepoint.
#[tokio::test]
async fn the_session_of_a_savepoint_is_named() {
    let fixture = Fixture::start().await;
    let (job, another) = (fixture.queued().await, fixture.queued().await);
    let other = somebody(
        &fixture,
        &format!(
            "SELECT FROM leasehold.job WHERE id = '{another}' FOR UPDATE; SAVEPOINT s;
             SELECT FROM leasehold.job WHERE id = '{job}' FOR UPDATE; SELECT pg_sleep(0.3)"
        ),
    )
    .await;
    let lockers = fixture.lockers(&[job, another]).await.expect("lockers");
    assert_eq!(lockers.len(), 2, "{lockers:?}");
    let moment = fixture.job_moment(job).await.expect("a job").expect("a job");
    assert_eq!(moment.locked_by.and_then(|locker| locker.application).as_deref(), Some("an import"));
    ends(other, "ROLLBACK").await;
}

fn named(error: &Error, whats: &[String]) {
    let told = error.to_string();
    for what in whats {
        let part = format!("{what} is held by an open transaction of another session (pid ");
        assert!(told.contains(&part), "{told} must contain {part}");
    }
    assert!(told.contains("application an import, idle in transaction, open for"), "{told}");
    assert!(told.contains("try again when it has ended"), "{told}");
}

#[tokio::test]
async fn a_graph_that_needs_a_held_row_says_who_holds_it_and_writes_nothing() {
    let fixture = Fixture::start().await;
    let store = store_with_short_lock_timeout(&fixture).await;
    let parent = fixture.queued().await;
    let existing = NewJob { unique_key: Some("existing".into()), ..new_job() };
    fixture.enqueue(std::slice::from_ref(&existing)).await.expect("enqueue");
    for (script, what) in [
        (format!("SELECT FROM leasehold.job WHERE id = '{parent}' FOR UPDATE"), format!("job {parent}")),
        (format!("SELECT leasehold.cancel('{parent}')"), format!("job {parent}")),
        ("SELECT leasehold.enqueue('k', '1', unique_key => 'b')".to_owned(), "unique key \"b\"".to_owned()),
        (format!("SELECT FROM leasehold.job WHERE id = '{}' FOR UPDATE", existing.id), format!("job {}", existing.id)),
    ] {
        let before = fixture.live_jobs().await;
        let other = somebody(&fixture, &script).await;
        let above = keyed("existing");
        let graph = [above.clone(), child_of(&[parent, above.id], ParentFailure::Cancel), keyed("b")];
        let begun = Instant::now();
        let error = store.enqueue_graph(&graph).await.expect_err("it is held");
        assert!(begun.elapsed() >= LOCK_TIMEOUT && begun.elapsed() < SOON, "{:?}", begun.elapsed());
        named(&error, std::slice::from_ref(&what));
        assert!(locked(error).accepted.iter().all(Option::is_none));
        assert_eq!(fixture.live_jobs().await, before);

        // One transaction for a request over HTTP.
        let key = OnceKey { key: format!("{what} {script}"), fingerprint: [0; 32] };
        let error = store.enqueue_once(&graph, Some(&key)).await.expect_err("it is held");
        named(&error, std::slice::from_ref(&what));
        locked(error);
        assert_eq!(fixture.live_jobs().await, before);
        no_statement_waits(&fixture).await;
        ends(other, "ROLLBACK").await;
    }
    // A lock that ends in time is no error.
    let other = somebody(&fixture, &format!("SELECT FROM leasehold.job WHERE id = '{parent}' FOR UPDATE")).await;
    let graph = [child_of(&[parent], ParentFailure::Cancel)];
    let (answers, ()) = tokio::join!(fixture.enqueue_graph(&graph), async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        ends(other, "COMMIT").await;
    });
    assert!(answers.expect("enqueue")[0].inserted);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn the_key_of_a_request_that_is_held_is_named() {
    let fixture = Fixture::start().await;
    let store = store_with_short_lock_timeout(&fixture).await;
    let insert = "INSERT INTO leasehold.idempotency (key, fingerprint) VALUES ('once', '\\x00')";
    let other = somebody(&fixture, insert).await;
    let key = OnceKey { key: "once".into(), fingerprint: [0; 32] };
    let error = store.enqueue_once(&[new_job()], Some(&key)).await.expect_err("it is held");
    named(&error, &["the Idempotency-Key \"once\"".to_owned()]);
    ends(other, "ROLLBACK").await;
    let done = store.enqueue_once(&[new_job()], Some(&key)).await.expect("it is free");
    assert!(matches!(done, Once::Done(_)), "{done:?}");
    assert_eq!(fixture.live_jobs().await, 1);
}

/// Of a batch in which some jobs depend on others, all jobs are accepted that need nothing that is held.
#[tokio::test]
async fn the_jobs_of_a_batch_that_nobody_holds_are_accepted() {
    let fixture = Fixture::start().await;
    let store = store_with_short_lock_timeout(&fixture).await;
    let (taken, free) = (fixture.queued().await, fixture.queued().await);
    let other = somebody(
        &fixture,
        &format!(
            "SELECT FROM leasehold.job WHERE id = '{taken}' FOR UPDATE;
             SELECT leasehold.enqueue('k', '1', unique_key => 'b')"
        ),
    )
    .await;
    let mut jobs = vec![
        new_job(),
        child_of(&[taken], ParentFailure::Cancel),
        child_of(&[free], ParentFailure::Cancel),
        keyed("b"),
        keyed("c"),
    ];
    jobs.push(child_of(&[free, jobs[1].id], ParentFailure::Run));
    jobs.push(child_of(&[jobs[3].id], ParentFailure::Run));
    jobs.push(child_of(&[jobs[0].id], ParentFailure::Run));
    jobs.push(NewJob { id_may_exist: true, ..jobs[0].clone() });
    let begun = Instant::now();
    let error = store.enqueue(&jobs).await.expect_err("some are held");
    assert!(begun.elapsed() >= LOCK_TIMEOUT && begun.elapsed() < SOON, "{:?}", begun.elapsed());
    named(&error, &[format!("job {taken}"), "unique key \"b\"".to_owned()]);
    let found = locked(error);
    assert_eq!(found.held.iter().map(|held| held.nth).collect::<Vec<_>>(), [1, 3, 5, 6]);
    assert_eq!(found.held[2].what, format!("job {taken}, which the parent {} needs,", jobs[1].id));
    let accepted: Vec<usize> = (0..jobs.len()).filter(|&nth| found.accepted[nth].is_some()).collect();
    assert_eq!(accepted, [0, 2, 4, 7, 8]);
    let again = found.accepted[8].as_ref().map(|answer| (answer.id, answer.inserted));
    assert_eq!(again, Some((jobs[0].id, false)));
    assert_eq!(fixture.live_jobs().await, 2 + 4);
    no_statement_waits(&fixture).await;
    ends(other, "ROLLBACK").await;
    jobs.iter_mut().for_each(|job| job.id_may_exist = true);
    let answers = store.enqueue(&jobs).await.expect("all is free");
    assert_eq!(answers.iter().filter(|answer| answer.inserted).count(), 4);
    assert_eq!(fixture.live_jobs().await, 2 + 8);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn the_job_that_postgresql_refuses_is_found() {
    let fixture = Fixture::start().await;
    let known = fixture.queued().await;
    for bad in [0, 1, 57, 99] {
        let mut jobs: Vec<NewJob> = (0..100).map(|_| child_of(&[known], ParentFailure::Cancel)).collect();
        jobs[bad] = child_of(&[JobId::new()], ParentFailure::Cancel);
        fixture.enqueue(&jobs).await.expect_err("an unknown parent");
        assert_eq!(fixture.first_refused(&jobs).await, Some(bad));
    }
    assert_eq!(fixture.first_refused(&[new_job()]).await, None);
    assert_eq!(fixture.live_jobs().await, 1, "nothing is left of the search");
}

/// Runs one script in each of two sessions at the same time. A deadlock is an error of one of them.
async fn both(sessions: &mut [PgConnection; 2], scripts: [String; 2]) {
    let [one, other] = sessions;
    let [first, second] = scripts;
    let (one, other) = tokio::join!(
        sqlx::raw_sql(AssertSqlSafe(first)).execute(one),
        sqlx::raw_sql(AssertSqlSafe(second)).execute(other)
    );
    one.expect("no deadlock");
    other.expect("no deadlock");
}

#[tokio::test]
async fn calls_with_the_same_keys_or_parents_in_another_order_do_not_deadlock() {
    const ROUNDS: i64 = 12;
    let fixture = Fixture::start().await;
    let mut sessions = [fixture.connection().await, fixture.connection().await];
    for round in 0..ROUNDS {
        let nodes: Vec<String> =
            (0..60).map(|nth| format!(r#"{{"name": "n{nth}", "kind": "k", "unique_key": "{round} {nth}"}}"#)).collect();
        let last = r#"{"kind": "k", "after": ["n0", "n59"]}"#;
        let graph = |nodes: Vec<String>| {
            format!(r#"SELECT leasehold.enqueue_graph('{{"jobs": [{}, {last}]}}')"#, nodes.join(", "))
        };
        let back: Vec<String> = nodes.iter().rev().cloned().collect();
        both(&mut sessions, [graph(nodes.clone()), graph(back.clone())]).await;

        let parents: Vec<NewJob> = (0..60).map(|_| new_job()).collect();
        fixture.enqueue(&parents).await.expect("enqueue");
        let children = |ids: Vec<JobId>| {
            let child = |id: &JobId| format!(r#"{{"kind": "k", "depends_on": ["{id}"]}}"#);
            let jobs: Vec<String> = ids.iter().map(child).collect();
            format!("SELECT leasehold.enqueue_many('[{}]')", jobs.join(", "))
        };
        let ids: Vec<JobId> = parents.iter().map(|job| job.id).collect();
        let back: Vec<JobId> = ids.iter().rev().copied().collect();
        both(&mut sessions, [children(ids), children(back)]).await;
    }
    let kept = fixture.number("SELECT count(*) FROM leasehold.job WHERE unique_key IS NOT NULL").await;
    assert_eq!(kept, ROUNDS * 60);
    fixture.keeps_the_invariants().await;
}

/// Batches of plain jobs, of jobs with rare words, and of jobs that depend on others, with the same keys.
#[tokio::test]
async fn batches_of_any_jobs_with_the_same_keys_do_not_deadlock() {
    let fixture = Fixture::with_connections(8).await;
    for round in 0..12 {
        let batch = |which: usize| -> Vec<NewJob> {
            let mut jobs: Vec<NewJob> = (0..60)
                .map(|nth| {
                    let fair_key = (which < 3 && nth % 3 == which).then(|| "f".to_owned());
                    NewJob { fair_key, ..keyed(&format!("{round} {nth}")) }
                })
                .collect();
            if which % 2 == 1 {
                jobs.reverse();
            }
            if which > 0 {
                let (first, last) = (jobs[0].id, jobs[59].id);
                jobs.push(child_of(&[first, last], ParentFailure::Run));
            }
            jobs
        };
        let batches = [batch(0), batch(1), batch(2), batch(3)];
        for answers in concurrently(batches.iter().map(|jobs| fixture.enqueue(jobs))).await {
            answers.expect("enqueue");
        }
    }
    assert_eq!(fixture.rollbacks(), 0, "a deadlock is sent again, and counted");
    // No reaper runs here, which moves jobs with a fair key into the line.
    let found = fixture.store.violations().await.expect("violations");
    assert!(found.iter().all(|violation| violation.check == "parked_and_not_moved"), "{found:?}");
}
