//! `leasehold webhook`. What is sent is tested in `tests/api/webhooks.rs`.

use crate::fixture::Scene;
use serde_json::{Value, json};

const URL: &str = "https://example.com/hooks";

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_set_listed_shown_rotated_and_removed() {
    let scene = Scene::start().await;
    assert_eq!(scene.output(&["webhook", "list"]), "no webhooks");
    scene.run(&["webhook", "set", "crm"]).refused(2, "a new one needs --url");
    scene.run(&["webhook", "show", "crm"]).refused(1, "there is no webhook crm");
    let set =
        scene.json(&["webhook", "set", "crm", "--url", URL, "--queue", "orders*", "--kind", "a", "--state", "dead"]);
    let webhook = &set["webhook"];
    assert_eq!(
        (&webhook["queue"], &webhook["kinds"], &webhook["states"]),
        (&json!("orders*"), &json!(["a"]), &json!(["dead"]))
    );
    assert_eq!((&webhook["active"], &webhook["disabled_at"]), (&json!(true), &Value::Null), "{set}");
    let secret = set["secret"].as_str().expect("a secret").to_owned();

    // What is not given stays as it is, and the secret is not shown again.
    let set = scene.json(&[
        "webhook",
        "set",
        "crm",
        "--every-kind",
        "--state",
        "succeeded",
        "--state",
        "cancelled",
        "--disable",
    ]);
    let webhook = &set["webhook"];
    assert_eq!((&webhook["url"], &webhook["kinds"]), (&json!(URL), &json!([])), "{set}");
    assert_eq!(
        (&webhook["active"], &webhook["disabled_reason"]),
        (&json!(false), &json!("an operator has disabled it"))
    );
    assert!(!set.to_string().contains("whsec_") && !scene.output(&["webhook", "list"]).contains("whsec_"));
    assert!(scene.output(&["webhook", "show", "crm"]).contains("an operator has disabled it"));
    assert!(scene.output(&["webhook", "set", "crm"]).contains("active"), "set enables");

    let rotated = scene.json(&["webhook", "rotate", "crm", "--overlap", "1h"]);
    let second = rotated["secret"].as_str().expect("a secret").to_owned();
    assert!(
        second.starts_with("whsec_") && second != secret && rotated["previous_secret_until"].is_string(),
        "{rotated}"
    );
    scene.run(&["webhook", "rotate", "crm", "--overlap", "31d"]).refused(2, "at most 30 days");

    // The secret of a new webhook can come from a file, and the secret of an old one cannot.
    let path = scene.folder().join("secret");
    std::fs::write(&path, format!("{secret}\n")).expect("written");
    let path = path.display().to_string();
    assert_eq!(scene.json(&["webhook", "set", "erp", "--url", URL, "--secret-file", &path])["secret"], json!(secret));
    scene.run(&["webhook", "set", "erp", "--secret-file", &path]).refused(2, "leasehold webhook rotate");
    std::fs::write(scene.folder().join("secret"), "whsec_short").expect("written");
    scene.run(&["webhook", "set", "new", "--url", URL, "--secret-file", &path]).refused(2, "a secret is whsec_");

    let removed = scene.json(&["webhook", "remove", "erp"]);
    assert_eq!(removed, json!({ "id": "erp", "removed": true }));
    scene.run(&["webhook", "remove", "erp"]).refused(1, "there is no webhook erp");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_before_anything_is_written() {
    let scene = Scene::start().await;
    for (url, why) in [
        ("example.com", "is no URL of a webhook"),
        ("ftp://example.com", "is no URL of a webhook"),
        ("https://user:password@example.com", "has a user or a password"),
        ("http://10.0.0.1/", "10.0.0.1 is private"),
        ("http://0x7f000001/", "127.0.0.1 is loopback"),
        ("http://[::ffff:169.254.169.254]/", "is link-local"),
    ] {
        scene.run(&["webhook", "set", "crm", "--url", url]).refused(2, why);
    }
    let url = ["webhook", "set", "crm", "--url", "http://10.0.0.1/"];
    let allowed = |networks: &'static str| [&url[..], &["--set", networks]].concat();
    scene.run(&allowed("webhooks.allow_networks=10.0.0.0")).refused(2, "is no network");
    scene.run(&allowed("webhooks.allow_networks=10.1.0.0/16")).refused(2, "10.0.0.1 is private");
    for bad in [["--queue", "a b"], ["--queue", "*x"], ["--kind", "a b"], ["--state", "running"]] {
        scene.run(&[&["webhook", "set", "crm", "--url", URL], &bad[..]].concat()).refused(2, bad[1]);
    }
    assert_eq!(scene.output(&["webhook", "list"]), "no webhooks");
    scene.output(&allowed("webhooks.allow_networks=10.0.0.0/8"));
}

/// A webhook whose filter matches no job gets the ends of the jobs that name it.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_names_the_webhook_of_its_end() {
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let scene = Scene::start().await;
    scene.output(&["webhook", "set", "crm", "--url", URL, "--queue", "elsewhere"]);
    let by_flag = scene.output(&["enqueue", "--kind", "k", "--webhook", "crm", "--traceparent", TRACE]);
    let lines = format!(
        "{}\n{}\n{}\n",
        json!({ "webhook": "crm", "traceparent": TRACE }),
        json!({}),
        json!({ "webhook": "nobody" })
    );
    let two: String = lines.split_inclusive('\n').take(2).collect();
    let by_lines = scene.run_with_input(&["enqueue", "--stdin", "--kind", "k"], two.as_bytes()).succeeded();
    let (by_line, plain) = by_lines.split_once('\n').expect("two ids");
    scene.output(&["schedule", "set", "s", "--every", "1h", "--kind", "k", "--webhook", "crm"]);
    assert_eq!(scene.json(&["schedule", "show", "s"])["webhook"], "crm");
    assert!(scene.output(&["schedule", "show", "s"]).contains("webhook       crm"));
    let by_schedule = scene.output(&["schedule", "run", "s"]);
    let graph = json!({ "jobs": [{ "name": "a", "kind": "k", "webhook": "crm", "traceparent": TRACE }] });
    let path = scene.folder().join("graph.json");
    std::fs::write(&path, graph.to_string()).expect("written");
    let submitted = scene.json(&["graph", "submit", &path.display().to_string()]);
    let in_graph = submitted["id"].as_str().unwrap_or_else(|| panic!("no id: {submitted}")).to_owned();

    let named = [&*by_flag, by_line, &*by_schedule, &*in_graph];
    for id in named {
        assert_eq!(scene.json(&["job", "show", id])["webhook"], "crm", "{id}");
    }
    assert!(scene.output(&["job", "show", &by_flag]).contains("webhook       crm"));
    assert!(!scene.output(&["job", "show", plain]).contains("webhook"));
    let traces = "SELECT count(*) FROM leasehold.trace";
    let traced: i64 = sqlx::query_scalar(traces).fetch_one(&mut scene.sql().await).await.expect("a number");
    assert_eq!(traced, 3);
    for id in named.into_iter().chain([plain]) {
        scene.output(&["job", "cancel", id]);
    }
    let deliveries = scene.json(&["job", "list", "--queue", "leasehold.webhooks"]);
    let mut told: Vec<&str> =
        deliveries.as_array().expect("jobs").iter().filter_map(|job| job["payload"]["data"]["id"].as_str()).collect();
    told.sort_unstable();
    let mut wanted = named.to_vec();
    wanted.sort_unstable();
    assert_eq!(told, wanted);

    // Nothing is written for a webhook that does not exist.
    let before = scene.contents().await;
    let unknown = "webhook is 'nobody', and there is no webhook of this id";
    scene.run(&["enqueue", "--kind", "k", "--webhook", "nobody"]).said(unknown);
    let ran = scene.run_with_input(&["enqueue", "--stdin", "--kind", "k"], lines.as_bytes());
    assert!(ran.code != 0 && ran.stderr.contains("line 3") && ran.stderr.contains(unknown), "{ran:?}");
    scene.run(&["schedule", "set", "t", "--every", "1h", "--kind", "k", "--webhook", "nobody"]).refused(2, unknown);
    scene.run(&["enqueue", "--kind", "k", "--webhook", "a b"]).refused(2, "webhook has ' ' at byte 1");
    scene.run(&["enqueue", "--kind", "k", "--traceparent", "00-x"]).refused(2, "traceparent is not of the form");
    assert_eq!(scene.contents().await.jobs, before.jobs);
}

/// The end of a job makes a delivery. Without a running `leasehold api`, the delivery waits.
#[tokio::test(flavor = "multi_thread")]
async fn deliveries_wait_are_sent_again_and_end_with_their_webhook() {
    let scene = Scene::start().await;
    scene.output(&["webhook", "set", "crm", "--url", URL]);
    let id = scene.output(&["enqueue", "--kind", "k"]);
    scene.output(&["job", "cancel", &id]);
    let jobs = scene.json(&["job", "list", "--queue", "leasehold.webhooks", "--kind", "crm"]);
    let delivery = jobs[0]["id"].as_str().unwrap_or_else(|| panic!("no delivery: {jobs}")).to_owned();
    assert_eq!(jobs[0]["payload"]["data"]["id"], json!(id), "{jobs}");
    assert_eq!(scene.output(&["webhook", "deliveries", "crm"]), "no deliveries");
    let tested = scene.json(&["webhook", "test", "crm"]);
    assert_eq!(scene.json(&["job", "show", tested["delivery"].as_str().expect("an id")])["kind"], json!("crm"));
    scene.run(&["webhook", "test", "none"]).refused(1, "there is no webhook none");

    scene.run(&["webhook", "replay", "crm"]).refused(2, "DELIVERY");
    scene.run(&["webhook", "replay", "crm", &id]).refused(1, "has no delivery");
    assert_eq!(scene.json(&["webhook", "replay", "crm", &delivery])["replayed"], 0, "it has not ended");
    scene.output(&["job", "cancel", &delivery]);
    assert_eq!(scene.json(&["webhook", "replay", "crm", &delivery])["replayed"], 1);
    assert_eq!(scene.output(&["webhook", "replay", "crm", "--since", "1h", "--state", "dead"]), "0 sent again");
    scene.output(&["webhook", "remove", "crm"]);
    assert_eq!(scene.json(&["job", "show", &delivery])["state"], "cancelled");
}
