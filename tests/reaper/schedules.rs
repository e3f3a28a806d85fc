//! Schedules whose tick has come.

use crate::world::{HEAD_MAX, SOON, World, kind, new_job, queue, report};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{JobId, Missed, NewJob, NewSchedule, ScheduleName, State, Timing};
use leasehold_reaper::StepReport;
use leasehold_servers::PostgresOptions;
use leasehold_store::ScheduleChange;
use leasehold_tests::{Database, RedisServer, Stores};
use std::time::Duration;

fn schedule_name(name: &str) -> ScheduleName {
    name.parse().expect("a name")
}

/// A schedule whose ticks are an hour apart.
fn hourly(name: &str) -> NewSchedule {
    NewSchedule {
        name: schedule_name(name),
        timing: Timing::Every(Duration::from_secs(3600)),
        missed: Missed::One,
        job: new_job(),
    }
}

fn ago(seconds: i64) -> DateTime<Utc> {
    Utc::now() - TimeDelta::seconds(seconds)
}

impl World {
    async fn set_schedule(&self, schedule: &NewSchedule, next_at: DateTime<Utc>) {
        let set = ScheduleChange::Set { schedule, next_at };
        self.store.change_schedule(&schedule.name, set).await.expect("setting a schedule");
    }

    async fn jobs(&self) -> i64 {
        self.number("SELECT count(*) FROM leasehold.jobs").await
    }
}

/// How many schedules a tick moved on. A step that is not wanted makes no report.
fn moved(reports: &[StepReport]) -> u64 {
    let step = reports.iter().find(|report| report.step == "schedules");
    step.map_or(0, |report| {
        assert_eq!(report.error, None);
        report.changed
    })
}

#[tokio::test]
async fn a_due_schedule_puts_its_job_into_the_line_and_the_head() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    let waiting = world.enqueue_and_push(1).await;
    world.set_schedule(&hourly("later"), ago(-60)).await;
    assert_eq!(moved(&reaper.tick().await), 0, "not before its time");

    let high = NewSchedule { job: NewJob { priority: 9, ..new_job() }, ..hourly("now") };
    world.set_schedule(&high, ago(1)).await;
    let reports = reaper.tick().await;
    assert_eq!((report(&reports, "schedules").changed, report(&reports, "head").changed), (1, 0), "{reports:?}");
    let ready = world.snapshot().await.ready;
    assert_eq!((ready.len(), ready[1]), (2, waiting[0]), "a high priority goes to the front");
    assert_eq!(world.state(ready[0]).await, State::Queued);

    assert_eq!((moved(&reaper.tick().await), world.jobs().await), (0, 2), "once");
    let row = world.store.schedules(Some(&high.name)).await.expect("schedules").remove(0);
    assert_eq!((row.last_job, row.next_at > Some(ago(-3500))), (Some(ready[0]), true), "{row:?}");
}

#[tokio::test]
async fn three_reapers_fire_each_tick_once() {
    let world = World::with_head_max(4096).await;
    let (mut one, mut two, mut three) = (world.reaper().await, world.reaper().await, world.reaper().await);
    for n in 0..40 {
        world.set_schedule(&hourly(&format!("s{n}")), ago(1)).await;
    }
    let (one, two, three) = tokio::join!(one.tick(), two.tick(), three.tick());
    let sum: u64 = [one, two, three].iter().map(|reports| moved(reports)).sum();
    assert_eq!((sum, world.jobs().await), (40, 40));
    let jobs = world.number("SELECT count(DISTINCT job) FROM leasehold.schedule_tick").await;
    assert_eq!(jobs, 40);
}

#[tokio::test]
async fn a_change_takes_effect_at_the_next_tick() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.set_schedule(&hourly("s"), ago(-3600)).await;
    assert_eq!(moved(&reaper.tick().await), 0);
    // The reaper knows that the next tick is in an hour.
    assert_eq!(moved(&reaper.tick().await), 0);
    let minutely = NewSchedule { timing: Timing::Every(Duration::from_secs(60)), ..hourly("s") };
    world.set_schedule(&minutely, ago(0)).await;
    assert_eq!((moved(&reaper.tick().await), world.jobs().await), (1, 1));

    world.set_schedule(&hourly("s"), ago(0)).await;
    world.store.change_schedule(&schedule_name("s"), ScheduleChange::Pause).await.expect("a pause");
    assert_eq!((moved(&reaper.tick().await), world.jobs().await), (0, 1), "paused");
}

#[tokio::test]
async fn a_reaper_that_waits_for_a_known_tick_fires_it_when_it_comes() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.set_schedule(&hourly("s"), ago(-1)).await;
    leasehold_tests::eventually("the tick is fired", SOON, async || {
        let moved = moved(&reaper.tick().await);
        if moved == 1 { Ok(()) } else { Err(moved) }
    })
    .await;
    let late =
        world.number("SELECT (extract(epoch FROM fired_at - tick) * 1000)::bigint FROM leasehold.schedule_tick").await;
    assert!((0..5_000).contains(&late), "{late} ms");
}

#[tokio::test]
async fn a_tick_of_a_schedule_does_not_wait_for_a_tick_of_the_reaper() {
    let world = World::start().await;
    let every_second = NewSchedule { timing: Timing::Every(Duration::from_secs(1)), ..hourly("s") };
    world.set_schedule(&every_second, ago(-1)).await;
    let (_, stop) = world.with_an_endless_tick("schedules").await;
    leasehold_tests::eventually("three ticks are fired", SOON, async || {
        let jobs = world.jobs().await;
        if jobs >= 3 { Ok(()) } else { Err(jobs) }
    })
    .await;
    stop.cancel();
}

/// An outage of all reapers: the ticks of five hours.
#[tokio::test]
async fn missed_ticks_follow_the_rule_of_their_schedule() {
    let world = World::start().await;
    for (name, missed) in [("skip", Missed::Skip), ("one", Missed::One), ("all", Missed::All(3))] {
        let job = NewJob { kind: kind(name), ..new_job() };
        world.set_schedule(&NewSchedule { missed, job, ..hourly(name) }, ago(5 * 3600 - 600)).await;
    }
    let mut reaper = world.new_reaper();
    assert_eq!(moved(&reaper.tick().await), 3);
    let count =
        async |kind: &str| world.number(format!("SELECT count(*) FROM leasehold.jobs WHERE kind = '{kind}'")).await;
    assert_eq!((count("skip").await, count("one").await, count("all").await), (0, 1, 3));
    let ticks = "SELECT count(*) FROM leasehold.schedule WHERE next_at > now() AND next_at < now() + interval '1 hour'";
    assert_eq!((world.number(ticks).await, moved(&reaper.tick().await)), (3, 0));
}

#[tokio::test]
async fn a_schedule_that_this_program_cannot_read_holds_up_no_other() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world
        .sql(
            "INSERT INTO leasehold.schedule (name, cron, timezone, kind, next_at)
              VALUES ('mars', '* * * * *', 'Mars/Olympus', 'k', now() - interval '1 minute')",
        )
        .await;
    world.set_schedule(&hourly("s"), ago(1)).await;
    assert_eq!((moved(&reaper.tick().await), world.jobs().await), (2, 1));
    let row = world.store.schedules(Some(&schedule_name("mars"))).await.expect("schedules").remove(0);
    let error = row.last_error.unwrap_or_default();
    assert!(error.contains("Mars/Olympus") && row.next_at > Some(Utc::now()), "{error}");
    assert_eq!(moved(&reaper.tick().await), 0, "not at every tick");
}

/// Redis is unavailable: the job is in the line, and the head step finds it.
#[tokio::test]
async fn without_redis_schedules_fire_too() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.set_schedule(&hourly("s"), ago(1)).await;
    world.stores.redis.server().kill();
    assert_eq!((moved(&reaper.tick().await), world.jobs().await), (1, 1));
}

#[tokio::test]
async fn ten_thousand_schedules_cost_an_idle_reaper_nothing() {
    const TICKS: i64 = 20;
    let settings = vec!["shared_preload_libraries=pg_stat_statements".to_owned()];
    let options = PostgresOptions { fsync: false, max_connections: 40, password: false, settings };
    let (database, redis) = tokio::join!(Database::start_apart(options), RedisServer::start());
    let world = World::on(Stores { database, redis }, HEAD_MAX).await;
    world.sql("CREATE EXTENSION pg_stat_statements").await;
    world
        .sql(
            "INSERT INTO leasehold.schedule (name, every_ms, kind, next_at)
             SELECT 's' || n, 3600000, 'k', now() + interval '1 hour' FROM generate_series(1, 10000) AS n;
             ANALYZE leasehold.schedule",
        )
        .await;
    let mut reaper = world.reaper().await;
    reaper.tick().await;
    world.sql("SELECT pg_stat_statements_reset()").await;
    for _ in 0..TICKS {
        reaper.tick().await;
    }
    let of_all = "FROM pg_stat_statements WHERE query NOT LIKE '%pg_stat_statements%'";
    let calls = world.number(format!("SELECT coalesce(sum(calls), 0)::bigint {of_all}")).await;
    // As many as without a schedule: see `idle`.
    assert!((4 * TICKS..=6 * TICKS).contains(&calls), "{calls} statements in {TICKS} ticks");
    let of_schedules =
        "FROM pg_stat_statements WHERE query LIKE '-- schedule_due%' OR query LIKE '%leasehold.schedule s%'";
    let calls = world.number(format!("SELECT coalesce(sum(calls), 0)::bigint {of_schedules}")).await;
    let pages = world
        .number(format!("SELECT coalesce(sum(shared_blks_hit + shared_blks_read), 0)::bigint {of_schedules}"))
        .await;
    assert!(calls < TICKS && pages <= calls * 10, "{calls} statements read {pages} pages");
}

/// Dead index entries that PostgreSQL must keep, because somebody has an old transaction open.
#[tokio::test]
async fn ticks_of_the_past_are_not_read_again() {
    let world = World::start().await;
    let mut reaper = world.reaper().await;
    world.set_schedule(&hourly("s"), ago(1)).await;
    assert_eq!(moved(&reaper.tick().await), 1);
    // The last look was a moment ago, and a tick of an hour ago cannot have come since.
    world.sql("UPDATE leasehold.schedule SET next_at = now() - interval '1 hour'").await;
    assert_eq!(moved(&reaper.tick().await), 0);
    // A reaper that has just started reads everything.
    assert_eq!(moved(&world.reaper().await.tick().await), 0, "its first ticks were those of `World::reaper`");
    let ids: Vec<JobId> = world.handoff.snapshot(&queue()).await.expect("snapshot").ready;
    assert_eq!((world.jobs().await, ids.len()), (2, 2));
}
