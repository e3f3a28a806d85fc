//! Weights and pauses of fair keys in transactions that stay open: they block no other session, and the waiting jobs follow the
//! change after the commit.

use crate::{
    fair::{ids, jobs},
    fixture::{Fixture, LEASE},
    sessions_of_users::open,
};
use leasehold_core::{JobId, QueueName, WorkerId};
use leasehold_ports::Kinds;
use leasehold_store::FAIR_WINDOW;
use std::collections::BTreeSet;

const WINDOW: usize = FAIR_WINDOW as usize;
/// What a user says in a transaction that stays open.
const CHANGES: &str = "SELECT leasehold.set_fair_weight('default', 'a', 3); SELECT leasehold.set_fair_weight('default', 'b', 2);
                       SELECT leasehold.set_fair_weight('default', 'b', 1); SELECT leasehold.pause_fair_key('default', 'c')";

impl Fixture {
    /// Runs so many jobs, and returns how many of them are in this set.
    async fn run_of(&self, worker: WorkerId, count: usize, of: &BTreeSet<JobId>) -> usize {
        let (mut begun, mut of_them) = (0, 0);
        while begun < count {
            let runs = self.run_next(worker, 20).await;
            assert!(!runs.is_empty(), "{begun} of {count} have begun");
            begun += runs.len();
            of_them += runs.iter().filter(|run| of.contains(&run.fence.id)).count();
        }
        of_them
    }
}

#[tokio::test]
async fn an_open_transaction_that_changes_weights_and_pauses_holds_up_nobody() {
    for (end, share) in [("ROLLBACK", 100), ("COMMIT", 150)] {
        let fixture = Fixture::start().await;
        let (worker, queue) = (WorkerId::new(), QueueName::default());
        let (a, b, c) = (jobs("a", 2 * WINDOW), jobs("b", 2 * WINDOW), jobs("c", 5));
        let of_a: BTreeSet<JobId> = ids(&a).into_iter().collect();
        let of_c: BTreeSet<JobId> = ids(&c).into_iter().collect();
        for key in [&a, &b] {
            fixture.enqueue_fair(key).await;
        }
        let mut session = open(&fixture, CHANGES).await;
        fixture.enqueue_fair(&c).await;
        assert!(fixture.fair_line().await.contains(&c[0].id), "a new key is admitted");
        assert_eq!(fixture.run_of(worker, 20, &of_c).await, 5, "and has its turns: nothing is paused");
        let of_a_before = fixture.run_of(worker, 600, &of_a).await;
        assert!((296..=300).contains(&of_a_before), "more than a window, by the old weights: {of_a_before}");
        assert!(fixture.fair_weights(&queue).await.expect("weights").is_empty());
        // The command of somebody else for the same key does not wait.
        fixture.set_fair_weight(&queue, "b", 1.0).await.expect("weight");
        let again = jobs("c", 5);
        fixture.enqueue_fair(&again).await;
        session.says(end).await;
        let weights = fixture.fair_weights(&queue).await.expect("weights");
        let shown: Vec<_> = weights.iter().map(|set| (set.fair_key.as_str(), set.weight)).collect();
        assert_eq!(shown, if end == "COMMIT" { vec![("a", 3.0)] } else { vec![] });
        fixture.admit_fair_next("", 10).await.expect("a tick");
        assert_eq!(fixture.number("SELECT count(*) FROM leasehold.fair_weight_change").await, 0);
        let claimed = fixture.claim(worker, &ids(&again), &Kinds::All, LEASE).await.expect("claim");
        assert_eq!(claimed.len(), if end == "COMMIT" { 0 } else { 5 }, "jobs of c after {end}");
        let of_a_after = fixture.run_of(worker, 200, &of_a).await;
        assert!((share - 3..=share + 3).contains(&of_a_after), "the backlog follows: {of_a_after} of 200 after {end}");
        fixture.keeps_the_invariants().await;
    }
}

/// Somebody holds the row of a weight, and its change is committed: jobs of the queue are admitted by the weights that are in force.
#[tokio::test]
async fn a_locked_weight_whose_change_is_committed_holds_up_no_admission() {
    let fixture = Fixture::start().await;
    let (worker, queue) = (WorkerId::new(), QueueName::default());
    fixture.set_fair_weight(&queue, "a", 2.0).await.expect("weight");
    for key in [jobs("a", WINDOW), jobs("b", WINDOW)] {
        fixture.enqueue_fair(&key).await;
    }
    let mut session = open(&fixture, "SELECT 1 FROM leasehold.fair_weight WHERE fair_key = 'a' FOR UPDATE").await;
    fixture
        .sql("SELECT leasehold.set_fair_weight('default', 'a', 5), leasehold.set_fair_weight('default', 'b', 4)")
        .await;
    fixture.run_of(worker, 300, &BTreeSet::new()).await;
    fixture.admit_fair_next("", 10).await.expect("a tick");
    let weights =
        "SELECT sum(CASE fair_key WHEN 'a' THEN 10 * weight ELSE weight END)::bigint FROM leasehold.fair_weight";
    assert_eq!(fixture.number(weights).await, 24, "the weight of b, which nobody holds, is in force");
    session.says("ROLLBACK").await;
    fixture.admit_fair_next("", 10).await.expect("a tick");
    assert_eq!(fixture.number(weights).await, 54);
    fixture.keeps_the_invariants().await;
}

/// The next admission of the queue applies the weights, no matter which process asks for it, also in a queue without jobs.
#[tokio::test]
async fn every_admission_puts_weights_into_force() {
    let fixture = Fixture::start().await;
    let queue = QueueName::default();
    let set = "SELECT leasehold.set_fair_weight('default', 'a', 3), leasehold.set_fair_weight('empty', 'a', 5)";
    fixture.sql(set).await;
    assert!(fixture.uptime().await.expect("uptime").has_fair, "a reaper looks");
    fixture.admit_fair_next("", 10).await.expect("a tick");
    assert!(!fixture.uptime().await.expect("uptime").has_fair);
    assert_eq!(fixture.number("SELECT sum(weight)::bigint FROM leasehold.fair_weight").await, 8);
    for key in [jobs("a", WINDOW), jobs("b", WINDOW)] {
        fixture.enqueue_fair(&key).await;
    }
    fixture.sql("SELECT leasehold.set_fair_weight('default', 'a', 1)").await;
    // After the end of a run, a worker tells no key.
    let moved = fixture.admit_fair(&queue, &[]).await.expect("admit");
    assert!(moved.iter().any(|job| !job.is_in_line), "the old window is parked again");
    let of_a = "SELECT count(*) FROM leasehold.job WHERE fair_key = 'a' AND line_at < 'infinity'";
    assert!((240..=260).contains(&fixture.number(of_a).await), "the window has as many jobs of both keys");
    fixture.keeps_the_invariants().await;
}
