//! line, survey and fingerprint: the reaper fills the head in Redis from these.

use crate::fixture::{Fixture, LEASE, kind, name, new_job};
use chrono::{DateTime, TimeDelta, Utc};
use leasehold_core::{JobId, NewJob, QueueName, WorkerId};
use leasehold_store::{Fingerprints, Front, Kinds, LinePosition, LineSummary, Slice, Stretch, Survey};
use std::{collections::BTreeMap, time::Duration};

#[tokio::test]
async fn the_line_is_in_order_and_of_the_kinds_asked_for() {
    let fixture = Fixture::start().await;
    let job = |of: &str, priority| NewJob { kind: kind(of), priority, ..new_job() };
    let jobs = [job("a", 0), job("b", 9), job("c", 0), job("a", 9)];
    for job in &jobs {
        fixture.enqueue(std::slice::from_ref(job)).await.expect("enqueue");
    }
    let later = NewJob { delay: Some(Duration::from_secs(60)), ..new_job() };
    fixture.enqueue(&[later]).await.expect("enqueue");
    fixture.running(WorkerId::new()).await;
    let ids = |which: &[usize]| which.iter().map(|&nth| jobs[nth].id).collect::<Vec<JobId>>();
    let line = async |kinds: Kinds, limit| {
        let line = fixture.front(&name("default"), &kinds, limit).await.expect("line");
        (line.ids(), line.more)
    };
    assert_eq!(line(Kinds::All, 10).await, (ids(&[1, 3, 0, 2]), false));
    assert_eq!(line(Kinds::All, 4).await, (ids(&[1, 3, 0, 2]), false));
    assert_eq!(line(Kinds::All, 3).await, (ids(&[1, 3, 0]), true));
    assert_eq!(line(Kinds::Only(vec![kind("a"), kind("c"), kind("x")]), 2).await, (ids(&[3, 0]), true));
    assert_eq!(line(Kinds::Only(vec![]), 2).await, (ids(&[]), false));
}

#[tokio::test]
async fn the_line_after_a_position() {
    let fixture = Fixture::start().await;
    let job = |of: &str, priority| NewJob { kind: kind(of), priority, ..new_job() };
    let jobs = [job("a", 0), job("b", 9), job("c", 0), job("a", 9), job("a", -3), job("b", 0)];
    for job in &jobs {
        fixture.enqueue(std::slice::from_ref(job)).await.expect("enqueue");
    }
    let ids = |which: &[usize]| which.iter().map(|&nth| jobs[nth].id).collect::<Vec<JobId>>();
    let mut places = BTreeMap::new();
    for count in 1..=6 {
        let line = fixture.front(&name("default"), &Kinds::All, count).await.expect("line");
        places.insert(line.ids()[line.ids().len() - 1], line.last.expect("a place"));
    }
    assert!(places.iter().all(|(id, place)| place.id == *id));
    let after = async |kinds: Kinds, nth: usize, limit| {
        let line = fixture.line_after(&name("default"), &kinds, &places[&jobs[nth].id], limit).await;
        let line = line.expect("line_after");
        assert_eq!(line.last, line.ids().last().map(|id| places[id]));
        (line.ids(), line.more)
    };
    // The order of the line is 1 3 0 2 5 4.
    assert_eq!(after(Kinds::All, 1, 10).await, (ids(&[3, 0, 2, 5, 4]), false));
    assert_eq!(after(Kinds::All, 1, 5).await, (ids(&[3, 0, 2, 5, 4]), false));
    assert_eq!(after(Kinds::All, 1, 4).await, (ids(&[3, 0, 2, 5]), true));
    assert_eq!(after(Kinds::All, 1, 1).await, (ids(&[3]), true), "the next one");
    assert_eq!(after(Kinds::All, 2, 1).await, (ids(&[5]), true));
    assert_eq!(after(Kinds::All, 5, 1).await, (ids(&[4]), false), "a lower priority");
    assert_eq!(after(Kinds::All, 4, 10).await, (ids(&[]), false), "the last job");
    assert_eq!(after(Kinds::All, 4, 0).await, (ids(&[]), false));
    assert_eq!(after(Kinds::All, 3, 0).await, (ids(&[]), true));
    let some = |kinds: &[&str]| Kinds::Only(kinds.iter().map(|name| kind(name)).collect());
    assert_eq!(after(some(&["b", "c", "x"]), 1, 1).await, (ids(&[2]), true));
    assert_eq!(after(some(&["a", "a"]), 3, 9).await, (ids(&[0, 4]), false));
    assert_eq!(after(some(&["a"]), 1, 9).await, (ids(&[3, 0, 4]), false), "after a job of another kind");
    assert_eq!(after(some(&[]), 1, 9).await, (ids(&[]), false));

    let other = fixture.line_after(&name("other"), &Kinds::All, &places[&jobs[1].id], 9).await.expect("line_after");
    assert!(other.hints.is_empty() && other.last.is_none(), "from another queue");
    fixture.claim(WorkerId::new(), &ids(&[3, 1]), &Kinds::All, Duration::from_secs(60)).await.expect("claim");
    assert_eq!(
        after(Kinds::All, 1, 9).await,
        (ids(&[0, 2, 5, 4]), false),
        "the job at the position and the next job are running"
    );
    assert_eq!(after(Kinds::All, 0, 9).await, (ids(&[2, 5, 4]), false));
    let place = places[&jobs[5].id];
    for (at, expected, more) in [
        (LinePosition { line_at: place.line_at - TimeDelta::hours(10), ..place }, ids(&[0, 2]), true),
        (LinePosition { line_at: place.line_at + TimeDelta::minutes(1), ..place }, ids(&[4]), false),
        (LinePosition { line_at: place.line_at + TimeDelta::hours(4), ..place }, vec![], false),
    ] {
        let line = fixture.line_after(&name("default"), &Kinds::All, &at, 2).await.expect("line_after");
        assert_eq!((line.ids(), line.more), (expected, more), "no job was ever at {at}");
    }
}

#[tokio::test]
async fn the_line_is_read_in_parts_from_position_to_position() {
    let fixture = Fixture::start().await;
    // Jobs of one batch have the same time and differ only in their ids.
    for _ in 0..3 {
        let batch: Vec<NewJob> = (0..9).map(|nth| NewJob { priority: nth % 2, ..new_job() }).collect();
        fixture.enqueue(&batch).await.expect("enqueue");
    }
    let whole = fixture.front(&name("default"), &Kinds::All, 100).await.expect("line");
    assert_eq!(whole.ids().len(), 27);
    for step in 1..=9 {
        let mut line = fixture.front(&name("default"), &Kinds::All, step).await.expect("line");
        let mut read = line.ids().clone();
        while line.more {
            let place = line.last.expect("a place");
            let text = place.to_string();
            assert_eq!(text.parse(), Ok(place));
            line = fixture.line_after(&name("default"), &Kinds::All, &place, step).await.expect("line_after");
            read.extend(&line.ids());
        }
        assert_eq!(read, whole.ids(), "in steps of {step}");
        assert_eq!(line.last, whole.last);
    }
}

#[tokio::test]
async fn a_survey_names_the_stretches_of_each_line_and_pauses() {
    let fixture = Fixture::start().await;
    for (queue, of, priority) in
        [("b", "z", 0), ("a", "y", -1), ("b", "x", 0), ("a", "y", 7), ("a", "y", 7), ("c", "y", 0)]
    {
        fixture
            .enqueue(&[NewJob { queue: name(queue), kind: kind(of), priority, ..new_job() }])
            .await
            .expect("enqueue");
    }
    fixture.pause(&name("b")).await.expect("pause");
    fixture.pause(&name("empty")).await.expect("pause");
    let found = async |queue: Option<&QueueName>| {
        let lines = fixture.survey(queue).await.expect("survey").lines;
        let stretches = |line: &LineSummary| line.stretches.iter().map(|one| one.kind.to_string()).collect::<Vec<_>>();
        lines.iter().map(|line| (line.queue.to_string(), line.paused, stretches(line))).collect::<Vec<_>>()
    };
    let a = ("a".to_owned(), false, vec!["y".to_owned()]);
    let b = ("b".to_owned(), true, vec!["x".to_owned(), "z".to_owned()]);
    let c = ("c".to_owned(), false, vec!["y".to_owned()]);
    assert_eq!(found(None).await, [a.clone(), b.clone(), c.clone()]);
    assert_eq!(found(Some(&name("a"))).await, [a]);
    assert_eq!(found(Some(&name("b"))).await, [b]);
    assert_eq!(found(Some(&name("c"))).await, [c]);
    assert_eq!(found(Some(&name("bb"))).await, []);
    assert_eq!(found(Some(&name("empty"))).await, []);
}

/// Enqueues a job of this kind and priority that has waited for this many seconds.
async fn waiting(fixture: &Fixture, of: &str, priority: i16, seconds: i64) -> JobId {
    let job = NewJob { kind: kind(of), priority, run_at: Some(Utc::now() - TimeDelta::seconds(seconds)), ..new_job() };
    fixture.enqueue(&[job]).await.expect("enqueue")[0].id
}

#[tokio::test]
async fn a_line_is_read_from_its_scan_start() {
    let fixture = Fixture::start().await;
    let old = waiting(&fixture, "a", 0, 60).await;
    let urgent = waiting(&fixture, "a", 9, 30).await;
    let other = waiting(&fixture, "b", 0, 45).await;
    let later = waiting(&fixture, "a", 0, 20).await;
    let queue = name("default");
    let survey = fixture.survey(Some(&queue)).await.expect("survey");
    let stretches = survey.lines[0].stretches.clone();
    let ages = |stretches: &[Stretch]| {
        let age = |stretch: &Stretch| (survey.at - stretch.scan_start.expect("a time")).as_seconds_f64().round() as i64;
        stretches.iter().map(age).collect::<Vec<i64>>()
    };
    assert_eq!(ages(&stretches), [9 * 3600 + 30, 45], "a point of priority is worth an hour");

    let (line, moved) = fixture.line(&queue, &stretches, 9).await.expect("line");
    assert_eq!((line.ids(), moved.clone()), (vec![urgent, old, other, later], stretches.clone()));

    fixture.claim(WorkerId::new(), &[urgent, old], &Kinds::All, LEASE).await.expect("claim");
    let (line, moved) = fixture.line(&queue, &moved, 9).await.expect("line");
    assert_eq!(line.ids(), [other, later]);
    assert_eq!(ages(&moved), [20, 45]);

    let before = waiting(&fixture, "a", 0, 30).await;
    let (line, still) = fixture.line(&queue, &moved, 9).await.expect("line");
    assert_eq!(
        (line.ids(), ages(&still)),
        (vec![other, later], vec![20, 45]),
        "jobs before the scan start must not be searched"
    );
    let whole = fixture.front(&queue, &Kinds::All, 9).await.expect("line");
    assert_eq!(whole.ids(), [other, before, later], "a survey must find the job");

    let unknown: Vec<Stretch> = still.into_iter().map(|stretch| Stretch { scan_start: None, ..stretch }).collect();
    let (line, known) = fixture.line(&queue, &unknown, 2).await.expect("line");
    assert_eq!((line.ids(), line.more, ages(&known)), (vec![other, before], true, vec![30, 45]));
}

#[tokio::test]
async fn scan_starts_of_leases_and_the_schedule_are_their_first_entries() {
    let fixture = Fixture::start().await;
    let began = |survey: &Survey| {
        let ago = |time: Option<DateTime<Utc>>| (survey.at - time.expect("a time")).num_milliseconds();
        (ago(survey.leases_scan_start), ago(survey.schedule_scan_start))
    };
    let survey = fixture.survey(None).await.expect("survey");
    assert_eq!(began(&survey), (250, 250), "there are no entries");
    fixture.running(WorkerId::new()).await;
    fixture.enqueue(&[NewJob { delay: Some(Duration::from_secs(60)), ..new_job() }]).await.expect("enqueue");
    let survey = fixture.survey(None).await.expect("survey");
    assert_eq!(began(&survey), (250, 250), "the entries are in the future");
    let lost = fixture.running(WorkerId::new()).await;
    fixture.end_lease(lost.id).await;
    let survey = fixture.survey(None).await.expect("survey");
    assert!(began(&survey).0 >= 1000, "the lease ran out a second ago: {survey:?}");
    let of_one = fixture.survey(Some(&name("default"))).await.expect("survey");
    assert_eq!(
        (of_one.leases_scan_start, of_one.schedule_scan_start),
        (None, None),
        "a survey of one line does not ask for these"
    );

    let since = |ms: i64| Some(survey.at + TimeDelta::milliseconds(ms));
    assert_eq!(fixture.leases(9, since(-60_000)).await.expect("leases").len(), 2);
    assert_eq!(fixture.leases(9, since(0)).await.expect("leases").len(), 1);
    assert_eq!(fixture.expire(9, since(0)).await.expect("expire").len(), 0, "the lease ran out earlier");
    assert_eq!(fixture.expire(9, survey.leases_scan_start).await.expect("expire").len(), 1);
}

#[tokio::test]
async fn a_fingerprint_tells_which_slice_of_the_line_changed() {
    let fixture = Fixture::start().await;
    let one_in = async |queue: &str| {
        let job = NewJob { queue: name(queue), ..new_job() };
        fixture.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
        job.id
    };
    for queue in ["a", "b", "c", "d", "e"] {
        one_in(queue).await;
    }
    let slice = |after: Option<&str>, until: Option<&str>| Slice { after: after.map(name), until: until.map(name) };
    let slices = [slice(None, Some("b")), slice(Some("b"), Some("d")), slice(Some("d"), None)];
    let look = async || fixture.fingerprint(&slices, 10).await.expect("fingerprint");
    let changed = |one: &Fingerprints, other: &Fingerprints| {
        one.slices.iter().zip(&other.slices).map(|(one, other)| one != other).collect::<Vec<bool>>()
    };
    let first = look().await;
    assert_eq!(first.slices.iter().map(|seen| seen.count).collect::<Vec<i64>>(), [2, 2, 1]);
    assert_eq!(changed(&first, &look().await), [false; 3]);

    let new = one_in("bb").await;
    let second = look().await;
    assert_eq!(changed(&first, &second), [false, true, false]);
    fixture.claim_one(WorkerId::new(), new).await;
    assert_eq!(changed(&first, &look().await), [false; 3], "nothing has changed");
    one_in("z").await;
    assert_eq!(changed(&first, &look().await), [false, false, true]);
    assert_eq!(fixture.fingerprint(&slices, 1).await.expect("fingerprint").slices[0].count, 2, "the limit plus one");

    assert_eq!(first.paused, look().await.paused);
    fixture.pause(&name("elsewhere")).await.expect("pause");
    assert_ne!(first.paused, look().await.paused);

    let lines = fixture.survey_slices(&slices).await.expect("survey");
    let queues = |lines: &Vec<LineSummary>| lines.iter().map(|line| line.queue.to_string()).collect::<Vec<String>>();
    assert_eq!(lines.iter().map(queues).collect::<Vec<_>>(), [vec!["a", "b"], vec!["c", "d"], vec!["e", "z"]]);
    let whole = fixture.survey(None).await.expect("survey").lines;
    let of = |line: &LineSummary| line.stretches.iter().map(|one| one.kind.clone()).collect::<Vec<_>>();
    assert_eq!(lines.concat().iter().map(of).collect::<Vec<_>>(), whole.iter().map(of).collect::<Vec<_>>());
}

#[tokio::test]
async fn several_lines_are_read_in_one_statement() {
    let fixture = Fixture::start().await;
    let mut fronts = Vec::new();
    for (queue, jobs, limit) in [("a", 3, 2), ("b", 0, 2), ("c", 2, 2)] {
        for _ in 0..jobs {
            let job = NewJob { queue: name(queue), ..new_job() };
            fixture.enqueue(&[job]).await.expect("enqueue");
        }
        let lines = fixture.survey(Some(&name(queue))).await.expect("survey").lines;
        let stretches = lines.into_iter().flat_map(|line| line.stretches).collect();
        fronts.push(Front { queue: name(queue), stretches, limit });
    }
    let lines = fixture.lines(&fronts).await.expect("lines");
    for (front, (line, moved)) in fronts.iter().zip(&lines) {
        let (alone, _) = fixture.line(&front.queue, &front.stretches, i64::from(front.limit)).await.expect("line");
        assert_eq!((&line.ids(), line.more, line.last), (&alone.ids(), alone.more, alone.last));
        assert_eq!(moved.len(), front.stretches.len());
    }
    let lengths: Vec<(usize, bool)> = lines.iter().map(|(line, _)| (line.ids().len(), line.more)).collect();
    assert_eq!(lengths, [(2, true), (0, false), (2, false)]);
}

/// If the snapshot is the same, no row has changed.
#[tokio::test]
async fn the_snapshot_changes_with_every_row() {
    let fixture = Fixture::start().await;
    let snapshot = async || fixture.uptime().await.expect("uptime").snapshot;
    let worker = WorkerId::new();
    let mut before = snapshot().await;
    let id = fixture.queued().await;
    for step in ["enqueue", "claim", "pause"] {
        match step {
            "claim" => drop(fixture.claim(worker, &[id], &Kinds::All, LEASE).await.expect("claim")),
            "pause" => drop(fixture.pause(&name("q")).await.expect("pause")),
            _ => {}
        }
        let after = snapshot().await;
        assert_ne!(before, after, "{step}");
        before = after;
    }
}

#[tokio::test]
async fn a_watch_is_remembered() {
    let fixture = Fixture::start().await;
    assert_eq!(fixture.uptime().await.expect("uptime").watched_ago, None);
    for _ in 0..2 {
        fixture.keep_watch().await.expect("watch");
        let ago = fixture.uptime().await.expect("uptime").watched_ago.expect("a time");
        assert!(ago < Duration::from_secs(10), "{ago:?}");
    }
}
