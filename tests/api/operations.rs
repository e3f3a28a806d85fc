//! Bulk changes that the servers do by themselves: progress, the death of a server, a stop, a cancel, and what is refused.

use crate::{
    http::{Reply, Served},
    member::{Member, SOON},
    tokens::{Token, answer},
};
use leasehold_tests::{Stores, eventually};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Row};
use std::time::Duration;

/// Longer than the lease of an operation and the work of the next server.
const TAKEN_OVER: Duration = Duration::from_secs(90);
const MANY: i64 = 20_000;

async fn number(stores: &Stores, sql: &str) -> i64 {
    let mut connection = stores.database.connect().await;
    sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(&mut connection).await.expect("a row").get(0)
}

async fn script(stores: &Stores, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut stores.database.connect().await).await.expect("SQL");
}

/// Dead jobs, as many as take a server some seconds.
async fn many_dead(stores: &Stores) {
    let sql = format!(
        "INSERT INTO leasehold.history (id, run_at, created_at, finished_at, worker, epoch, attempt, max_attempts, crashes,
                                        max_crashes, state, priority, queue, kind, payload)
         SELECT leasehold.new_id(), now(), now() - interval '1 hour' - n * interval '1 ms', now(), gen_random_uuid(), 1, 5, 5, 0, 3, 'dead', 0,
                'broken', 'k', '{{}}' FROM generate_series(1, {MANY}) AS n"
    );
    script(stores, &sql).await;
}

fn is(reply: &Reply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{reply:?}");
    reply.json()
}

/// Begins a change. Returns the path of the operation.
async fn begin(served: &Served, body: Value) -> String {
    let reply = served.post("/v1/jobs/bulk", &body).await;
    let begun = is(&reply, 202);
    let path = format!("/v1/operations/{}", begun["id"].as_str().expect("an id"));
    assert_eq!(reply.headers["location"], path);
    path
}

async fn until(api: &Member, path: &str, what: &str, within: Duration, wanted: impl Fn(&Value) -> bool) -> Value {
    eventually(what, within, || async {
        let operation = api.get(path).await.json();
        if wanted(&operation) { Ok(operation) } else { Err(operation) }
    })
    .await
}

async fn until_done(api: &Member, path: &str) -> Value {
    until(api, path, "the operation is done", TAKEN_OVER, |operation| operation["state"] == "done").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_chooses_what_an_operation_changes() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    for (kind, queue) in [("a", "q"), ("a", "q"), ("b", "q"), ("a", "other")] {
        is(&served.post("/v1/jobs", &json!({ "kind": kind, "queue": queue, "batch": "night" })).await, 201);
    }
    let filter = json!({ "queue": "q", "kind": "a", "state": "queued" });
    let counted =
        is(&served.post("/v1/jobs/bulk", &json!({ "action": "cancel", "filter": filter, "dry_run": true })).await, 200);
    let count = json!([{ "queue": "q", "kind": "a", "state": "queued", "count": 2 }]);
    assert_eq!(counted, json!({ "dry_run": true, "total": 2, "counts": count }));
    assert_eq!(number(&stores, "SELECT count(*) FROM leasehold.job").await, 4, "nothing was changed");

    let path = begin(&served, json!({ "action": "priority", "priority": 7, "filter": { "batch": "night" } })).await;
    let done = until_done(&served.api, &path).await;
    assert_eq!((&done["total"], &done["changed"], &done["priority"]), (&json!(4), &json!(4), &json!(7)), "{done}");
    assert_eq!(done["filter"], json!({ "batch": "night" }));
    assert_eq!(number(&stores, "SELECT count(*) FROM leasehold.job WHERE priority = 7").await, 4);
    let path = begin(&served, json!({ "action": "move", "to": "q", "filter": { "queue": "other" } })).await;
    assert_eq!(until_done(&served.api, &path).await["changed"], 1);
    let path =
        begin(&served, json!({ "action": "cancel", "filter": { "queue": "q", "kind": "a", "state": ["queued"] } }))
            .await;
    assert_eq!(until_done(&served.api, &path).await["changed"], 3);
    let path = begin(
        &served,
        json!({ "action": "retry", "filter": { "kind": "a", "state": "cancelled", "older_than": "0s" } }),
    )
    .await;
    assert_eq!(until_done(&served.api, &path).await["changed"], 3);
    assert_eq!(number(&stores, "SELECT count(*) FROM leasehold.job WHERE state = 'queued'").await, 4);
    let listed = is(&served.get("/v1/operations").await, 200);
    let actions: Vec<&Value> =
        listed["operations"].as_array().expect("operations").iter().map(|of| &of["action"]).collect();
    assert_eq!(actions, ["retry", "cancel", "move", "priority"]);
    assert_eq!(is(&served.post(&format!("{path}/cancel"), &json!({})).await, 409)["error"]["code"], "conflict");
    let none = "/v1/operations/0198c5a4-0000-7000-8000-000000000000";
    assert_eq!(
        (served.get(none).await.status, served.post(&format!("{none}/cancel"), &json!({})).await.status),
        (404, 404)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_filter_is_refused_with_its_field() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    for (body, pointers) in [
        (json!({}), vec!["/action", "/filter"]),
        (json!({ "action": "cancel", "filter": {} }), vec!["/filter"]),
        (json!({ "action": "cancel", "filter": { "state": "dead" } }), vec!["/filter/state"]),
        (json!({ "action": "cancel", "filter": { "state": ["asleep"] } }), vec!["/filter/state"]),
        (json!({ "action": "retry", "filter": { "error_like": "" } }), vec!["/filter/error_like"]),
        (
            json!({ "action": "retry", "filter": { "queue": "a b", "older_than": "soon", "colour": 1 } }),
            vec!["/filter/older_than", "/filter/queue", "/filter/colour"],
        ),
        (json!({ "action": "priority", "filter": { "queue": "q" } }), vec!["/priority"]),
        (json!({ "action": "priority", "priority": 101, "filter": { "queue": "q" } }), vec!["/priority"]),
        (json!({ "action": "move", "filter": { "queue": "q" } }), vec!["/to"]),
        (json!({ "action": "cancel", "to": "r", "filter": { "queue": "q" } }), vec!["/to"]),
        (json!({ "action": "purge", "filter": { "queue": "q" } }), vec!["/action"]),
    ] {
        let reply = served.post("/v1/jobs/bulk", &body).await;
        assert_eq!(
            (reply.status, reply.pointers()),
            (422, pointers.into_iter().map(str::to_owned).collect()),
            "{body}: {reply:?}"
        );
    }
    assert_eq!(number(&stores, "SELECT count(*) FROM leasehold.operation").await, 0);
}

/// The server is killed during an operation. Another server continues behind the last page: every job is changed once, and
/// counted once.
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_outlives_its_server() {
    let stores = Stores::start().await;
    many_dead(&stores).await;
    let mut served = Served::start(&stores);
    let path = begin(&served, json!({ "action": "retry", "filter": { "queue": "broken" } })).await;
    let half = until(&served.api, &path, "some pages are done", SOON, |of| of["changed"].as_i64() > Some(0)).await;
    served.api.kill();
    assert_eq!((&half["state"], &half["total"]), (&json!("running"), &json!(MANY)), "{half}");
    assert!(half["changed"].as_i64() < Some(MANY), "{half}");
    let next = Member::start(&stores, &stores.database.url, &["api"]);
    let done = until_done(&next, &path).await;
    assert_eq!(done["changed"], MANY, "{done}");
    let revived = "SELECT count(*) FROM leasehold.job WHERE state = 'queued' AND jsonb_array_length(trail) = 1";
    assert_eq!(number(&stores, revived).await, MANY, "each job was revived once");
    assert_eq!(
        number(&stores, "SELECT epoch::bigint FROM leasehold.operation").await,
        2,
        "the second server has ended it"
    );
}

/// A server that stops in order gives the operation back, so the next one does not wait for the lease.
#[tokio::test(flavor = "multi_thread")]
async fn an_operation_goes_on_at_once_when_its_server_stops() {
    let stores = Stores::start().await;
    many_dead(&stores).await;
    let served = Served::start(&stores);
    let path = begin(&served, json!({ "action": "retry", "filter": { "queue": "broken" } })).await;
    until(&served.api, &path, "some pages are done", SOON, |of| of["changed"].as_i64() > Some(0)).await;
    let Served { api, .. } = served;
    assert!(api.stop(), "it ends well");
    let waiting = "SELECT count(*) FROM leasehold.operation WHERE state = 'waiting' AND lease_expires_at IS NULL";
    assert_eq!(number(&stores, waiting).await, 1);
    let next = Member::start(&stores, &stores.database.url, &["api"]);
    assert_eq!(until_done(&next, &path).await["changed"], MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_stops_when_somebody_cancels_it() {
    let stores = Stores::start().await;
    many_dead(&stores).await;
    let served = Served::start(&stores);
    let path = begin(&served, json!({ "action": "retry", "filter": { "queue": "broken" } })).await;
    until(&served.api, &path, "some pages are done", SOON, |of| of["changed"].as_i64() > Some(0)).await;
    is(&served.post(&format!("{path}/cancel"), &json!({})).await, 200);
    let ended = until(&served.api, &path, "the end", SOON, |of| !of["finished_at"].is_null()).await;
    assert_eq!(ended["state"], "cancelled", "{ended}");
    let changed = ended["changed"].as_i64().expect("a number");
    assert!(changed < MANY, "{ended}");
    assert_eq!(number(&stores, "SELECT count(*) FROM leasehold.job").await, changed, "what is done stays done");
    is(&served.post(&format!("{path}/cancel"), &json!({})).await, 200);
}

/// A job that a transaction holds does not stop the others. The operation says that the job was not changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_job_makes_an_operation_fail_after_all_others() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let locked = served.enqueue("k").await;
    for _ in 0..3 {
        served.enqueue("k").await;
    }
    let mut connection = stores.database.connect().await;
    let lock = format!("BEGIN; SELECT 1 FROM leasehold.job WHERE id = '{locked}' FOR UPDATE");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await.expect("a lock");
    let path = begin(&served, json!({ "action": "cancel", "filter": { "kind": "k" } })).await;
    let ended = until(&served.api, &path, "the end", SOON, |of| !of["finished_at"].is_null()).await;
    assert_eq!(
        (&ended["state"], &ended["changed"], &ended["locked"]),
        (&json!("failed"), &json!(3), &json!(1)),
        "{ended}"
    );
    assert!(ended["reason"].as_str().is_some_and(|reason| reason.starts_with("1 job is locked")), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_needs_admin_and_has_its_row_in_the_audit() {
    let stores = Stores::start().await;
    let (admin, read) = (Token::create(&stores, &["admin"]), Token::create(&stores, &["read"]));
    let some = Token::create(&stores, &["read:q", "enqueue"]);
    let api = &Served::start(&stores).api;
    let body = json!({ "action": "cancel", "filter": { "queue": "q" } });
    for token in [&read, &some] {
        assert_eq!(token.post(api, "/v1/jobs/bulk", &body).await.status, 403);
    }
    let begun = is(&admin.post(api, "/v1/jobs/bulk", &body).await, 202);
    let path = format!("/v1/operations/{}", begun["id"].as_str().expect("an id"));
    assert_eq!((read.get(api, &path).await.status, some.get(api, &path).await.status), (200, 403));
    assert_eq!(
        (read.get(api, "/v1/operations").await.status, some.get(api, "/v1/operations").await.status),
        (200, 403)
    );
    assert_eq!(read.post(api, &format!("{path}/cancel"), &json!({})).await.status, 403);
    let audit = answer(&stores, &["audit", "list"]);
    let rows: Vec<&Value> = audit.as_array().expect("rows").iter().filter(|row| row["action"] == "job.bulk").collect();
    assert_eq!(rows.len(), 1, "{audit}");
    assert_eq!((&rows[0]["target"], &rows[0]["detail"]["queue"]), (&json!("cancel"), &json!("q")), "{audit}");
    assert_eq!(rows[0]["actor"], begun["actor"]);
}
