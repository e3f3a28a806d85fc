//! Jobs that depend on other jobs: the ends of parents, policies, and cascades.

use crate::fixture::{Fixture, LEASE, json, neutral, new_job};
use leasehold_core::{FinishedRun, JobId, NewJob, OnConflict, ParentFailure, Settle, Settled, State, Unique, WorkerId};
use leasehold_ports::{Class, Kinds, Waiting};
use std::time::Duration;

use ParentFailure::{Cancel, Hold, Run};

/// A job that depends on these jobs.
pub(crate) fn child_of(parents: &[JobId], policy: ParentFailure) -> NewJob {
    NewJob { depends_on: parents.to_vec(), on_parent_failure: policy, ..new_job() }
}

pub(crate) fn bury() -> Settle {
    Settle::Bury { error: "it failed".into() }
}

impl Fixture {
    pub(crate) async fn child(&self, parents: &[JobId], policy: ParentFailure) -> JobId {
        let job = child_of(parents, policy);
        let answers = self.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
        assert!(answers[0].inserted);
        job.id
    }

    pub(crate) async fn state(&self, id: JobId) -> State {
        self.record(id).await.state
    }

    /// Claims a queued job and ends its run. Returns the jobs that are now in the line.
    pub(crate) async fn ends(&self, id: JobId, settle: Settle) -> Vec<JobId> {
        let fence = self.claim_one(WorkerId::new(), id).await.fence;
        let settled = self.settle(fence.worker, &[FinishedRun { fence, settle }]).await.expect("settle");
        assert_eq!(settled, [Settled::Done]);
        ids(&settled.unblocked)
    }

    /// Claims a job that has crashed before.
    async fn claim_careful_one(&self, id: JobId) {
        let claimed = self.claim_careful(WorkerId::new(), &[id], &Kinds::All, 1, LEASE).await.expect("claim");
        assert_eq!(claimed.len(), 1, "job {id} must be claimable");
    }

    /// The work of a reaper: continues until no parent is left.
    pub(crate) async fn tell_all(&self) {
        for _ in 0..100 {
            let uptime = self.uptime().await.expect("uptime");
            if !uptime.has_ended_parents {
                return;
            }
            self.tell_children(500, uptime.now).await.expect("tell_children");
        }
        panic!("some children are never told");
    }
}

pub(crate) fn ids(waiting: &[Waiting]) -> Vec<JobId> {
    waiting.iter().map(|job| job.id).collect()
}

#[tokio::test]
async fn a_child_starts_when_its_last_parent_has_succeeded() {
    let fixture = Fixture::start().await;
    let (first, second) = (fixture.queued().await, fixture.queued().await);
    let child = fixture.child(&[second, first], Cancel).await;
    assert_eq!(fixture.state(child).await, State::Blocked);
    let none = fixture.claim(WorkerId::new(), &[child], &Kinds::All, LEASE).await.expect("claim");
    assert!(none.is_empty(), "a blocked job cannot be claimed");

    assert_eq!(fixture.ends(first, Settle::Complete(Some(json(r#"{"n":1}"#)))).await, []);
    assert_eq!(fixture.state(child).await, State::Blocked);
    assert_eq!(fixture.ends(second, Settle::Complete(None)).await, [child]);
    assert_eq!(fixture.state(child).await, State::Queued);

    let run = fixture.claim_one(WorkerId::new(), child).await;
    assert!(run.has_parents);
    let parents = fixture.parents(child, 1000).await.expect("parents");
    assert_eq!(parents.iter().map(|parent| parent.id).collect::<Vec<_>>(), [second, first]);
    assert!(parents.iter().all(|parent| parent.met && parent.state == Some(State::Succeeded)));
    assert_eq!(parents[1].result.as_ref().map(|result| result.get()), Some(r#"{"n":1}"#));
    let short = fixture.parents(child, 3).await.expect("parents");
    assert!(short[1].result.is_none() && short[1].is_left_out && !short[0].is_left_out);

    let plain = fixture.queued().await;
    assert!(!fixture.claim_one(WorkerId::new(), plain).await.has_parents);
    assert!(fixture.parents(plain, 1000).await.expect("parents").is_empty());
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn each_end_of_a_parent_does_what_the_child_says() {
    for (policy, after_failure) in [(Cancel, State::Cancelled), (Hold, State::Blocked), (Run, State::Queued)] {
        let fixture = Fixture::start().await;
        let mut children = Vec::new();
        for end in 0..4 {
            let parent = fixture.queued().await;
            let child = fixture.child(&[parent], policy).await;
            match end {
                0 => drop(fixture.ends(parent, bury()).await),
                1 => drop(fixture.cancel(&[parent]).await.expect("cancel")),
                2 => {
                    fixture.set_crashes(parent, 2).await;
                    fixture.claim_careful_one(parent).await;
                    fixture.end_lease(parent).await;
                    assert_eq!(fixture.expire(10, None).await.expect("expire").len(), 1);
                }
                _ => {
                    let fence = fixture.claim_one(WorkerId::new(), parent).await.fence;
                    fixture.cancel(&[parent]).await.expect("cancel");
                    assert_eq!(fixture.settle_one(fence, Settle::Cancel).await, Settled::Done);
                }
            }
            assert_eq!(fixture.state(child).await, after_failure, "{policy} after end {end}");
            children.push((parent, child));
        }
        // A child that is enqueued after the end of its parent has the same fate.
        for (parent, _) in &children {
            let late = fixture.child(&[*parent], policy).await;
            assert_eq!(fixture.state(late).await, after_failure, "{policy}, enqueued later");
            if policy == Cancel {
                let record = fixture.record(late).await;
                let told = record.last_error.unwrap_or_default();
                assert!(told.contains(&format!("its parent {parent} is ")), "{told}");
            }
        }
        fixture.keeps_the_invariants().await;
    }
}

#[tokio::test]
async fn a_held_child_starts_after_its_parent_was_revived_and_succeeded() {
    let fixture = Fixture::start().await;
    let parent = fixture.queued().await;
    let other = fixture.queued().await;
    let child = fixture.child(&[parent, other], Hold).await;
    fixture.ends(parent, bury()).await;
    assert_eq!(fixture.ends(other, Settle::Complete(None)).await, []);
    // A second success of the other parent counts nothing.
    fixture.revive(&[other]).await.expect("revive");
    assert_eq!(fixture.ends(other, Settle::Complete(None)).await, []);
    assert_eq!(fixture.state(child).await, State::Blocked);
    let late = fixture.child(&[parent], Hold).await;
    fixture.revive(&[parent]).await.expect("revive");
    let mut unblocked = fixture.ends(parent, Settle::Complete(None)).await;
    unblocked.sort();
    let mut both = vec![child, late];
    both.sort();
    assert_eq!(unblocked, both);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_parent_that_has_succeeded_holds_up_nobody() {
    let fixture = Fixture::start().await;
    let parent = fixture.queued().await;
    fixture.ends(parent, Settle::Complete(Some(json("7")))).await;
    let job = child_of(&[parent], Cancel);
    let answers = fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
    assert_eq!((answers[0].state, answers[0].line_at.is_some()), (State::Queued, true));
    // The same call again finds the job.
    let again = NewJob { id_may_exist: true, ..job.clone() };
    let answers = fixture.enqueue(&[again]).await.expect("enqueue");
    assert!(!answers[0].inserted && answers[0].id == job.id);
    assert_eq!(fixture.parents(job.id, 100).await.expect("parents").len(), 1);
}

#[tokio::test]
async fn unknown_parents_and_cycles_are_refused_and_nothing_is_written() {
    let fixture = Fixture::start().await;
    let known = fixture.queued().await;
    let nobody = JobId::new();
    let error = neutral(fixture.enqueue(&[child_of(&[known, nobody], Cancel)]).await.expect_err("an unknown parent"));
    assert_eq!(error.class, Class::Refused);
    assert!(error.to_string().contains(&format!("depends_on names {nobody}, and no job has this id")), "{error}");

    let (mut a, mut b, mut c) = (new_job(), new_job(), new_job());
    (a.depends_on, b.depends_on, c.depends_on) = (vec![c.id], vec![a.id], vec![b.id]);
    let error = neutral(fixture.enqueue_graph(&[a.clone(), b, c]).await.expect_err("a cycle"));
    assert!(error.to_string().contains("the jobs depend on each other in a cycle: "), "{error}");
    assert_eq!(error.to_string().matches(&a.id.to_string()).count(), {
        // The cycle begins and ends with the same job, whichever it is.
        let ends = error.to_string().trim_end().ends_with(&a.id.to_string());
        if ends { 2 } else { 1 }
    });
    a.depends_on = vec![a.id];
    let error = neutral(fixture.enqueue_graph(&[a]).await.expect_err("a job that depends on itself"));
    assert_eq!(error.class, Class::Invalid);
    let timed = NewJob { delay: Some(Duration::from_secs(1)), ..child_of(&[known], Cancel) };
    let error = neutral(fixture.enqueue(&[timed]).await.expect_err("a time"));
    assert!(error.to_string().contains("depends_on cannot be given together with a time"), "{error}");
    // The job that waits would keep the parents of the earlier call.
    let unique = Some(Unique { on_conflict: OnConflict::Replace, ..Unique::default() });
    let replacing = NewJob { unique_key: Some("key".to_owned()), unique, ..child_of(&[known], Cancel) };
    let error = neutral(fixture.enqueue(&[replacing]).await.expect_err("a job that replaces another one"));
    assert!(error.to_string().contains("depends_on cannot be given to a job that replaces another one"), "{error}");
    assert_eq!(fixture.live_jobs().await, 1);
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn jobs_of_one_call_may_depend_on_each_other_in_any_order() {
    let fixture = Fixture::start().await;
    let mut jobs: Vec<NewJob> = (0..4).map(|_| new_job()).collect();
    // The last one first: 3 → 2 → 1 → 0.
    for nth in 0..3 {
        jobs[nth].depends_on = vec![jobs[nth + 1].id];
    }
    let answers = fixture.enqueue(&jobs).await.expect("enqueue");
    let states: Vec<State> = answers.iter().map(|answer| answer.state).collect();
    assert_eq!(states, [State::Blocked, State::Blocked, State::Blocked, State::Queued]);
    for nth in (0..4).rev() {
        let unblocked = fixture.ends(jobs[nth].id, Settle::Complete(None)).await;
        assert_eq!(unblocked, jobs[..nth].last().map(|job| job.id).into_iter().collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_batch_with_an_unknown_parent_is_refused_as_a_whole() {
    let fixture = Fixture::start().await;
    let jobs = [new_job(), child_of(&[JobId::new()], Cancel), new_job()];
    fixture.enqueue(&jobs).await.expect_err("an unknown parent");
    assert_eq!(fixture.live_jobs().await, 0);
}

#[tokio::test]
async fn the_payload_of_a_child_is_kept_byte_for_byte() {
    let fixture = Fixture::start().await;
    for payload in [r#"{"b": 1.50,  "a":"\u00e9\u0000"}"#, r#""caf\u00e9""#, "null", r#"{"b":  1}"#] {
        let parent = NewJob { payload: json(payload), ..new_job() };
        let child = NewJob { payload: json(payload), ..child_of(&[parent.id], Cancel) };
        fixture.enqueue_graph(&[child.clone(), parent.clone()]).await.expect("enqueue");
        for id in [child.id, parent.id] {
            assert_eq!(fixture.record(id).await.payload.get(), payload);
        }
    }
}

/// Jobs of one call that have the same key are one job, the first of them in the order of the graph.
#[tokio::test]
async fn jobs_of_a_graph_with_one_key_are_one_job() {
    let fixture = Fixture::start().await;
    let keyed = |key: &str, parents: &[JobId]| NewJob { unique_key: Some(key.into()), ..child_of(parents, Cancel) };
    for round in 0..8 {
        let (first, between) = (keyed("z", &[]), keyed("a", &[]));
        let between = NewJob { depends_on: vec![first.id], ..between };
        let second = keyed("z", &[between.id]);
        let last = child_of(&[first.id, second.id, between.id], Cancel);
        let mut jobs = vec![first.clone(), between.clone(), second, last.clone()];
        jobs.rotate_left(round % 4);
        if round > 3 {
            jobs.reverse();
        }
        let answers = fixture.enqueue_graph(&jobs).await.expect("enqueue");
        let of = |id: JobId| answers[jobs.iter().position(|job| job.id == id).expect("a job")].clone();
        assert_eq!((of(first.id).inserted, of(between.id).inserted, of(last.id).inserted), (true, true, true));
        assert_eq!(answers.iter().filter(|answer| answer.id == first.id).count(), 2);
        assert_eq!(fixture.parents(last.id, 0).await.expect("parents").len(), 2);
        for id in [first.id, between.id, last.id] {
            assert_eq!(fixture.state(id).await, State::Queued, "round {round}");
            fixture.ends(id, Settle::Complete(None)).await;
        }
    }
    fixture.keeps_the_invariants().await;
}

#[tokio::test]
async fn a_job_that_exists_takes_the_place_of_a_parent() {
    let fixture = Fixture::start().await;
    let existing = NewJob { unique_key: Some("load".into()), ..new_job() };
    fixture.enqueue(std::slice::from_ref(&existing)).await.expect("enqueue");
    let parent = NewJob { unique_key: Some("load".into()), ..new_job() };
    let child = child_of(&[parent.id], Cancel);
    let answers = fixture.enqueue_graph(&[child.clone(), parent]).await.expect("enqueue");
    assert_eq!((answers[1].inserted, answers[1].id), (false, existing.id));
    assert_eq!(fixture.ends(existing.id, Settle::Complete(None)).await, [child.id]);
}

#[tokio::test]
async fn a_cancel_goes_down_a_long_chain_and_a_wide_fan() {
    let fixture = Fixture::start().await;
    for is_chain in [true, false] {
        let head = fixture.queued().await;
        let mut jobs: Vec<NewJob> = Vec::new();
        for nth in 0..1500 {
            let parent = if is_chain && nth > 0 { jobs[nth - 1].id } else { head };
            jobs.push(child_of(&[parent], Cancel));
        }
        fixture.enqueue_graph(&jobs).await.expect("enqueue");
        fixture.ends(head, bury()).await;
        fixture.tell_all().await;
        for job in jobs.iter().step_by(100).chain(jobs.last()) {
            assert_eq!(fixture.state(job.id).await, State::Cancelled, "chain: {is_chain}");
        }
        assert_eq!(fixture.live_jobs().await, 0);
    }
    fixture.keeps_the_invariants().await;
}
