//! pause and resume.

use crate::fixture::{Fixture, concurrently, name};

#[tokio::test]
async fn answers_whether_anything_changed() {
    let fixture = Fixture::start().await;
    let queue = name("q");
    assert!(!fixture.resume(&queue).await.expect("resume"));
    assert!(fixture.pause(&queue).await.expect("pause"));
    assert!(!fixture.pause(&queue).await.expect("pause"));
    assert_eq!(fixture.paused().await.expect("paused"), std::slice::from_ref(&queue));
    assert!(fixture.resume(&queue).await.expect("resume"));
    assert!(!fixture.resume(&queue).await.expect("resume"));
    assert!(fixture.paused().await.expect("paused").is_empty());
}

#[tokio::test]
async fn concurrent_calls_have_one_winner() {
    let fixture = Fixture::start().await;
    for nth in 0..20 {
        let queue = name(&format!("q{nth}"));
        let answers = concurrently((0..8).map(|_| fixture.pause(&queue))).await;
        assert_eq!(answers.into_iter().filter(|answer| *answer.as_ref().expect("pause")).count(), 1);
    }
}
