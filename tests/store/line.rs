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
