//! Every answer fits the description of the interface.

use crate::http::Served;
use leasehold_tests::Stores;
use serde_json::{Value, json};
use uuid::Uuid;

/// Where an answer differs from its schema: a field that is not described, or one that is promised and missing.
fn differences(described: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return differences(described, described.pointer(&name[1..]).expect("a schema"), value, at);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let all = choices.iter().map(|choice| differences(described, choice, value, at));
        return all.min_by_key(Vec::len).unwrap_or_default();
    }
    let types = &schema["type"];
    let allows =
        |name: &str| types.is_null() || types == name || types.as_array().is_some_and(|all| all.contains(&json!(name)));
    let is_whole = value.is_i64() || value.is_u64();
    match value {
        Value::Null if allows("null") => Vec::new(),
        Value::Bool(_) if allows("boolean") => Vec::new(),
        Value::Number(_) if allows("number") || (is_whole && allows("integer")) => Vec::new(),
        Value::String(_) if allows("string") => Vec::new(),
        Value::Array(elements) if allows("array") => {
            let all = elements.iter().enumerate();
            all.flat_map(|(nth, one)| differences(described, &schema["items"], one, &format!("{at}/{nth}"))).collect()
        }
        Value::Object(fields) if allows("object") => {
            let Some(known) = schema["properties"].as_object() else { return Vec::new() };
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let missing = required.filter(|name| !fields.contains_key(*name));
            let mut found: Vec<String> = missing.map(|name| format!("{at}/{name} is missing")).collect();
            for (name, value) in fields {
                let at = format!("{at}/{name}");
                match known.get(name) {
                    Some(schema) => found.extend(differences(described, schema, value, &at)),
                    None => found.push(format!("{at} is not described")),
                }
            }
            found
        }
        _ => vec![format!("{at} is {value} and must be {types}")],
    }
}

/// The schema of an answer.
fn schema<'a>(described: &'a Value, method: &str, path: &str, status: u16) -> &'a Value {
    let answer = &described["paths"][path][method]["responses"][status.to_string()];
    let schema = &answer["content"]["application/json"]["schema"];
    assert!(schema.as_object().is_some_and(|schema| !schema.is_empty()), "{method} {path} has no schema: {answer}");
    schema
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_fits_its_description() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let described = served.get("/v1/openapi.json").await.json();

    let graph = json!({ "jobs": [
        { "name": "first", "kind": "k", "batch": "night", "limit_key": "cluster-1" },
        { "name": "second", "kind": "k", "after": ["first"] },
    ] });
    let graph = served.post("/v1/graphs", &graph).await.json();
    let [first, second] = [0, 1].map(|nth: usize| graph["jobs"][nth]["id"].as_str().expect("an id").to_owned());
    let limit =
        served.with("PUT", "/v1/limits/cluster-*", &json!({ "running": 1, "rate": "10/s", "burst": 2 })).await.json();
    let schedule = json!({ "cron": "0 3 * * *", "missed": "all:3", "job": { "kind": "k", "unique_key": "u", "retry": { "strategy": "fixed" } } });
    let schedule = served.with("PUT", "/v1/schedules/nightly", &schedule).await.json();
    served.with("PATCH", "/v1/queues/shared", &json!({ "fair": true })).await;
    let weights =
        served.with("PUT", "/v1/queues/shared/weights", &json!({ "fair_key": "a", "weight": 2.5 })).await.json();
    let sealed = served.post("/v1/batches/night/seal", &json!({ "on_success": "sum" })).await.json();
    let explained = served.get(&format!("/v1/jobs/{second}/explain")).await.json();

    let worker = Uuid::now_v7();
    let parent = served.claim(json!({ "worker": worker })).await.pop().expect("the first job");
    assert_eq!(parent["id"], json!(first));
    assert_eq!(served.end(&parent, "complete", json!({ "result": [1] })).await.status, 200);
    let claim = json!({ "worker": worker, "max": 1, "wait_ms": 10_000 });
    let claimed = served.post("/v1/queues/default/claim", &claim).await.json();
    assert_eq!(claimed["jobs"][0]["parents"][0]["result"], json!([1]), "{claimed}");

    let answers = [
        ("post", "/v1/graphs", 201, graph),
        ("put", "/v1/limits/{key}", 200, limit),
        ("put", "/v1/schedules/{name}", 200, schedule),
        ("put", "/v1/queues/{queue}/weights", 200, weights),
        ("post", "/v1/batches/{name}/seal", 200, sealed),
        ("get", "/v1/jobs/{id}/explain", 200, explained),
        ("post", "/v1/queues/{queue}/claim", 200, claimed),
    ];
    let read = [
        ("/v1/graphs/{id}", format!("/v1/graphs/{second}")),
        ("/v1/batches", "/v1/batches".to_owned()),
        ("/v1/batches/{name}", "/v1/batches/night".to_owned()),
        ("/v1/limits", "/v1/limits".to_owned()),
        ("/v1/schedules", "/v1/schedules".to_owned()),
        ("/v1/schedules/{name}", "/v1/schedules/nightly".to_owned()),
        ("/v1/queues", "/v1/queues".to_owned()),
        ("/v1/stats", "/v1/stats".to_owned()),
        ("/v1/workers", "/v1/workers".to_owned()),
        ("/v1/jobs", "/v1/jobs?queue=default".to_owned()),
        ("/v1/jobs/{id}", format!("/v1/jobs/{second}")),
        ("/v1/queues/{queue}/times", "/v1/queues/default/times?each_minute=true".to_owned()),
    ];
    let mut sql = stores.database.connect().await;
    let minute = "INSERT INTO leasehold.minutes_until (until) VALUES (date_trunc('minute', now()))
                      ON CONFLICT (one_row) DO UPDATE SET until = excluded.until;
                  INSERT INTO leasehold.minute (begins, queue, kind, succeeded, dead, cancelled, waits, runs)
                  VALUES (date_trunc('minute', now()) - interval '1 minute', 'default', 'k', 1, 0, 0, '{\"1\": 1}', '{\"9\": 1}')";
    sqlx::raw_sql(minute).execute(&mut sql).await.expect("a minute");
    let mut found = Vec::new();
    for (method, path, status, answer) in &answers {
        found.extend(differences(&described, schema(&described, method, path, *status), answer, path));
    }
    for (path, address) in &read {
        let answer = served.get(address).await.json();
        found.extend(differences(&described, schema(&described, "get", path, 200), &answer, path));
    }
    // A reason has its own facts in addition to its code and its text.
    found.retain(|found| !(found.contains("/reasons/") && found.ends_with("is not described")));
    assert!(found.is_empty(), "{found:#?}");
}
