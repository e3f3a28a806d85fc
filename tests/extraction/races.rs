//! Simultaneous calls: submits with one key, and a cancel against a finish.

use crate::{
    documents,
    scene::{SOON, Scene},
};
use leasehold_tests::eventually;
use std::{collections::BTreeSet, sync::Arc};
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn fifty_submits_at_once_are_one_document() {
    let scene = Arc::new(Scene::start().await);
    let mut submits = JoinSet::new();
    for _ in 0..50 {
        let scene = Arc::clone(&scene);
        submits.spawn(async move { scene.submit("same").await });
    }
    let ids: BTreeSet<i64> = submits.join_all().await.into_iter().collect();
    assert_eq!(ids.len(), 1, "each submit has the same answer");
    assert_eq!(scene.jobs("extraction/extract").await, (1, 0), "one job, which nobody has run yet");
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM extraction.document").fetch_one(&scene.pool).await.expect("a count");
    assert_eq!(count, 1);
}

/// Cancels come at all moments of both stages. Each document has one winner, and the webhook hears of this winner only.
#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_and_a_finish_have_one_winner() {
    let scene = Scene::start().await;
    let _fleet =
        [scene.reaper(), scene.process(&["extraction", "20"], None), scene.process(&["extraction", "5"], None)];
    let raced = futures_util::future::join_all((0..60).map(|nth| race(&scene, nth))).await;
    let mut cancelled = 0;
    for (document, wins) in raced {
        let told = eventually("the webhook was told", SOON, || async {
            let told = scene.told(document).await;
            if told.is_empty() { Err("nothing") } else { Ok(told) }
        })
        .await;
        assert!(wins <= 1, "two cancels have won");
        assert_eq!(told, [if wins == 1 { "cancelled" } else { "done" }], "document {document}");
        cancelled += wins;
    }
    eventually("all jobs have ended", SOON, || async {
        let live: i64 =
            sqlx::query_scalar("SELECT count(*) FROM leasehold.job").fetch_one(&scene.pool).await.expect("a count");
        if live == 0 { Ok(()) } else { Err(live) }
    })
    .await;
    let wrong: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM extraction.document d
         WHERE (SELECT array_agg(w.event) FROM extraction.webhook w WHERE w.document = d.id) <> ARRAY[d.state]",
    )
    .fetch_one(&scene.pool)
    .await
    .expect("a count");
    assert_eq!(wrong, 0);
    assert!((1..60).contains(&cancelled), "both must win sometimes: {cancelled} cancels of 60 have won");
}

/// Submits a document, cancels it twice at a chosen moment, and returns how many cancels have won.
async fn race(scene: &Scene, nth: i32) -> (i64, usize) {
    let document = scene.submit(&format!("raced-{nth}")).await;
    // Immediately, after the first stage, in the second stage, and too late.
    let moment =
        "SELECT CASE $2 WHEN 0 THEN true WHEN 1 THEN d.state <> 'submitted' WHEN 2 THEN d.state = 'done' OR EXISTS (
                      SELECT FROM leasehold.job j WHERE j.kind = 'extraction/summarize' AND j.state = 'running'
                      AND (j.payload ->> 'document')::bigint = d.id)
                  ELSE d.state = 'done' END FROM extraction.document d WHERE d.id = $1";
    eventually("the moment of the cancel has come", SOON, || async {
        let come = sqlx::query_scalar(moment).bind(document).bind(nth % 4).fetch_one(&scene.pool);
        if come.await.expect("a look") { Ok(()) } else { Err("not yet") }
    })
    .await;
    let tries = [0, 1].map(|_| documents::cancel(&scene.client, &scene.pool, document));
    let wins = futures_util::future::join_all(tries).await;
    let wins = wins.into_iter().filter(|won| *won.as_ref().expect("an answer")).count();
    (document, wins)
}
