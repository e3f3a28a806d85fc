//! `leasehold job …` on jobs that no worker touches.

use crate::fixture::Scene;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_newest_first_in_pages() {
    let scene = Scene::start().await;
    let ids: Vec<String> = (0..5).map(|_| scene.output(&["enqueue", "--kind", "k", "--queue", "q"])).collect();
    let other = scene.output(&["enqueue", "--kind", "x", "--delay", "1h"]);
    let listed = |args: &[&str]| -> Vec<String> {
        let jobs = scene.json(&[&["job", "list"], args].concat());
        jobs.as_array().expect("a list").iter().map(|job| job["id"].as_str().expect("an id").to_owned()).collect()
    };
    let newest: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(&["--queue", "q", "--limit", "2"]), newest[..2]);
    assert_eq!(listed(&["--queue", "q", "--limit", "9", "--before", &newest[1]]), newest[2..]);
    assert_eq!(listed(&["--kind", "x"]), std::slice::from_ref(&other));
    assert_eq!(listed(&["--state", "scheduled"]), std::slice::from_ref(&other));
    assert_eq!(listed(&["--state", "dead"]), [] as [String; 0]);
    let table = scene.output(&["job", "list"]);
    assert!(table.starts_with("ID ") && table.lines().count() == 7 && table.contains(&other), "{table}");
    assert_eq!(scene.output(&["job", "list", "--state", "dead"]), "no jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_is_gone_from_both_stores_and_can_be_brought_back() {
    let scene = Scene::start().await;
    let id = scene.output(&["enqueue", "--kind", "k"]);
    assert_eq!(scene.output(&["job", "cancel", &id]), format!("{id}  cancelled"));
    let keys = leasehold_tests::all_keys(&mut scene.stores.redis.connect().await).await;
    assert!(!format!("{keys:?}").contains(&id), "{keys:?}");
    let again = scene.run(&["job", "cancel", &id]);
    assert_eq!(
        (again.code, again.stdout.trim_end()),
        (1, &*format!("{id}  unchanged: it had finished already (cancelled)"))
    );
    assert_eq!(scene.run(&["job", "wait", &id]).code, 1, "a cancelled job is no success");

    assert_eq!(scene.output(&["job", "retry", &id]), format!("{id}  back in the line"));
    assert_eq!(scene.json(&["job", "show", &id])["state"], "queued");
    let again = scene.run(&["job", "retry", &id, "--json"]);
    assert_eq!(
        (again.code, again.stdout.trim_end()),
        (1, &*json!({"changed": false, "id": id, "state": "queued"}).to_string())
    );
    let waited = scene.run(&["job", "wait", &id, "--timeout", "50ms"]);
    assert_eq!((waited.code, waited.stderr.trim_end()), (1, &*format!("{id} has not finished in time; it goes on")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_says_why() {
    let scene = Scene::start().await;
    let first = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let second = scene.output(&["enqueue", "--kind", "k", "--queue", "q"]);
    let later = scene.output(&["enqueue", "--kind", "k", "--queue", "q", "--delay", "2h"]);
    let codes = |id: &str| -> Vec<String> {
        let explained = scene.json(&["job", "explain", id]);
        let reasons = explained["reasons"].as_array().expect("reasons").iter();
        reasons.map(|reason| reason["code"].as_str().expect("a code").to_owned()).collect()
    };
    assert_eq!(codes(&first), ["no_worker", "position"]);
    assert_eq!(codes(&later), ["scheduled", "no_worker"]);
    scene.output(&["queue", "pause", "q"]);
    assert_eq!(codes(&second), ["paused", "no_worker", "position"]);
    let text = scene.output(&["job", "explain", &second]);
    for line in ["is queued", "the queue q is paused; `leasehold queue resume q`", "1 job stands before it in the line"]
    {
        assert!(text.contains(line), "{text}");
    }
    let text = scene.output(&["job", "explain", &later]);
    assert!(
        text.contains("it is not to start before") && (text.contains("(in 1h 59m)") || text.contains("(in 2h)")),
        "{text}"
    );
}
