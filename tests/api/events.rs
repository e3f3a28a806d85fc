//! Server-Sent Events: what clients hear, what a client hears that was away, what a lost Redis means, and what many clients cost.

use crate::{
    http::{Served, request},
    member::{Member, SOON},
    tokens::Token,
};
use leasehold_tests::{LinkState, Proxy, Stores, cpu_ticks, eventually};
use serde_json::{Value, json};
use sqlx::Row;
use std::collections::VecDeque;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{Instant, timeout},
};
use uuid::Uuid;

/// A client of events.
struct Listener {
    lines: BufReader<TcpStream>,
    /// The id of the last event.
    last_id: String,
    heard: VecDeque<(String, Value)>,
}

impl Listener {
    /// Listens, and waits until the server has begun its answer.
    async fn start(address: &str, query: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = request("GET", &format!("/v1/events{query}"), headers, "");
        stream.write_all(request.as_bytes()).await.expect("a request");
        let mut listener = Self { lines: BufReader::new(stream), last_id: String::new(), heard: VecDeque::new() };
        let head = listener.line().await.expect("a head");
        assert!(head.contains("200"), "{head}");
        while listener.line().await.is_some_and(|line| !line.starts_with("retry: ")) {}
        // The id of the position, or an empty line.
        listener.read_line().await;
        listener
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = timeout(SOON, self.lines.read_line(&mut line)).await.expect("a line in time").unwrap_or(0);
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// Reads a line. Returns whether there was one.
    async fn read_line(&mut self) -> bool {
        let Some(line) = self.line().await else { return false };
        if let Some(id) = line.strip_prefix("id: ") {
            id.clone_into(&mut self.last_id);
        } else if let Some(name) = line.strip_prefix("event: ") {
            let data = self.line().await.expect("data");
            let data = data.strip_prefix("data: ").unwrap_or_else(|| panic!("no data: {data}"));
            self.heard.push_back((name.to_owned(), serde_json::from_str(data).expect("JSON")));
        }
        true
    }

    /// The next event; `None`: the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        while self.heard.is_empty() {
            if !self.read_line().await {
                return None;
            }
        }
        self.heard.pop_front()
    }

    /// Reads events until one is as wanted. Returns it, and all before.
    async fn until(&mut self, what: &str, wanted: impl Fn(&str, &Value) -> bool) -> (Value, Vec<(String, Value)>) {
        let mut before = Vec::new();
        let found = timeout(SOON, async {
            loop {
                let (name, data) = self.next().await.unwrap_or_else(|| panic!("the stream has ended before: {what}"));
                if wanted(&name, &data) {
                    return data;
                }
                before.push((name, data));
            }
        });
        let found = found.await.unwrap_or_else(|_| panic!("not heard: {what}"));
        (found, before)
    }
}

impl Served {
    async fn listen(&self, query: &str) -> Listener {
        Listener::start(self.api.address(), query, &[]).await
    }

    /// Claims a job of the queue, and completes it.
    async fn work(&self, queue: &str) {
        let claim = json!({ "worker": Uuid::now_v7(), "wait_ms": 20_000 });
        let claimed = self.post(&format!("/v1/queues/{queue}/claim"), &claim).await.json();
        let job = &claimed["jobs"][0];
        let end = json!({ "worker": job["worker"], "epoch": job["epoch"], "result": 1 });
        let path = format!("/v1/jobs/{}/complete", job["id"].as_str().expect("a job"));
        assert_eq!(self.post(&path, &end).await.status, 200);
    }

    async fn enqueue_in(&self, queue: &str) -> String {
        let reply = self.post("/v1/jobs", &json!({ "kind": "k", "queue": queue })).await;
        reply.json()["id"].as_str().expect("an id").to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_hears_of_its_job_and_of_its_queue() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let (mine, other) = (served.enqueue_in("q").await, served.enqueue_in("q").await);
    let mut of_job = served.listen(&format!("?job={mine}")).await;
    let (first, _) = of_job.until("its state", |name, _| name == "job").await;
    assert_eq!(
        (&first["id"], &first["state"], &first["queue"]),
        (&json!(mine), &json!("queued"), &json!("q")),
        "{first}"
    );
    let mut of_queue = served.listen("?queue=q").await;
    let mut of_others = served.listen("?queue=r").await;
    for _ in 0..2 {
        served.work("q").await;
    }
    let (ended, before) = of_job.until("its end", |_, data| data["state"] == "succeeded").await;
    assert_eq!(ended["id"], json!(mine));
    assert!(before.iter().all(|(_, data)| data["id"] == json!(mine)), "only its own job: {before:?}");
    of_queue
        .until("the end of the other job", |_, data| data["id"] == json!(other) && data["state"] == "succeeded")
        .await;
    of_queue.until("the queue has changed", |name, data| name == "queue" && data["queue"] == "q").await;
    served.enqueue_in("q").await;
    of_queue.until("a new job", |name, _| name == "queue").await;

    let last = served.enqueue_in("r").await;
    assert_eq!(served.post(&format!("/v1/jobs/{last}/cancel"), &json!({})).await.status, 200);
    let (_, before) =
        of_others.until("the end", |_, data| data["id"] == json!(last) && data["state"] == "cancelled").await;
    assert!(before.iter().all(|(name, data)| name == "queue" && data["queue"] == "r"), "{before:?}");

    let gone = served.get("/v1/events?job=0198c5a4-0000-7000-8000-000000000000").await;
    assert_eq!((gone.status, gone.code().as_str()), (404, "not_found"));
    assert_eq!(served.get("/v1/events?queue=a%20b&colour=1").await.pointers(), ["/query/queue", "/query/colour"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_was_away_goes_on_or_learns_that_it_cannot() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    // Somebody listens all the time, so the server knows what happens.
    let mut always = served.listen("?queue=q").await;
    served.enqueue_in("q").await;
    served.work("q").await;
    always.until("the first end", |_, data| data["state"] == "succeeded").await;
    let last_id = always.last_id.clone();
    let missed = served.enqueue_in("q").await;
    served.work("q").await;
    always.until("the second end", |_, data| data["id"] == json!(missed)).await;
    let mut back = Listener::start(served.api.address(), "?queue=q", &[("last-event-id", &last_id)]).await;
    let (_, before) = back.until("what it missed", |_, data| data["id"] == json!(missed)).await;
    assert!(before.iter().all(|(name, _)| name != "resync"), "{before:?}");
    for unknown in ["0-0", "nonsense"] {
        let mut lost = Listener::start(served.api.address(), "?queue=q", &[("last-event-id", unknown)]).await;
        assert_eq!(lost.next().await, Some(("resync".to_owned(), json!({ "reason": "unknown" }))), "{unknown}");
    }
    assert!(served.api.stop(), "the stop does not wait for clients of events");
    while always.next().await.is_some() {}
}

/// While Redis is lost, a client hears of the end of its job all the same. When Redis is back, everybody hears that events were lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_redis_is_told_and_ends_of_jobs_still_come() {
    let stores = Stores::start().await;
    let redis = Proxy::start(stores.redis.server().port()).await;
    let url = redis.instead_of(&stores.redis.url);
    let api = Member::start_with(&stores, &stores.database.url, &["api"], &[("LEASEHOLD_REDIS_URL", &url)]);
    let reaper = Member::start(&stores, &stores.database.url, &["reaper"]);
    let served = Served::of(api, reaper);
    let id = served.enqueue_in("q").await;
    let mut of_job = served.listen(&format!("?job={id}")).await;
    let mut of_queue = served.listen("?queue=q").await;
    redis.set(LinkState::Shut);
    let mut sql = stores.database.connect().await;
    sqlx::query("SELECT leasehold.cancel($1::uuid)")
        .bind(Uuid::parse_str(&id).expect("an id"))
        .execute(&mut sql)
        .await
        .expect("a cancel");
    of_job.until("the end without Redis", |_, data| data["state"] == "cancelled").await;
    redis.set(LinkState::Open);
    of_queue.until("a resync", |name, data| name == "resync" && data["reason"] == "redis").await;
    of_job.until("a resync", |name, _| name == "resync").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_hears_only_what_it_may_read() {
    let stores = Stores::start().await;
    let (own, all) = (Token::create(&stores, &["read:q"]), Token::create(&stores, &["admin"]));
    let work = Token::create(&stores, &["work"]);
    let served = Served::start(&stores);
    let api = &served.api;
    let enqueue = async |queue: &str| {
        let reply = all.post(api, "/v1/jobs", &json!({ "kind": "k", "queue": queue })).await;
        reply.json()["id"].as_str().expect("an id").to_owned()
    };
    let foreign = enqueue("r").await;
    for (token, query) in [(&own, "?queue=r".to_owned()), (&own, format!("?job={foreign}")), (&work, String::new())] {
        assert_eq!(token.get(api, &format!("/v1/events{query}")).await.status, 403, "{query}");
    }
    let bearer = format!("Bearer {}", own.text);
    let mut hears = Listener::start(api.address(), "", &[("authorization", &bearer)]).await;
    let end =
        async |id: &str| assert_eq!(all.post(api, &format!("/v1/jobs/{id}/cancel"), &json!({})).await.status, 200);
    end(&foreign).await;
    let mine = enqueue("q").await;
    end(&mine).await;
    let (_, before) = hears.until("its end", |_, data| data["id"] == json!(mine)).await;
    assert!(before.iter().all(|(_, data)| data["queue"] == "q"), "{before:?}");
    crate::tokens::answer(&stores, &["token", "revoke", &own.id]);
    let ended = async { while hears.next().await.is_some() {} };
    timeout(SOON, ended).await.expect("the stream of a revoked token ends");
}

/// Five hundred clients: as many connections to the stores as one client needs.
#[tokio::test(flavor = "multi_thread")]
async fn many_clients_share_what_the_server_asks() {
    const CLIENTS: usize = 500;
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let id = served.enqueue_in("q").await;
    let connections = async || {
        let mut redis = stores.redis.connect().await;
        let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis).await.expect("CLIENT LIST");
        let mut sql = stores.database.connect().await;
        let query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()";
        let sessions: i64 = sqlx::query(query).fetch_one(&mut sql).await.expect("sessions").get(0);
        (clients.lines().count(), usize::try_from(sessions).expect("a number"))
    };
    let mut first = served.listen(&format!("?job={id}")).await;
    first.until("its state", |name, _| name == "job").await;
    let before = connections().await;
    let mut all = Vec::new();
    for nth in 0..CLIENTS {
        let query = if nth % 2 == 0 { format!("?job={id}") } else { "?queue=q".to_owned() };
        all.push(served.listen(&query).await);
    }
    served.work("q").await;
    for client in &mut all {
        client.until("the end", |_, data| data["state"] == "succeeded").await;
    }
    let after = connections().await;
    // Connections of pools come and go. None belongs to a client.
    assert!(after.0 <= before.0 + 12 && after.1 <= before.1 + 12, "before: {before:?}, after: {after:?}");
    drop((first, all));
    eventually("nobody listens to ends any more", SOON, || async {
        let mut redis = stores.redis.connect().await;
        let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis).await.expect("CLIENT LIST");
        let listening: Vec<String> =
            clients.lines().filter(|line| !line.contains(" sub=0 ")).map(str::to_owned).collect();
        // The claims of HTTP workers and the reaper listen to notices.
        if listening.len() <= 3 { Ok(()) } else { Err(listening) }
    })
    .await;
}

/// The server continues to listen for some seconds after its last client has left, because the next one may come. It must not be
/// busy in the meantime.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_clients_is_idle() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let id = served.enqueue_in("q").await;
    let listening = async || {
        let mut redis = stores.redis.connect().await;
        let clients: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut redis).await.expect("CLIENT LIST");
        clients.lines().filter(|line| !line.contains(" sub=0 ")).count()
    };
    let before = listening().await;
    let mut client = served.listen(&format!("?job={id}")).await;
    client.until("its state", |name, _| name == "job").await;
    eventually("the server listens to ends", SOON, || async {
        let now = listening().await;
        if now > before { Ok(()) } else { Err(now) }
    })
    .await;
    let (ticks, begun) = (cpu_ticks(served.api.pid()), Instant::now());
    drop(client);
    eventually("the server listens no more", SOON, || async {
        let now = listening().await;
        if now <= before { Ok(()) } else { Err(now) }
    })
    .await;
    let spent = cpu_ticks(served.api.pid()) - ticks;
    assert!(begun.elapsed().as_secs() >= 3, "{:?}: it has not waited for the next client", begun.elapsed());
    // Of 100 in a second.
    assert!(spent < 100, "{spent} ticks in {:?}", begun.elapsed());
}
