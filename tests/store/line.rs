//! line and lines: what the head in Redis is filled from.

use crate::fixture::{Fixture, kind, name, new_job};
use leasehold_core::{JobId, NewJob, WorkerId};
use leasehold_store::{Kinds, Place};
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
        let line = fixture.line(&name("default"), &kinds, limit).await.expect("line");
        (line.ids, line.more)
    };
    assert_eq!(line(Kinds::All, 10).await, (ids(&[1, 3, 0, 2]), false));
    assert_eq!(line(Kinds::All, 4).await, (ids(&[1, 3, 0, 2]), false));
    assert_eq!(line(Kinds::All, 3).await, (ids(&[1, 3, 0]), true));
    assert_eq!(line(Kinds::Only(vec![kind("a"), kind("c"), kind("x")]), 2).await, (ids(&[3, 0]), true));
    assert_eq!(line(Kinds::Only(vec![]), 2).await, (ids(&[]), false));
}

#[tokio::test]
async fn what_follows_a_place_in_the_line() {
    let fixture = Fixture::start().await;
    let job = |of: &str, priority| NewJob { kind: kind(of), priority, ..new_job() };
    let jobs = [job("a", 0), job("b", 9), job("c", 0), job("a", 9), job("a", -3), job("b", 0)];
    for job in &jobs {
        fixture.enqueue(std::slice::from_ref(job)).await.expect("enqueue");
    }
    let ids = |which: &[usize]| which.iter().map(|&nth| jobs[nth].id).collect::<Vec<JobId>>();
    let mut places = BTreeMap::new();
    for count in 1..=6 {
        let line = fixture.line(&name("default"), &Kinds::All, count).await.expect("line");
        places.insert(line.ids[line.ids.len() - 1], line.last.expect("a place"));
    }
    assert!(places.iter().all(|(id, place)| place.id == *id));
    let after = async |kinds: Kinds, nth: usize, limit| {
        let line = fixture.line_after(&name("default"), &kinds, &places[&jobs[nth].id], limit).await;
        let line = line.expect("line_after");
        assert_eq!(line.last, line.ids.last().map(|id| places[id]));
        (line.ids, line.more)
    };
    // The line is 1 3 0 2 5 4.
    assert_eq!(after(Kinds::All, 1, 10).await, (ids(&[3, 0, 2, 5, 4]), false));
    assert_eq!(after(Kinds::All, 1, 5).await, (ids(&[3, 0, 2, 5, 4]), false));
    assert_eq!(after(Kinds::All, 1, 4).await, (ids(&[3, 0, 2, 5]), true));
    assert_eq!(after(Kinds::All, 1, 1).await, (ids(&[3]), true), "of its own priority alone");
    assert_eq!(after(Kinds::All, 2, 1).await, (ids(&[5]), true));
    assert_eq!(after(Kinds::All, 5, 1).await, (ids(&[4]), false), "of lower priorities alone");
    assert_eq!(after(Kinds::All, 4, 10).await, (ids(&[]), false), "the last one");
    assert_eq!(after(Kinds::All, 4, 0).await, (ids(&[]), false));
    assert_eq!(after(Kinds::All, 3, 0).await, (ids(&[]), true));
    let some = |kinds: &[&str]| Kinds::Only(kinds.iter().map(|name| kind(name)).collect());
    assert_eq!(after(some(&["b", "c", "x"]), 1, 1).await, (ids(&[2]), true));
    assert_eq!(after(some(&["a", "a"]), 3, 9).await, (ids(&[0, 4]), false));
    assert_eq!(after(some(&["a"]), 1, 9).await, (ids(&[3, 0, 4]), false), "behind one of another kind");
    assert_eq!(after(some(&[]), 1, 9).await, (ids(&[]), false));

    let other = fixture.line_after(&name("other"), &Kinds::All, &places[&jobs[1].id], 9).await.expect("line_after");
    assert!(other.ids.is_empty() && other.last.is_none(), "of another queue");
    fixture.claim(WorkerId::new(), &ids(&[3, 1]), &Kinds::All, Duration::from_secs(60)).await.expect("claim");
    assert_eq!(after(Kinds::All, 1, 9).await, (ids(&[0, 2, 5, 4]), false), "its job and the next are running");
    assert_eq!(after(Kinds::All, 0, 9).await, (ids(&[2, 5, 4]), false));
    let place = places[&jobs[5].id];
    for (at, expected, more) in [
        (Place { priority: 10, ..place }, ids(&[0, 2]), true),
        (Place { priority: 0, run_at: place.run_at + Duration::from_secs(60), ..place }, ids(&[4]), false),
        (Place { priority: -4, ..place }, vec![], false),
    ] {
        let line = fixture.line_after(&name("default"), &Kinds::All, &at, 2).await.expect("line_after");
        assert_eq!((line.ids, line.more), (expected, more), "no job was ever at {at}");
    }
}

#[tokio::test]
async fn the_line_is_read_bit_by_bit_from_place_to_place() {
    let fixture = Fixture::start().await;
    // Those of one batch have one time: their ids alone tell them apart.
    for _ in 0..3 {
        let batch: Vec<NewJob> = (0..9).map(|nth| NewJob { priority: nth % 2, ..new_job() }).collect();
        fixture.enqueue(&batch).await.expect("enqueue");
    }
    let whole = fixture.line(&name("default"), &Kinds::All, 100).await.expect("line");
    assert_eq!(whole.ids.len(), 27);
    for step in 1..=9 {
        let mut line = fixture.line(&name("default"), &Kinds::All, step).await.expect("line");
        let mut read = line.ids.clone();
        while line.more {
            let place = line.last.expect("a place");
            let text = place.to_string();
            assert_eq!(text.parse(), Ok(place));
            line = fixture.line_after(&name("default"), &Kinds::All, &place, step).await.expect("line_after");
            read.extend(&line.ids);
        }
        assert_eq!(read, whole.ids, "by {step}");
        assert_eq!(line.last, whole.last);
    }
}

#[tokio::test]
async fn the_lines_name_their_kinds_and_pauses() {
    let fixture = Fixture::start().await;
    for (queue, of) in [("b", "z"), ("a", "y"), ("b", "x"), ("a", "y"), ("c", "y")] {
        fixture.enqueue(&[NewJob { queue: name(queue), kind: kind(of), ..new_job() }]).await.expect("enqueue");
    }
    fixture.pause(&name("b")).await.expect("pause");
    fixture.pause(&name("empty")).await.expect("pause");
    let lines = fixture.lines().await.expect("lines");
    let seen: Vec<_> = lines.into_iter().map(|line| (line.queue, line.kinds, line.paused)).collect();
    assert_eq!(
        seen,
        [
            (name("a"), vec![kind("y")], false),
            (name("b"), vec![kind("x"), kind("z")], true),
            (name("c"), vec![kind("y")], false)
        ]
    );
}
