//! Schedules as a reaper sees them: what is due, and that each tick makes one job.

use crate::fixture::{Fixture, LEASE, concurrently, new_job};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use leasehold_core::{Missed, NewJob, NewSchedule, State, Timing, WorkerId};
use leasehold_ports::{DueSchedule, Fire, FireOutcome, Kinds, TickJob};
use std::time::Duration;

/// A schedule of every hour.
pub(crate) fn hourly(name: &str) -> NewSchedule {
    NewSchedule {
        name: name.parse().expect("a name"),
        timing: Timing::Cron { cron: "0 * * * *".to_owned(), timezone: "UTC".to_owned() },
        missed: Missed::One,
        job: new_job(),
    }
}

pub(crate) fn ago(seconds: i64) -> DateTime<Utc> {
    (Utc::now() - TimeDelta::seconds(seconds)).trunc_subsecs(6)
}

/// A fire of this one tick of a schedule.
pub(crate) fn fire(due: &DueSchedule) -> Fire {
    Fire {
        name: due.name.clone(),
        revision: due.revision,
        due_at: due.next_at,
        ticks: vec![due.next_at],
        next_at: due.next_at + TimeDelta::hours(1),
        error: None,
    }
}

pub(crate) async fn due(fixture: &Fixture) -> Vec<DueSchedule> {
    fixture.due_schedules(100, None).await.expect("due schedules").due
}

pub(crate) async fn fire_one(fixture: &Fixture, fire: &Fire) -> FireOutcome {
    let mut outcomes = fixture.fire_schedules(std::slice::from_ref(fire)).await.expect("firing");
    assert_eq!(outcomes.len(), 1);
    outcomes.remove(0)
}

/// The jobs of a fire that took place.
#[track_caller]
pub(crate) fn fired(outcome: FireOutcome) -> Vec<TickJob> {
    match outcome {
        FireOutcome::Fired(jobs) => jobs,
        other => panic!("it has not fired: {other:?}"),
    }
}

#[tokio::test]
async fn a_due_schedule_makes_the_job_of_its_tick_and_moves_on() {
    let fixture = Fixture::start().await;
    let tick = ago(90);
    let schedule = NewSchedule { job: NewJob { priority: 2, max_attempts: 7, ..new_job() }, ..hourly("s") };
    fixture.set_schedule(&schedule, tick).await;
    let found = due(&fixture).await;
    assert_eq!((found.len(), found[0].name.as_str(), found[0].next_at), (1, "s", tick));
    assert_eq!((&found[0].timing, found[0].missed), (&schedule.timing, Missed::One));

    let fire = fire(&found[0]);
    let jobs = fired(fire_one(&fixture, &fire).await);
    let job = fixture.record(jobs[0].id).await;
    assert_eq!((jobs.len(), jobs[0].tick, jobs[0].inserted, jobs[0].state), (1, tick, true, State::Queued));
    assert_eq!((job.run_at, job.state, job.priority, job.max_attempts), (tick, State::Queued, 2, 7));
    assert_eq!((job.kind.as_str(), job.queue.as_str(), job.payload.get()), ("k", "default", r#"{"n":1}"#));
    assert_eq!(jobs[0].line_at, Some(tick - TimeDelta::hours(2)), "the head start of its priority");

    let seen = fixture.due_schedules(100, None).await.expect("due schedules");
    assert!(seen.due.is_empty() && seen.next_due == Some(fire.next_at), "{seen:?}");
    assert_eq!(fire_one(&fixture, &fire).await, FireOutcome::Elsewhere, "once");
    assert_eq!(fixture.live_jobs().await, 1);
}

#[tokio::test]
async fn of_eight_reapers_one_fires() {
    let fixture = Fixture::start().await;
    for name in ["a", "b", "c"] {
        fixture.set_schedule(&hourly(name), ago(1)).await;
    }
    let fires: Vec<Fire> = due(&fixture).await.iter().map(fire).collect();
    // The first jobs of a queue wait for each other's transaction to make the row of the queue. A reaper that has waited for
    // longer than 20 ms finds the schedule held, and tries again at its next tick.
    let reaper = async || {
        let (mut outcomes, mut left) = (Vec::new(), fires.clone());
        while !left.is_empty() {
            let answers = fixture.fire_schedules(&left).await.expect("firing");
            let (held, ended): (Vec<_>, Vec<_>) = std::mem::take(&mut left)
                .into_iter()
                .zip(answers)
                .partition(|(_, outcome)| *outcome == FireOutcome::Held);
            left.extend(held.into_iter().map(|(fire, _)| fire));
            outcomes.extend(ended.into_iter().map(|(_, outcome)| outcome));
        }
        outcomes
    };
    let outcomes: Vec<FireOutcome> = concurrently((0..8).map(|_| reaper())).await.into_iter().flatten().collect();
    let count =
        outcomes.iter().filter(|outcome| matches!(outcome, FireOutcome::Fired(jobs) if jobs.len() == 1)).count();
    let elsewhere = outcomes.iter().filter(|outcome| **outcome == FireOutcome::Elsewhere).count();
    assert_eq!((count, elsewhere, fixture.live_jobs().await), (3, 21, 3), "{outcomes:?}");
}

#[tokio::test]
async fn a_schedule_that_changes_while_it_is_due_fires_as_it_is_then() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(1)).await;
    let before = fire(&due(&fixture).await[0]);
    let changed = NewSchedule { job: NewJob { max_attempts: 2, ..new_job() }, ..hourly("s") };
    fixture.set_schedule(&changed, ago(-3600)).await;
    assert_eq!(fire_one(&fixture, &before).await, FireOutcome::Elsewhere);
    assert_eq!(fixture.live_jobs().await, 0);

    let now = &due(&fixture).await[0];
    assert_eq!(now.next_at, before.due_at, "the timing is the same, and so is the tick");
    let jobs = fired(fire_one(&fixture, &fire(now)).await);
    assert_eq!(fixture.record(jobs[0].id).await.max_attempts, 2);
}

#[tokio::test]
async fn a_tick_that_comes_again_makes_no_second_job() {
    let fixture = Fixture::start().await;
    let tick = ago(5);
    fixture.set_schedule(&hourly("s"), tick).await;
    assert_eq!(fired(fire_one(&fixture, &fire(&due(&fixture).await[0])).await).len(), 1);
    // Another timing with the same tick: somebody changes the schedule in the moment of its tick.
    let changed = NewSchedule { timing: Timing::Every(Duration::from_secs(60)), ..hourly("s") };
    fixture.set_schedule(&changed, tick).await;
    let again = fire(&due(&fixture).await[0]);
    assert_eq!(fired(fire_one(&fixture, &again).await), []);
    assert_eq!(fixture.live_jobs().await, 1);
    assert!(due(&fixture).await.is_empty(), "it has moved on");
    // The same tick of another schedule is another one.
    fixture.set_schedule(&hourly("other"), tick).await;
    assert_eq!(fired(fire_one(&fixture, &fire(&due(&fixture).await[0])).await).len(), 1);
}

#[tokio::test]
async fn missed_ticks_make_their_jobs_in_order() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(10_800)).await;
    let due = &due(&fixture).await[0];
    let ticks = vec![ago(7_200), ago(3_600), ago(0)];
    let next_at = ago(-60);
    let jobs = fired(fire_one(&fixture, &Fire { ticks: ticks.clone(), next_at, ..fire(due) }).await);
    assert_eq!(jobs.iter().map(|job| job.tick).collect::<Vec<_>>(), ticks);
    let line = fixture.front(&crate::fixture::name("default"), &Kinds::All, 10).await.expect("line").ids();
    assert_eq!(line, jobs.iter().map(|job| job.id).collect::<Vec<_>>());

    fixture.set_schedule(&hourly("skips"), ago(7_200)).await;
    let due = &self::due(&fixture).await[0];
    assert_eq!(fired(fire_one(&fixture, &Fire { ticks: Vec::new(), next_at, ..fire(due) }).await), []);
    assert_eq!((fixture.live_jobs().await, self::due(&fixture).await.len()), (3, 0), "all of them are skipped");
}

#[tokio::test]
async fn while_a_job_with_the_unique_key_lives_a_tick_makes_none() {
    let fixture = Fixture::start().await;
    let unique = NewSchedule { job: NewJob { unique_key: Some("one".into()), ..new_job() }, ..hourly("s") };
    fixture.set_schedule(&unique, ago(7_200)).await;
    let next = |due: &DueSchedule| Fire { next_at: ago(60), ..fire(due) };
    let first = fired(fire_one(&fixture, &next(&due(&fixture).await[0])).await);
    let second = fired(fire_one(&fixture, &fire(&due(&fixture).await[0])).await);
    assert_eq!((first[0].inserted, second[0].inserted, second[0].id), (true, false, first[0].id));
    assert_eq!(fixture.live_jobs().await, 1);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_moves_on_without_a_job() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(1)).await;
    let fire = Fire { ticks: Vec::new(), error: Some("no such zone".to_owned()), ..fire(&due(&fixture).await[0]) };
    assert_eq!(fire_one(&fixture, &fire).await, FireOutcome::Refused("no such zone".to_owned()));
    assert_eq!((fixture.live_jobs().await, due(&fixture).await.len()), (0, 0));
}

#[tokio::test]
async fn due_schedules_come_in_order_and_from_a_scan_start() {
    let fixture = Fixture::start().await;
    let nothing = fixture.due_schedules(10, None).await.expect("due schedules");
    assert!(nothing.due.is_empty() && nothing.next_due.is_none(), "{nothing:?}");
    for (name, seconds) in [("b", 30), ("a", 10), ("c", 20), ("later", -50), ("much_later", -500)] {
        fixture.set_schedule(&hourly(name), ago(seconds)).await;
    }
    let names = async |limit, since| {
        let seen = fixture.due_schedules(limit, since).await.expect("due schedules");
        assert!(seen.next_due.is_some_and(|next| next > seen.now && next < seen.now + TimeDelta::seconds(51)));
        seen.due.iter().map(|due| due.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(names(10, None).await, ["b", "c", "a"]);
    assert_eq!(names(2, None).await, ["b", "c"]);
    assert_eq!(names(10, Some(ago(25))).await, ["c", "a"]);
    assert_eq!(names(10, Some(ago(0))).await, Vec::<String>::new());
}

/// The job of a tick goes the way of all jobs.
#[tokio::test]
async fn the_job_of_a_tick_runs() {
    let fixture = Fixture::start().await;
    fixture.set_schedule(&hourly("s"), ago(1)).await;
    let jobs = fired(fire_one(&fixture, &fire(&due(&fixture).await[0])).await);
    let claimed = fixture.claim(WorkerId::new(), &[jobs[0].id], &Kinds::All, LEASE).await.expect("claim");
    assert_eq!(claimed.len(), 1);
}
