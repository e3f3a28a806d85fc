//! line and lines: what the head in Redis is filled from.

use crate::fixture::{Fixture, kind, name, new_job};
use leasehold_core::{JobId, NewJob, WorkerId};
use leasehold_store::Kinds;
use std::time::Duration;

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
async fn what_follows_a_job_in_the_line() {
    let fixture = Fixture::start().await;
    let job = |of: &str, priority| NewJob { kind: kind(of), priority, ..new_job() };
    let jobs = [job("a", 0), job("b", 9), job("c", 0), job("a", 9), job("a", -3), job("b", 0)];
    for job in &jobs {
        fixture.enqueue(std::slice::from_ref(job)).await.expect("enqueue");
    }
    let ids = |which: &[usize]| which.iter().map(|&nth| jobs[nth].id).collect::<Vec<JobId>>();
    let after = async |kinds: Kinds, nth: usize, limit| {
        let line = fixture.line_after(&name("default"), &kinds, jobs[nth].id, limit).await.expect("line_after");
        line.map(|line| (line.ids, line.more))
    };
    // The line is 1 3 0 2 5 4.
    assert_eq!(after(Kinds::All, 1, 10).await, Some((ids(&[3, 0, 2, 5, 4]), false)));
    assert_eq!(after(Kinds::All, 1, 5).await, Some((ids(&[3, 0, 2, 5, 4]), false)));
    assert_eq!(after(Kinds::All, 1, 4).await, Some((ids(&[3, 0, 2, 5]), true)));
    assert_eq!(after(Kinds::All, 1, 1).await, Some((ids(&[3]), true)), "of its own priority alone");
    assert_eq!(after(Kinds::All, 2, 1).await, Some((ids(&[5]), true)));
    assert_eq!(after(Kinds::All, 5, 1).await, Some((ids(&[4]), false)), "of lower priorities alone");
    assert_eq!(after(Kinds::All, 4, 10).await, Some((ids(&[]), false)), "the last one");
    assert_eq!(after(Kinds::All, 4, 0).await, Some((ids(&[]), false)));
    assert_eq!(after(Kinds::All, 3, 0).await, Some((ids(&[]), true)));
    let some = |kinds: &[&str]| Kinds::Only(kinds.iter().map(|name| kind(name)).collect());
    assert_eq!(after(some(&["b", "c", "x"]), 1, 1).await, Some((ids(&[2]), true)));
    assert_eq!(after(some(&["a", "a"]), 3, 9).await, Some((ids(&[0, 4]), false)));
    assert_eq!(after(some(&["a"]), 1, 9).await, None, "of a kind that is not asked for");
    assert_eq!(after(some(&[]), 1, 9).await, None);

    let other = fixture.line_after(&name("other"), &Kinds::All, jobs[1].id, 9).await.expect("line_after");
    assert!(other.is_none(), "of another queue");
    let unknown = fixture.line_after(&name("default"), &Kinds::All, JobId::new(), 9).await.expect("line_after");
    assert!(unknown.is_none());
    fixture.claim(WorkerId::new(), &ids(&[3, 1]), &Kinds::All, Duration::from_secs(60)).await.expect("claim");
    assert_eq!(after(Kinds::All, 1, 9).await, None, "running");
    assert_eq!(after(Kinds::All, 0, 9).await, Some((ids(&[2, 5, 4]), false)));
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
