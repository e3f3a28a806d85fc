//! The server: where it listens, its errors, its bounds, its stop.

use crate::{
    http::{Served, parse, request, send},
    member::SOON,
};
use leasehold_tests::Stores;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

#[tokio::test(flavor = "multi_thread")]
async fn every_error_has_one_form() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let address = served.api.address();
    let json = [("content-type", "application/json")];
    let deep = format!("{}1{}", "[".repeat(200), "]".repeat(200));
    let long = format!("{{\"kind\":\"k\",\"payload\":\"{}\"}}", "x".repeat(17 * 1024 * 1024));
    for (what, request, status, code) in [
        ("no such path", request("GET", "/v1/nothing", &[], ""), 404, "not_found"),
        ("no such job", request("GET", "/v1/jobs/0198c5a4-0000-7000-8000-000000000000", &[], ""), 404, "not_found"),
        ("no such method", request("DELETE", "/v1/jobs", &[], ""), 405, "method_not_allowed"),
        ("no content type", request("POST", "/v1/jobs", &[], "{}"), 415, "unsupported_media_type"),
        ("text", request("POST", "/v1/jobs", &[("content-type", "text/plain")], "{}"), 415, "unsupported_media_type"),
        ("no JSON", request("POST", "/v1/jobs", &json, "{"), 400, "malformed"),
        ("nothing", request("POST", "/v1/jobs", &json, ""), 400, "malformed"),
        ("too long", request("POST", "/v1/jobs", &json, &long), 413, "too_large"),
        ("no object", request("POST", "/v1/jobs", &json, "[1]"), 422, "invalid"),
        (
            "too deep",
            request("POST", "/v1/jobs", &json, &format!("{{\"kind\":\"k\",\"payload\":{deep}}}")),
            422,
            "invalid",
        ),
        ("no UUID", request("GET", "/v1/jobs/x", &[], ""), 422, "invalid"),
        ("no queue", request("POST", "/v1/queues/a%20b/claim", &json, "{}"), 422, "invalid"),
        ("no state", request("GET", "/v1/jobs?state=asleep", &[], ""), 422, "invalid"),
    ] {
        let reply = send(address, &request).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{what}: {reply:?}");
        assert!(reply.headers.contains_key("x-request-id"), "{what}: {reply:?}");
        if status == 405 {
            let allowed: BTreeSet<&str> = reply.headers["allow"].split(',').collect();
            assert_eq!(allowed, BTreeSet::from(["GET", "HEAD", "POST"]), "{reply:?}");
        }
    }
    let given = send(address, &request("GET", "/v1/jobs", &[("x-request-id", "mine-7")], "")).await;
    assert_eq!(given.headers["x-request-id"], "mine-7");
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
}

/// A page of any site can make a browser send requests to a loopback address.
#[tokio::test(flavor = "multi_thread")]
async fn web_pages_of_other_sites_are_refused() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let address = served.api.address();
    let port = address.rsplit(':').next().expect("a port");
    let to = |host: &str, headers: &str| {
        let body = r#"{"kind":"k"}"#;
        let length = body.len();
        format!(
            "POST /v1/jobs HTTP/1.1\r\n{host}connection: close\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{headers}\r\n{body}"
        )
    };
    let here = format!("host: {address}\r\n");
    for (host, headers) in [
        (here.as_str(), String::new()),
        ("host: localhost\r\n", String::new()),
        ("host: [::1]:80\r\n", String::new()),
        (&here, format!("origin: http://{address}\r\nsec-fetch-site: same-origin\r\n")),
        (&here, "x-forwarded-host: jobs.example\r\norigin: https://jobs.example\r\n".to_owned()),
    ] {
        let reply = send(address, &to(host, &headers)).await;
        assert_eq!(reply.status, 201, "{host}{headers}{reply:?}");
    }
    for (host, headers) in [
        ("", String::new()),
        ("host: evil.example\r\n", String::new()),
        (&format!("host: evil.example:{port}\r\n"), format!("origin: http://evil.example:{port}\r\n")),
        ("host: localhost\r\nhost: evil.example\r\n", String::new()),
        (&here, "origin: https://evil.example\r\n".to_owned()),
        (&here, "origin: null\r\n".to_owned()),
        (&here, "origin: http://127.0.0.1:1\r\n".to_owned()),
        (&here, "sec-fetch-site: cross-site\r\n".to_owned()),
        (&here, "x-forwarded-host: jobs.example\r\norigin: https://evil.example\r\n".to_owned()),
    ] {
        let reply = send(address, &to(host, &headers)).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "forbidden"), "{host}{headers}{reply:?}");
        assert!(reply.headers.contains_key("x-request-id"), "{reply:?}");
    }
    assert_eq!(served.get("/v1/jobs").await.json()["jobs"].as_array().map(Vec::len), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_field_is_named() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let body = json!({ "kind": "", "priority": 101, "delay": "soon", "colour": 1, "timeout": 5, "payload": 1 });
    let reply = served.post("/v1/jobs", &body).await;
    assert_eq!((reply.status, reply.code().as_str()), (422, "invalid"));
    assert_eq!(reply.pointers(), ["/colour", "/delay", "/kind", "/priority", "/timeout"], "{reply:?}");

    let jobs = json!({ "jobs": [{ "kind": "k" }, { "kind": "k", "queue": "a b" }, {}, 7] });
    let reply = served.post("/v1/jobs", &jobs).await;
    assert_eq!(reply.pointers(), ["/jobs/1/queue", "/jobs/2/kind", "/jobs/3"], "{reply:?}");
    assert_eq!(served.get("/v1/jobs").await.json()["jobs"], json!([]), "nothing was enqueued");

    let claim = json!({ "worker": "me", "max": 0, "kinds": ["ok", "not ok"], "wait_ms": 99_000, "wait": 1 });
    let reply = served.post("/v1/queues/default/claim", &claim).await;
    assert_eq!(reply.pointers(), ["/worker", "/kinds/1", "/max", "/wait_ms", "/wait"], "{reply:?}");
    let reply = served.get("/v1/jobs?limit=0&state=x&colour=red").await;
    assert_eq!(reply.pointers(), ["/query/state", "/query/limit", "/query/colour"], "{reply:?}");
}

/// The server does not wait for a client that sends its request byte by byte, and serves others meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_head_is_cut_off() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let begun = Instant::now();
    let mut slow = TcpStream::connect(served.api.address()).await.expect("a connection");
    slow.write_all(b"GET /v1/jobs HTTP/1.1\r\nhost: h").await.expect("a part of the head");
    assert_eq!(served.get("/v1/jobs").await.status, 200);
    let mut rest = Vec::new();
    let ended = timeout(SOON, slow.read_to_end(&mut rest)).await.expect("the server ends the connection");
    assert!(ended.is_err() || !rest.starts_with(b"HTTP/1.1 200"), "{rest:?}");
    let seconds = begun.elapsed().as_secs();
    assert!((9..25).contains(&seconds), "after {seconds} s");
}

/// Clients that keep their connections open take all file descriptors. A new client, such as a probe, is served
/// immediately.
#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_make_room_for_new_ones() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let limit = std::process::Command::new("prlimit")
        .args(["--pid", &served.api.pid().to_string(), "--nofile=120"])
        .status()
        .expect("prlimit");
    assert!(limit.success());
    let mut idle = Vec::new();
    for _ in 0..130 {
        let mut stream = TcpStream::connect(served.api.address()).await.expect("a connection");
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("a request");
        idle.push(stream);
    }
    // Far less than the time after which idle connections end.
    let healthy = timeout(SOON / 2, served.get("/healthz")).await.expect("an answer");
    assert_eq!(healthy.status, 200);
    assert_eq!(served.enqueue("k").await.len(), 36, "an id: PostgreSQL can be reached too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_answers_claims_that_wait() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let claim = json!({ "worker": "0198c5a4-0000-7000-8000-000000000001", "wait_ms": 50_000 }).to_string();
    let mut waiting = Vec::new();
    for _ in 0..5 {
        let mut stream = TcpStream::connect(served.api.address()).await.expect("a connection");
        let claim = request("POST", "/v1/queues/default/claim", &[("content-type", "application/json")], &claim);
        stream.write_all(claim.as_bytes()).await.expect("a claim");
        waiting.push(stream);
    }
    // The claims wait when their lane has announced itself.
    leasehold_tests::eventually("the claims wait", SOON, || async {
        let mut redis = stores.redis.connect().await;
        let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.expect("KEYS");
        if keys.iter().any(|key| key.contains("worker")) { Ok(()) } else { Err(keys) }
    })
    .await;
    assert!(served.api.stop(), "it ends well");
    for mut stream in waiting {
        let mut bytes = Vec::new();
        timeout(SOON, stream.read_to_end(&mut bytes)).await.expect("an answer in time").expect("an answer");
        let reply = parse(&bytes);
        assert_eq!((reply.status, reply.json()), (200, json!({ "jobs": [] })));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_interface_describes_itself() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let described = served.get("/v1/openapi.json").await.json();
    assert!(described["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")), "{described}");
    let paths = described["paths"].as_object().expect("paths");
    assert!(paths.contains_key("/v1/jobs") && paths.contains_key("/v1/queues/{queue}/claim"), "{:?}", paths.keys());
    let operations: Vec<&Value> = paths.values().flat_map(|path| path.as_object().expect("methods").values()).collect();
    let ids: BTreeSet<&str> = operations.iter().filter_map(|operation| operation["operationId"].as_str()).collect();
    assert_eq!(ids.len(), operations.len(), "each operation has its own id");

    let id = served.enqueue("k").await;
    let job = served.get(&format!("/v1/jobs/{id}")).await.json();
    let fields = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<BTreeSet<_>>();
    let mut shown = fields(&job);
    // Only a job that has reported progress, or that names a webhook, has these fields.
    shown.extend(["progress", "webhook"].map(str::to_owned));
    assert_eq!(shown, fields(&described["components"]["schemas"]["JobView"]["properties"]));

    let page = served.get("/docs/").await;
    assert!(page.status == 200 && page.text.contains("swagger-ui"), "{page:?}");
    assert!(!page.text.contains("http://") && !page.text.contains("https://"), "nothing is loaded from elsewhere");
    assert_eq!(served.get("/docs/swagger-ui-bundle.js").await.status, 200);
}
