//! Schedules on a server: races of open transactions, locks, the changes of clients, and what is kept of ticks.

use crate::{
    fixture::{Fixture, concurrently, new_job},
    schedules::{ago, due, fire, fire_one, fired, hourly},
};
use leasehold_core::{Missed, NewJob, NewSchedule, ScheduleName, Timing};
use leasehold_ports::{Fire, FireOutcome};
use leasehold_store::{Error, Schedule, ScheduleChange};
use sqlx::{AssertSqlSafe, Executor, PgConnection, Row};
use std::time::Duration;

fn schedule_name(name: &str) -> ScheduleName {
    name.parse().expect("a name")
}

async fn read(fixture: &Fixture, name: &str) -> Schedule {
    fixture.schedules(Some(&schedule_name(name))).await.expect("schedules").pop().expect("the schedule")
}

async fn change(fixture: &Fixture, name: &str, change: ScheduleChange<'_>) -> Option<bool> {
    fixture.change_schedule(&schedule_name(name), change).await.expect("a change")
}

/// A reaper that has fired and has not committed: it may die here.
async fn fires_without_commit(fixture: &Fixture, fire: &Fire) -> PgConnection {
    let mut reaper = fixture.connection().await;
    let Fire { name, revision, due_at, next_at, .. } = fire;
    let script = format!(
        "BEGIN; SELECT * FROM leasehold.fire_schedules('{{{name}}}', '{{{revision}}}', ARRAY['{due_at}'::timestamptz],
            ARRAY['{{\"{due_at}\"}}'], ARRAY['{next_at}'::timestamptz], '{{NULL}}')"
    );
    let rows = reaper.fetch_all(AssertSqlSafe(script)).await.expect("firing");
    let outcome: String = rows[0].try_get_unchecked("outcome").expect("an outcome");
    assert_eq!(outcome, "fired");
    reaper
}

#[tokio::test]
async fn a_reaper_that_dies_before_its_commit_leaves_the_tick_to_another() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(1)).await;
    let fire = fire(&due(&fixture).await[0]);
    let mut first = fires_without_commit(&fixture, &fire).await;
    assert_eq!(fire_one(&fixture, &fire).await, FireOutcome::Elsewhere, "it does not wait for the other one");
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut first).await.expect("a pid");
    fixture.sql(format!("SELECT pg_terminate_backend({pid}, 10000)")).await;
    assert_eq!(fired(fire_one(&fixture, &fire).await).len(), 1);
    assert_eq!(fixture.live_jobs().await, 1);
}

#[tokio::test]
async fn a_reaper_that_comes_back_after_another_has_fired_changes_nothing() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(1)).await;
    let fire = fire(&due(&fixture).await[0]);
    let mut first = fires_without_commit(&fixture, &fire).await;
    first.execute("COMMIT").await.expect("commit");
    assert_eq!(fire_one(&fixture, &fire).await, FireOutcome::Elsewhere);
    assert_eq!(fixture.live_jobs().await, 1);
}

/// The primary key of the ticks, by itself: whatever else goes wrong, no tick has two jobs.
#[tokio::test]
async fn the_table_of_ticks_has_one_row_for_each() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(1)).await;
    let insert =
        "INSERT INTO leasehold.schedule_tick (schedule, tick, job) VALUES ('s', '2026-01-01', gen_random_uuid())";
    fixture.sql(insert).await;
    let error = sqlx::query(insert).execute(fixture.pool()).await.expect_err("a second one");
    let by = error.as_database_error().and_then(|error| error.constraint()).map(str::to_owned);
    assert_eq!(by.as_deref(), Some("schedule_tick_pkey"));
}

#[tokio::test]
async fn a_clock_that_is_behind_fires_no_tick_twice() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(1)).await;
    let first = fire(&due(&fixture).await[0]);
    fired(fire_one(&fixture, &first).await);
    // As if a new primary had been an hour behind, and its reaper had found the earlier tick again.
    fixture.sql(format!("UPDATE leasehold.schedule SET next_at = '{}'", first.due_at)).await;
    assert_eq!(fired(fire_one(&fixture, &first).await), []);
    assert_eq!(fixture.live_jobs().await, 1);
}

#[tokio::test]
async fn a_held_unique_key_holds_up_its_own_schedule_only() {
    let fixture = Fixture::start().await;
    let unique = NewSchedule { job: NewJob { unique_key: Some("one".into()), ..new_job() }, ..hourly("held") };
    fixture.set_schedule(&unique, ago(2)).await;
    fixture.set_schedule(&hourly("free"), ago(1)).await;
    let mut other = fixture.connection().await;
    other.execute("BEGIN; SELECT leasehold.enqueue('k', '{}', unique_key => 'one')").await.expect("enqueue");
    let fires: Vec<Fire> = due(&fixture).await.iter().map(fire).collect();
    let outcomes = fixture.fire_schedules(&fires).await.expect("firing");
    assert!(matches!(&outcomes[..], [FireOutcome::Held, FireOutcome::Fired(jobs)] if jobs.len() == 1), "{outcomes:?}");
    assert_eq!(due(&fixture).await.len(), 1, "it is due still");

    other.execute("ROLLBACK").await.expect("rollback");
    assert_eq!(fired(fire_one(&fixture, &fires[0]).await).len(), 1);
    assert_eq!(fixture.live_jobs().await, 2);
}

#[tokio::test]
async fn a_job_that_is_refused_costs_its_own_tick_only_and_is_reported() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("bad"), ago(2)).await;
    fixture.set_schedule(&hourly("good"), ago(1)).await;
    let deep = format!("{}{}", "[".repeat(150), "]".repeat(150));
    fixture.sql(format!("UPDATE leasehold.schedule SET payload = '{deep}' WHERE name = 'bad'")).await;
    let fires: Vec<Fire> = due(&fixture).await.iter().map(fire).collect();
    let outcomes = fixture.fire_schedules(&fires).await.expect("firing");
    let [FireOutcome::Refused(problem), FireOutcome::Fired(jobs)] = &outcomes[..] else { panic!("{outcomes:?}") };
    assert!(problem.contains("payload is nested too deeply") && jobs.len() == 1, "{outcomes:?}");
    let bad = read(&fixture, "bad").await;
    assert_eq!((bad.last_error.as_ref(), bad.next_at), (Some(problem), Some(fires[0].next_at)));
    let checks: Vec<String> =
        fixture.violations().await.expect("violations").into_iter().map(|found| found.check).collect();
    assert_eq!(checks, ["schedule_makes_no_job"]);

    fixture.set_schedule(&hourly("bad"), ago(1)).await;
    assert_eq!(read(&fixture, "bad").await.last_error, None);
}

#[tokio::test]
async fn a_change_says_what_it_changed() {
    let fixture = Fixture::start().await;
    let (first, resumed) = (ago(-100), ago(-200));
    assert_eq!(change(&fixture, "s", ScheduleChange::Pause).await, None, "there is none");
    assert_eq!(change(&fixture, "s", ScheduleChange::Remove).await, None);
    fixture.set_schedule(&hourly("s"), first).await;
    assert_eq!(change(&fixture, "s", ScheduleChange::Resume { revision: 1, next_at: resumed }).await, Some(false));
    assert_eq!(change(&fixture, "s", ScheduleChange::Pause).await, Some(true));
    assert_eq!(change(&fixture, "s", ScheduleChange::Pause).await, Some(false));
    let paused = read(&fixture, "s").await;
    assert!(paused.next_at.is_none() && paused.paused_at.is_some());

    let schedule = NewSchedule { missed: Missed::All(3), ..hourly("s") };
    change(&fixture, "s", ScheduleChange::Set { schedule: &schedule, next_at: first }).await;
    let set = read(&fixture, "s").await;
    assert!(set.next_at.is_none() && set.missed == Missed::All(3), "a change ends no pause: {set:?}");
    let stale = ScheduleChange::Resume { revision: paused.revision, next_at: resumed };
    assert_eq!(change(&fixture, "s", stale).await, Some(false), "the tick was found for another revision");
    let fresh = ScheduleChange::Resume { revision: set.revision, next_at: resumed };
    assert_eq!(change(&fixture, "s", fresh).await, Some(true));
    let resumed_row = read(&fixture, "s").await;
    assert_eq!((resumed_row.next_at, resumed_row.paused_at), (Some(resumed), None));
    assert_eq!(change(&fixture, "s", ScheduleChange::Remove).await, Some(true));
    assert!(fixture.schedules(None).await.expect("schedules").is_empty());
}

#[tokio::test]
async fn a_paused_schedule_is_not_due_and_a_reaper_that_has_read_it_before_fires_nothing() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(1)).await;
    let before = fire(&due(&fixture).await[0]);
    change(&fixture, "s", ScheduleChange::Pause).await;
    assert!(due(&fixture).await.is_empty());
    assert_eq!(fire_one(&fixture, &before).await, FireOutcome::Elsewhere);
    change(&fixture, "s", ScheduleChange::Remove).await;
    assert_eq!(fire_one(&fixture, &before).await, FireOutcome::Elsewhere);
    assert_eq!(fixture.live_jobs().await, 0);
}

#[tokio::test]
async fn another_timing_takes_effect_at_once_and_the_same_keeps_its_tick() {
    let fixture = Fixture::start().await;
    let (first, second) = (ago(-100), ago(-5));
    fixture.set_schedule(&hourly("s"), first).await;
    fixture.set_schedule(&hourly("s"), second).await;
    assert_eq!(read(&fixture, "s").await.next_at, Some(first), "the timing is the same");
    let timings = [
        Timing::Cron { cron: "0 * * * *".into(), timezone: "Europe/Berlin".into() },
        Timing::Every(Duration::from_secs(90)),
    ];
    for (timing, next_at) in timings.into_iter().zip([second, ago(-7)]) {
        let schedule = NewSchedule { timing: timing.clone(), ..hourly("s") };
        fixture.set_schedule(&schedule, next_at).await;
        let row = read(&fixture, "s").await;
        assert_eq!((row.next_at, row.timing()), (Some(next_at), timing));
    }
}

#[tokio::test]
async fn a_schedule_comes_back_as_it_was_set() {
    let fixture = Fixture::start().await;
    let job = NewJob {
        priority: -3,
        max_attempts: 9,
        timeout: Some(Duration::from_millis(1500)),
        unique_key: Some("u".into()),
        limit_keys: vec!["l".into()],
        fair_key: Some("f".into()),
        queue: crate::fixture::name("q"),
        ..new_job()
    };
    let set = NewSchedule { job, missed: Missed::Skip, ..hourly("s") };
    fixture.set_schedule(&set, ago(-100)).await;
    let row = read(&fixture, "s").await;
    let back = NewJob { id: set.job.id, ..row.job() };
    assert_eq!(format!("{back:?}"), format!("{:?}", set.job));
    assert_eq!((row.timing(), row.missed, row.last_tick, row.last_job), (set.timing, set.missed, None, None));
}

#[tokio::test]
async fn the_ticks_of_a_day_and_the_last_one_are_kept() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(200_000)).await;
    let fire_at = async |seconds: i64, next: i64| {
        let due = &due(&fixture).await[0];
        let fire = Fire { ticks: vec![ago(seconds)], next_at: ago(next), ..fire(due) };
        fired(fire_one(&fixture, &fire).await)
    };
    let kept = || fixture.number("SELECT count(*) FROM leasehold.schedule_tick");
    fire_at(200_000, 190_000).await;
    fire_at(190_000, 100).await;
    assert_eq!(kept().await, 2, "both were fired just now");
    fixture.sql("UPDATE leasehold.schedule_tick SET fired_at = tick").await;
    let last = fire_at(100, -100).await;
    assert_eq!(kept().await, 1);
    let row = read(&fixture, "s").await;
    assert_eq!((row.last_tick, row.last_job), (Some(last[0].tick), Some(last[0].id)));
    change(&fixture, "s", ScheduleChange::Remove).await;
    assert_eq!((kept().await, fixture.live_jobs().await), (0, 3), "jobs stay");
}

#[tokio::test]
async fn a_locked_schedule_is_named_and_is_passed_over_by_reapers() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(1)).await;
    let mut other = fixture.connection().await;
    other.execute("BEGIN; SELECT * FROM leasehold.schedule FOR UPDATE").await.expect("a lock");
    let store = fixture.store.clone().with_lock_timeout(Duration::from_millis(300));
    let error = store.change_schedule(&schedule_name("s"), ScheduleChange::Pause).await.expect_err("a lock");
    assert!(
        matches!(error, Error::Locked(_)) && error.to_string().contains("schedule s is held by an open"),
        "{error}"
    );
    assert_eq!(fire_one(&fixture, &fire(&due(&fixture).await[0])).await, FireOutcome::Elsewhere);
    other.execute("ROLLBACK").await.expect("rollback");
    assert_eq!(fired(fire_one(&fixture, &fire(&due(&fixture).await[0])).await).len(), 1);
}

#[tokio::test]
async fn an_invalid_job_is_refused_when_the_schedule_is_made() {
    let fixture = Fixture::start().await;
    let bad =
        NewSchedule { job: NewJob { priority: 101, unique_key: Some(String::new()), ..new_job() }, ..hourly("s") };
    let change = ScheduleChange::Set { schedule: &bad, next_at: ago(-100) };
    let error = fixture.change_schedule(&bad.name, change).await.expect_err("an invalid job").to_string();
    assert_eq!(error, "priority is 101; it must be from -100 to 100; unique_key is empty");
    assert!(fixture.schedules(None).await.expect("schedules").is_empty());
}

#[tokio::test]
async fn ten_thousand_schedules_fire_in_a_few_statements() {
    let fixture = Fixture::start().await;
    fixture
        .sql(
            "INSERT INTO leasehold.schedule (name, every_ms, kind, next_at)
             SELECT 's' || n, 60000, 'k', now() - interval '1 second' FROM generate_series(1, 10000) AS n",
        )
        .await;
    let mut total = 0;
    loop {
        let seen = fixture.due_schedules(500, None).await.expect("due schedules").due;
        if seen.is_empty() {
            break;
        }
        let fires: Vec<Fire> = seen.iter().map(fire).collect();
        // Two reapers at the same time, with the same schedules.
        for outcomes in concurrently((0..2).map(|_| fixture.fire_schedules(&fires))).await {
            for outcome in outcomes.expect("firing") {
                total += i64::from(matches!(outcome, FireOutcome::Fired(_)));
            }
        }
    }
    assert_eq!((total, fixture.live_jobs().await), (10_000, 10_000));
    let late = fixture.number("SELECT count(*) FROM leasehold.schedule WHERE next_at < now()").await;
    assert_eq!(late, 0);
    let ticks = fixture.number("SELECT count(DISTINCT job) FROM leasehold.schedule_tick").await;
    assert_eq!(ticks, 10_000);
}
