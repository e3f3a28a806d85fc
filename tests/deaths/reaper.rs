//! Reapers that die between two writes of a step. Each step may run twice: the next tick of any reaper repeats it.

use crate::scene::{HintPlace, Left, Scene, TIMEOUT, untouched};
use leasehold::{JobId, Missed, NewSchedule, ParentFailure, QueueName, State, Timing};
use leasehold_core::{FailPoint, WorkerId};
use leasehold_store::{Kinds, ScheduleChange};
use leasehold_tests::eventually;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use std::time::Duration;

/// For leases that last longer than a test.
const LONG: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_job_that_was_not_pushed_is_found_by_the_head() {
    let mut scene = Scene::start().await;
    let job = scene.client.enqueue(scene.probe(0)).delay(Duration::from_millis(100));
    let id = job.send().await.expect("enqueueing").get();
    scene.mortal(&["reaper"], FailPoint::PromoteCommitted).dead().await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Nowhere));

    assert_eq!(scene.tick("head").await, 1, "within a tick");
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_was_told_and_not_pushed_is_found_by_the_head() {
    let mut scene = Scene::start().await;
    let parent =
        scene.client.enqueue(scene.probe(0)).delay(Duration::from_secs(3600)).send().await.expect("enqueueing");
    let child = scene.client.enqueue(scene.probe(0)).depends_on([parent]).on_parent_failure(ParentFailure::Run);
    let child = child.send().await.expect("enqueueing").get();
    // A transaction with one snapshot leaves the children to a reaper.
    let mut other = scene.stores().database.connect().await;
    let cancel = format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT leasehold.cancel('{}'); COMMIT", parent.get());
    sqlx::raw_sql(sqlx::AssertSqlSafe(cancel)).execute(&mut other).await.expect("cancelling");
    scene.mortal(&["reaper"], FailPoint::ChildrenTold).dead().await;
    assert_eq!(scene.left(child).await, untouched(HintPlace::Nowhere));

    assert_eq!(scene.tick("head").await, 1, "within a tick");
    scene.succeeds(child, 1).await;
}

/// A schedule whose tick has come.
async fn due_schedule(scene: &Scene) -> NewSchedule {
    let schedule = NewSchedule {
        name: "s".parse().expect("a name"),
        timing: Timing::Every(Duration::from_secs(3600)),
        missed: Missed::One,
        job: scene.client.enqueue(scene.probe(0)).build().expect("a job"),
    };
    let next_at = chrono::Utc::now() - chrono::TimeDelta::seconds(1);
    let set = ScheduleChange::Set { schedule: &schedule, next_at };
    scene.store.change_schedule(&schedule.name, set).await.expect("setting a schedule");
    schedule
}

/// The only job that there is.
async fn only_job(scene: &Scene) -> JobId {
    let ids: Vec<uuid::Uuid> =
        sqlx::query_scalar("SELECT id FROM leasehold.jobs").fetch_all(scene.store.pool()).await.expect("reading jobs");
    assert_eq!(ids.len(), 1, "one job for the tick");
    JobId(ids[0])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_of_a_schedule_that_was_not_pushed_is_found_by_the_head() {
    let mut scene = Scene::start().await;
    let process = scene.mortal(&["reaper"], FailPoint::SchedulesFired);
    due_schedule(&scene).await;
    process.dead().await;
    let id = only_job(&scene).await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Nowhere));

    assert_eq!(scene.tick("head").await, 1, "within a tick");
    assert_eq!(only_job(&scene).await, id, "the tick is not fired again");
    scene.succeeds(id, 1).await;
}

/// The reaper dies while its transaction has moved the schedule on and has not committed. A trigger holds the transaction there.
#[tokio::test(flavor = "multi_thread")]
async fn a_reaper_that_dies_before_its_commit_leaves_the_tick_to_the_next_one() {
    let mut scene = Scene::start().await;
    let sql = async |script: &'static str| sqlx::raw_sql(script).execute(scene.store.pool()).await.expect(script);
    sql("CREATE TABLE public.slow (); INSERT INTO public.slow DEFAULT VALUES;
         CREATE FUNCTION public.wait() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN IF EXISTS (SELECT FROM public.slow) THEN PERFORM pg_sleep(600); END IF; RETURN NEW; END $$;
         CREATE TRIGGER wait BEFORE INSERT ON leasehold.schedule_tick FOR EACH ROW EXECUTE FUNCTION public.wait()")
    .await;
    let reaper = scene.mortal(&["reaper"], None);
    due_schedule(&scene).await;
    let sleeping = async || {
        let query = "SELECT count(*) FROM pg_stat_activity
                     WHERE wait_event = 'PgSleep' AND query LIKE '%fire_schedules%' AND datname = current_database()";
        let count: i64 = sqlx::query_scalar(query).fetch_one(scene.store.pool()).await.expect("reading sessions");
        count
    };
    eventually("the reaper is in its transaction", TIMEOUT, async || {
        let count = sleeping().await;
        if count == 1 { Ok(()) } else { Err(count) }
    })
    .await;
    kill(Pid::from_raw(reaper.pid()), Signal::SIGKILL).expect("killing the reaper");
    eventually("the server has ended its transaction", TIMEOUT, async || {
        let count = sleeping().await;
        if count == 0 { Ok(()) } else { Err(count) }
    })
    .await;
    let before: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.jobs")
        .fetch_one(scene.store.pool())
        .await
        .expect("reading jobs");
    assert_eq!(before, 0, "nothing of it is there");
    sql("DELETE FROM public.slow").await;

    assert_eq!(scene.tick("schedules").await, 1);
    let id = only_job(&scene).await;
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_job_whose_lease_still_stands_in_redis_is_swept_back() {
    let mut scene = Scene::start().await;
    let id = orphan(&scene, LONG, Duration::from_millis(10)).await;
    scene.mortal(&["reaper"], FailPoint::ExpireCommitted).dead().await;
    let left = Left { state: State::Queued, epoch: 1, attempt: 1, crashes: 1, hint: HintPlace::Leased };
    assert_eq!(scene.left(id).await, left);

    assert_eq!(scene.ready_again(id).await, ["sweep"]);
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_notice_that_was_not_sent_is_sent_again() {
    let mut scene = Scene::start().await;
    let id = orphan(&scene, LONG, LONG).await;
    scene.store.cancel(&[id]).await.expect("cancelling");
    scene.mortal(&["reaper"], FailPoint::CancelsRead).dead().await;
    assert_eq!(scene.left(id).await.state, State::Running);

    let mut notices = scene.handoff.listen();
    eventually("the notice arrives", TIMEOUT, async || {
        scene.reaper.tick().await;
        match tokio::time::timeout(Duration::from_millis(100), notices.recv()).await {
            Ok(Some(leasehold_handoff::Notice::Cancel { id: told, .. })) if told == id => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_adopted_hint_needs_no_second_adoption() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    let mut taker = scene.handoff.taker(&QueueName::default()).await.expect("a taker");
    assert_eq!(taker.take(TIMEOUT).await.expect("a take"), Some(id));
    scene.mortal(&["reaper"], FailPoint::HintsAdopted).dead().await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Leased));

    assert_eq!(scene.ready_again(id).await, ["leases"]);
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_ran_out_is_handled_again() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    lease(&scene, Duration::from_millis(10)).await;
    scene.mortal(&["reaper"], FailPoint::LeasesRead).dead().await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Leased));

    assert_eq!(scene.ready_again(id).await, ["leases"]);
    scene.succeeds(id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_was_read_and_not_pushed_is_read_again() {
    let mut scene = Scene::start().await;
    let job = leasehold::NewJob::new(
        "probe".parse().expect("a kind"),
        serde_json::value::to_raw_value(&scene.probe(0)).expect("JSON"),
    );
    scene.store.enqueue(std::slice::from_ref(&job)).await.expect("enqueueing");
    scene.mortal(&["reaper"], FailPoint::LineRead).dead().await;
    assert_eq!(scene.left(job.id).await, untouched(HintPlace::Nowhere));

    assert_eq!(scene.tick("head").await, 1, "within a tick");
    scene.succeeds(job.id, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn drift_that_was_found_and_not_repaired_is_found_again() {
    let mut scene = Scene::start().await;
    let id = scene.enqueue().await;
    // The lease is so long that it never runs out: only the comparison of the stores finds the drift.
    lease(&scene, LONG).await;
    scene.mortal(&["reaper"], FailPoint::DriftRead).dead().await;
    assert_eq!(scene.left(id).await, untouched(HintPlace::Leased));

    assert_eq!(scene.ready_again(id).await, ["sweep"]);
    scene.succeeds(id, 1).await;
}

/// Takes and leases the waiting hint, as a worker does before a claim.
async fn lease(scene: &Scene, lease: Duration) -> Vec<JobId> {
    scene.handoff.take(&QueueName::default(), &[], &[], 1, lease).await.expect("a take in Redis").ids
}

/// A job that was claimed by a worker that no longer exists.
async fn orphan(scene: &Scene, in_redis: Duration, in_postgres: Duration) -> JobId {
    let id = scene.enqueue().await;
    let ids = lease(scene, in_redis).await;
    assert_eq!(ids, [id]);
    let claimed = scene
        .store
        .claim(WorkerId::new(), &QueueName::default(), &ids, &Kinds::All, in_postgres)
        .await
        .expect("a claim");
    assert_eq!(claimed.len(), 1);
    id
}
