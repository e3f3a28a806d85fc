//! Tokens: who is let in, for how long, and what happens while PostgreSQL is unavailable. `scopes.rs` tests what each token may do.

use crate::{
    http::{Reply, Served, request, send},
    member::{Member, SOON},
};
use leasehold_tests::{LinkState, Proxy, Stores, eventually, leasehold_program};
use serde_json::{Value, json};
use std::process::{Command, Output};

/// Runs a command of the program on these stores.
pub(crate) fn command(stores: &Stores, arguments: &[&str]) -> Output {
    let mut command = Command::new(leasehold_program());
    command.args(arguments).env_clear().current_dir("/");
    command.env("LEASEHOLD_DATABASE_URL", &stores.database.url).env("LEASEHOLD_REDIS_URL", &stores.redis.url);
    command.output().expect("the program")
}

/// Runs a command that must succeed. Returns its answer.
pub(crate) fn answer(stores: &Stores, arguments: &[&str]) -> Value {
    let ended = command(stores, &[arguments, &["--json"]].concat());
    assert!(ended.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
    serde_json::from_slice(&ended.stdout).expect("JSON")
}

/// A token, and its id.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) text: String,
}

impl Token {
    fn of(answer: &Value) -> Self {
        let text = |name: &str| answer[name].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
        Self { id: text("id"), text: text("token") }
    }

    pub(crate) fn create(stores: &Stores, scopes: &[&str]) -> Self {
        let scopes = scopes.iter().flat_map(|scope| ["--scope", scope]);
        let arguments: Vec<&str> = ["token", "create", "--name", "test"].into_iter().chain(scopes).collect();
        Self::of(&answer(stores, &arguments))
    }

    /// Sends a request with this token.
    pub(crate) async fn send(&self, api: &Member, method: &str, path: &str, body: &Value) -> Reply {
        self.send_with(api, method, path, body, &[]).await
    }

    /// Sends a request with this token and more headers.
    pub(crate) async fn send_with(
        &self,
        api: &Member,
        method: &str,
        path: &str,
        body: &Value,
        more: &[(&str, &str)],
    ) -> Reply {
        let bearer = format!("Bearer {}", self.text);
        let mut headers = [&[("authorization", bearer.as_str())], more].concat();
        let text = if body.is_null() { String::new() } else { body.to_string() };
        if !body.is_null() {
            headers.push(("content-type", "application/json"));
        }
        send(api.address(), &request(method, path, &headers, &text)).await
    }

    pub(crate) async fn get(&self, api: &Member, path: &str) -> Reply {
        self.send(api, "GET", path, &Value::Null).await
    }

    pub(crate) async fn post(&self, api: &Member, path: &str, body: &Value) -> Reply {
        self.send(api, "POST", path, body).await
    }

    /// Ready when the token gets this status.
    async fn until(&self, api: &Member, status: u16) -> Reply {
        eventually(&format!("the status {status}"), SOON, || async {
            let reply = self.get(api, "/v1/stats").await;
            if reply.status == status { Ok(reply) } else { Err(reply) }
        })
        .await
    }
}

fn is_refused(reply: &Reply) {
    assert_eq!((reply.status, reply.code().as_str()), (401, "unauthorized"), "{reply:?}");
    assert_eq!(
        reply.headers.get("www-authenticate").map(String::as_str),
        Some("Bearer realm=\"leasehold\""),
        "{reply:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn from_the_first_token_on_every_request_needs_one() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    assert_eq!(served.get("/v1/stats").await.status, 200, "there are no tokens");
    let token = Token::create(&stores, &["admin"]);
    eventually("a token is needed", SOON, || async {
        let reply = served.get("/v1/stats").await;
        if reply.status == 401 { Ok(()) } else { Err(reply) }
    })
    .await;
    for (method, path) in [
        ("GET", "/v1/stats"),
        ("GET", "/v1/jobs"),
        ("POST", "/v1/jobs"),
        ("POST", "/v1/queues/default/claim"),
        ("POST", "/v1/queues/default/purge"),
        ("HEAD", "/v1/queues"),
        ("GET", "/metrics"),
    ] {
        let reply = send(served.api.address(), &request(method, path, &[], "")).await;
        assert_eq!(reply.status, 401, "{method} {path}: {reply:?}");
    }
    is_refused(&served.get("/v1/stats").await);
    for path in ["/healthz", "/readyz", "/v1/openapi.json", "/docs/", "/docs/swagger-ui-bundle.js"] {
        assert_eq!(served.get(path).await.status, 200, "{path}");
    }
    assert_eq!(served.get("/v1/nothing").await.status, 404);
    for path in ["/v1/stats", "/metrics", "/v1/workers"] {
        assert_eq!(token.get(&served.api, path).await.status, 200, "{path}");
    }
    // A token has no loopback host and no site.
    let bearer = format!("authorization: Bearer {}\r\norigin: https://jobs.example\r\n", token.text);
    let elsewhere = format!("GET /v1/stats HTTP/1.1\r\nhost: jobs.example\r\nconnection: close\r\n{bearer}\r\n");
    assert_eq!(send(served.api.address(), &elsewhere).await.status, 200);

    let (start, end) = token.text.split_at(token.text.len() - 1);
    let other_end = if end == "A" { "B" } else { "A" };
    let other_id = format!("lh_{}_{}", "a".repeat(12), &token.text[token.text.len() - 43..]);
    for header in [
        format!("Bearer {start}{other_end}"),
        format!("Bearer {other_id}"),
        format!("Bearer {start}"),
        format!("Basic {}", token.text),
        "Bearer".to_owned(),
        token.text.clone(),
    ] {
        let reply = send(served.api.address(), &request("GET", "/v1/stats", &[("authorization", &header)], "")).await;
        is_refused(&reply);
    }
    let right = format!("bearer {}", token.text);
    let twice = [("authorization", right.as_str()), ("authorization", right.as_str())];
    is_refused(&send(served.api.address(), &request("GET", "/v1/stats", &twice, "")).await);
    assert_eq!(send(served.api.address(), &request("GET", "/v1/stats", &twice[..1], "")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_when_it_is_revoked_or_expires() {
    let stores = Stores::start().await;
    let (read, admin) = (Token::create(&stores, &["read"]), Token::create(&stores, &["admin"]));
    let served = Served::start(&stores);
    assert_eq!(read.get(&served.api, "/v1/stats").await.status, 200);
    let revoked = answer(&stores, &["token", "revoke", &read.id]);
    assert!(revoked["revoked_at"].is_string(), "{revoked}");
    let begun = tokio::time::Instant::now();
    is_refused(&read.until(&served.api, 401).await);
    // Five seconds, and some for a busy machine.
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
    assert_eq!(admin.get(&served.api, "/v1/stats").await.status, 200);

    // A new token works immediately, although the server has just read all tokens.
    let short = answer(&stores, &["token", "create", "--name", "short", "--scope", "read", "--expires-in", "8s"]);
    let token = Token::of(&short);
    assert_eq!(token.get(&served.api, "/v1/stats").await.status, 200, "{short}");
    is_refused(&token.until(&served.api, 401).await);

    answer(&stores, &["token", "revoke", &admin.id]);
    admin.until(&served.api, 401).await;
    is_refused(&served.get("/v1/stats").await);
    let listed = answer(&stores, &["token", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(3), "{listed}");
    assert!(!listed.to_string().contains("hash") && !listed.to_string().contains(&admin.text), "{listed}");
    // The use was noted in the background.
    eventually("the use is noted", SOON, || async {
        let listed = answer(&stores, &["token", "list"]);
        if listed.as_array().is_some_and(|all| all.iter().all(|token| token["last_used_at"].is_string())) {
            Ok(())
        } else {
            Err(listed)
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_has_an_overlap() {
    let stores = Stores::start().await;
    let first = Token::create(&stores, &["read"]);
    let served = Served::start(&stores);
    assert_eq!(first.get(&served.api, "/v1/stats").await.status, 200);
    let second = Token::of(&answer(&stores, &["token", "rotate", &first.id]));
    assert!(second.id == first.id && second.text != first.text);
    assert_eq!(second.get(&served.api, "/v1/stats").await.status, 200, "the new secret works at once");
    assert_eq!(first.get(&served.api, "/v1/stats").await.status, 200, "the old one works for a day");
    let third = Token::of(&answer(&stores, &["token", "rotate", &first.id, "--overlap", "0s"]));
    assert_eq!(third.get(&served.api, "/v1/stats").await.status, 200);
    is_refused(&second.until(&served.api, 401).await);
    is_refused(&first.get(&served.api, "/v1/stats").await);
    answer(&stores, &["token", "revoke", &first.id]);
    let ended = command(&stores, &["token", "rotate", &first.id]);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.code() == Some(1) && said.contains("is revoked"), "{said}");
    let ended = command(&stores, &["token", "revoke", "nobody"]);
    assert!(String::from_utf8_lossy(&ended.stderr).contains("no token of this id"));
    let audit = answer(&stores, &["audit", "list"]);
    let actions: Vec<&str> = audit.as_array().expect("rows").iter().filter_map(|row| row["action"].as_str()).collect();
    assert_eq!(actions, ["token.revoke", "token.rotate", "token.rotate", "token.create"]);
    assert!(audit[0]["actor"].as_str().is_some_and(|actor| actor.starts_with("cli:")), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_others_can_reach_needs_a_token() {
    let stores = Stores::start().await;
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let ended = command(&stores, &["api", "--listen", address]);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{said}");
        let said = said.lines().filter(|line| line.starts_with("error: ")).collect::<Vec<_>>();
        assert!(said.len() == 1 && said[0].contains("no tokens") && said[0].contains(address), "{said:?}");
        assert!(said[0].contains("leasehold token create"), "{said:?}");
    }
    let token = Token::create(&stores, &["read"]);
    let api = Member::start(&stores, &stores.database.url, &["api", "--set", "api.listen=127.0.0.1:0"]);
    assert_eq!(token.get(&api, "/v1/stats").await.status, 200);
    let api = Member::start_at(&stores, &stores.database.url, &["api"], "0.0.0.0:0", &[]);
    assert_eq!(token.get(&api, "/v1/stats").await.status, 200);
    // Somebody empties the table: the server does not open.
    let mut sql = stores.database.connect().await;
    sqlx::raw_sql("DELETE FROM leasehold.token").execute(&mut sql).await.expect("deleted");
    token.until(&api, 401).await;
    is_refused(&send(api.address(), &request("GET", "/v1/stats", &[], "")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_while_postgresql_is_unavailable() {
    let stores = Stores::start().await;
    let proxy = Proxy::start(stores.database.server().port()).await;
    let url = proxy.instead_of(&stores.database.url);
    let settings = [("LEASEHOLD_DATABASE__ACQUIRE_TIMEOUT_MS", "300")];
    let api = Member::start_with(&stores, &url, &["api"], &settings);
    let workers = || async { send(api.address(), &request("GET", "/v1/workers", &[], "")).await };
    assert_eq!(workers().await.status, 200, "there are no tokens");
    proxy.set(LinkState::Shut);
    // This path needs only Redis, but the server cannot know whether there are tokens now.
    let reply = eventually("nobody is let in", SOON, || async {
        let reply = workers().await;
        if reply.status == 503 { Ok(reply) } else { Err(reply) }
    })
    .await;
    assert!(reply.code() == "unavailable" && reply.headers.contains_key("retry-after"), "{reply:?}");
    for path in ["/healthz", "/metrics"] {
        assert_eq!(api.get(path).await.status, 200, "{path}");
    }
    proxy.set(LinkState::Open);
    eventually("the server serves again", SOON, || async {
        let reply = workers().await;
        if reply.status == 200 { Ok(()) } else { Err(reply) }
    })
    .await;
}

/// People need the metrics most while PostgreSQL is unavailable, so the tokens that were known before count for them.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_token_gets_the_metrics_while_postgresql_is_unavailable() {
    let stores = Stores::start().await;
    let (read, work) = (Token::create(&stores, &["read"]), Token::create(&stores, &["work:q"]));
    let proxy = Proxy::start(stores.database.server().port()).await;
    let settings = [("LEASEHOLD_DATABASE__ACQUIRE_TIMEOUT_MS", "300")];
    let api = Member::start_with(&stores, &proxy.instead_of(&stores.database.url), &["api"], &settings);
    assert_eq!(read.get(&api, "/v1/stats").await.status, 200);
    proxy.set(LinkState::Shut);
    read.until(&api, 503).await;
    let metrics = read.get(&api, "/metrics").await;
    assert!(metrics.status == 200 && metrics.text.contains("leasehold_"), "{metrics:?}");
    assert_eq!(work.get(&api, "/metrics").await.status, 403);
    assert_eq!(send(api.address(), &request("GET", "/metrics", &[], "")).await.status, 401);
}

/// A claim may wait for longer than a revoke may take.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_token_is_revoked_while_it_waits_gets_no_job() {
    let stores = Stores::start().await;
    let (worker, admin) = (Token::create(&stores, &["work:q"]), Token::create(&stores, &["admin"]));
    let served = Served::start(&stores);
    let claim = json!({ "worker": "0198c5a4-0000-7000-8000-000000000001", "wait_ms": 50_000 });
    let waiting = worker.post(&served.api, "/v1/queues/q/claim", &claim);
    let meanwhile = async {
        eventually("the claim waits", SOON, || async {
            let workers = admin.get(&served.api, "/v1/workers").await.json();
            if workers["workers"].as_array().is_some_and(|all| !all.is_empty()) { Ok(()) } else { Err(workers) }
        })
        .await;
        answer(&stores, &["token", "revoke", &worker.id]);
        eventually("the server knows", SOON, || async {
            let reply = worker.post(&served.api, "/v1/queues/q/claim", &json!({})).await;
            if reply.status == 401 { Ok(()) } else { Err(reply) }
        })
        .await;
        let reply = admin.post(&served.api, "/v1/jobs", &json!({ "kind": "k", "queue": "q" })).await;
        reply.json()["id"].as_str().expect("an id").to_owned()
    };
    let (reply, id) = tokio::join!(waiting, meanwhile);
    is_refused(&reply);
    eventually("the job is back in the line", SOON, || async {
        let job = admin.get(&served.api, &format!("/v1/jobs/{id}")).await.json();
        if job["state"] == "queued" && job["attempt"] == 0 { Ok(()) } else { Err(job) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_token_has_its_own_rate() {
    let stores = Stores::start().await;
    let (busy, other) = (Token::create(&stores, &["read"]), Token::create(&stores, &["read"]));
    let settings = [("LEASEHOLD_API__RATE_PER_TOKEN", "1")];
    let api = Member::start_with(&stores, &stores.database.url, &["api"], &settings);
    let refused = eventually("a request too many", SOON, || async {
        let reply = busy.get(&api, "/v1/limits").await;
        if reply.status == 429 { Ok(reply) } else { Err(reply) }
    })
    .await;
    assert_eq!((refused.code().as_str(), refused.headers["retry-after"].as_str()), ("too_many_requests", "1"));
    assert_eq!(other.get(&api, "/v1/limits").await.status, 200);
    eventually("the next second", SOON, || async {
        let reply = busy.get(&api, "/v1/limits").await;
        if reply.status == 200 { Ok(()) } else { Err(reply) }
    })
    .await;
}
