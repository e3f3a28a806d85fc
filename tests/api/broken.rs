//! Clients that die in each phase of a claim, and a server that is killed. Each job is begun once or given back immediately: none
//! waits for its lease.

use crate::{
    http::{Served, parse, request},
    member::{Member, SOON},
};
use leasehold_tests::{Stores, eventually};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection, Row};
use std::{collections::BTreeMap, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use uuid::Uuid;

/// Much longer than the tests may take: a job that waits for its lease makes its test fail.
const LEASE_MS: u64 = 600_000;
/// So soon a job that a dead client had must be claimed by another one.
const GIVEN_BACK: Duration = Duration::from_secs(5);

fn claim(worker: Uuid, max: u64, wait_ms: u64) -> String {
    let body =
        json!({ "worker": worker, "max": max, "wait_ms": wait_ms, "lease_ms": LEASE_MS, "claim_id": Uuid::now_v7() });
    // Not `connection: close`: most clients keep their connections.
    let request =
        request("POST", "/v1/queues/default/claim", &[("content-type", "application/json")], &body.to_string());
    request.replace("connection: close\r\n", "")
}

/// How a client dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// The connection ends in order: the process has closed the socket, or was killed with nothing unread.
    Close,
    /// The connection is reset.
    Reset,
}

fn die(stream: TcpStream, death: Death) {
    if death == Death::Reset {
        #[expect(deprecated, reason = "the only way to reset a connection; the drop does not block")]
        stream.set_linger(Some(Duration::ZERO)).expect("linger");
    }
    drop(stream);
}

/// Claims with a living client. Returns the jobs.
async fn live_claim(served: &Served, wait_ms: u64) -> Vec<Value> {
    let body = json!({ "worker": Uuid::now_v7(), "max": 10, "wait_ms": wait_ms, "lease_ms": LEASE_MS });
    let reply = served.post("/v1/queues/default/claim", &body).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json()["jobs"].as_array().cloned().expect("jobs")
}

async fn states(stores: &Stores) -> BTreeMap<String, i64> {
    let sql = "SELECT state || ' ' || attempt || '/' || crashes, count(*) FROM leasehold.jobs GROUP BY 1";
    let rows = sqlx::query(sql).fetch_all(&mut stores.database.connect().await).await.expect(sql);
    rows.into_iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Clients that die while they wait take no job with them.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_while_it_waits_takes_no_job() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    for death in [Death::Close, Death::Reset] {
        let mut waiting = Vec::new();
        for _ in 0..20 {
            let mut stream = TcpStream::connect(served.api.address()).await.expect("a connection");
            stream.write_all(claim(Uuid::now_v7(), 1, 50_000).as_bytes()).await.expect("a claim");
            waiting.push(stream);
        }
        let survivor = live_claim(&served, 30_000);
        let enqueue = async {
            waiting.into_iter().for_each(|stream| die(stream, death));
            served.enqueue("k").await;
            Instant::now()
        };
        let (got, enqueued) = tokio::join!(survivor, enqueue);
        assert_eq!((got.len(), &got[0]["attempt"]), (1, &json!(1)), "{death:?}");
        assert!(enqueued.elapsed() < GIVEN_BACK, "{death:?}: {:?}", enqueued.elapsed());
    }
}

/// The client has a part of the answer, or all of it in a buffer of its machine, when it dies.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_dies_with_a_part_of_the_answer_gives_its_jobs_back() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    // More than the buffers of a connection hold, and a small answer.
    for payload in [900_000, 10] {
        let many: Vec<Value> = (0..8).map(|_| json!({ "kind": "k", "payload": "x".repeat(payload) })).collect();
        assert_eq!(served.post("/v1/jobs", &json!({ "jobs": many })).await.status, 201);
        for read in [0, 1, 100] {
            let mut stream = TcpStream::connect(served.api.address()).await.expect("a connection");
            stream.write_all(claim(Uuid::now_v7(), 8, 20_000).as_bytes()).await.expect("a claim");
            stream.readable().await.expect("an answer begins");
            let mut part = vec![0; read];
            stream.read_exact(&mut part).await.expect("a part of the answer");
            die(stream, Death::Reset);
            eventually("its jobs are given back", GIVEN_BACK, || async {
                let states = states(&stores).await;
                if states.keys().any(|state| state.starts_with("running")) { Err(states) } else { Ok(()) }
            })
            .await;
        }
        let mut got = 0;
        while got < 8 {
            for job in live_claim(&served, 10_000).await {
                assert_eq!((&job["attempt"], &job["crashes"]), (&json!(1), &json!(0)));
                let body = json!({ "worker": job["worker"], "epoch": job["epoch"] });
                let path = format!("/v1/jobs/{}/complete", job["id"].as_str().expect("an id"));
                assert_eq!(served.post(&path, &body).await.status, 200);
                got += 1;
            }
        }
    }
}

/// A client loses its answer and asks again immediately. The server notices the death of the first connection before, during or
/// after the second request: the client keeps the jobs of the second answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_is_asked_for_again_at_once_keeps_its_jobs() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    for nth in 0..120_u64 {
        served.enqueue("k").await;
        let body = json!({ "worker": Uuid::now_v7(), "claim_id": "again", "wait_ms": 20_000, "lease_ms": LEASE_MS });
        let json = [("content-type", "application/json")];
        let first = request("POST", "/v1/queues/default/claim", &json, &body.to_string());
        let mut stream = TcpStream::connect(served.api.address()).await.expect("a connection");
        stream.write_all(first.as_bytes()).await.expect("a claim");
        sleep(Duration::from_micros(nth * 100)).await;
        die(stream, Death::Reset);
        let job = served.post("/v1/queues/default/claim", &body).await.json()["jobs"][0].clone();
        let path = format!("/v1/jobs/{}", job["id"].as_str().expect("a job"));
        // The releases of the server are in order. When this one is done, one of the first connection would be done too.
        let released = served.enqueue("k").await;
        let mut lost = TcpStream::connect(served.api.address()).await.expect("a connection");
        lost.write_all(claim(Uuid::now_v7(), 1, 20_000).as_bytes()).await.expect("a claim");
        lost.readable().await.expect("an answer begins");
        die(lost, Death::Reset);
        let other = live_claim(&served, 20_000).await.pop().expect("the released job");
        assert_eq!(other["id"], released, "{nth}: only the lost job is in the line");
        for (job, path) in [(&job, path), (&other, format!("/v1/jobs/{released}"))] {
            let body = json!({ "worker": job["worker"], "epoch": job["epoch"] });
            let reply = served.post(&format!("{path}/complete"), &body).await;
            assert_eq!(reply.status, 200, "{nth}: {reply:?}");
        }
    }
}

/// A client that has read its answer keeps its jobs, however its connection ends in order.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_has_read_its_answer_keeps_its_jobs() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    served.enqueue("k").await;
    let mut stream = TcpStream::connect(served.api.address()).await.expect("a connection");
    stream.write_all(claim(Uuid::now_v7(), 1, 20_000).as_bytes()).await.expect("a claim");
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    while !bytes.ends_with(b"]}]}") && !bytes.ends_with(b"}]}") {
        let read = timeout(SOON, stream.read(&mut buffer)).await.expect("in time").expect("the answer");
        assert!(read > 0, "the answer has ended early");
        bytes.extend_from_slice(&buffer[..read]);
    }
    let job = parse(&bytes).json()["jobs"][0].clone();
    die(stream, Death::Close);
    // A second connection is served after the first one has ended: the server has had its chance to give the job back.
    assert!(live_claim(&served, 1_000).await.is_empty());
    let body = json!({ "worker": job["worker"], "epoch": job["epoch"] });
    let path = format!("/v1/jobs/{}/complete", job["id"].as_str().expect("an id"));
    assert_eq!(served.post(&path, &body).await.status, 200);
    assert_eq!(states(&stores).await, BTreeMap::from([("succeeded 1/0".to_owned(), 1)]));
}

/// Clients that die at any moment, beside clients that live. At the end every job has succeeded once.
#[tokio::test(flavor = "multi_thread")]
async fn no_job_is_lost_to_clients_that_die_at_any_moment() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    const JOBS: usize = 200;
    let dying = async {
        for nth in 0..150_u64 {
            let Ok(mut stream) = TcpStream::connect(served.api.address()).await else { continue };
            let request = claim(Uuid::now_v7(), nth % 4 + 1, 2_000);
            // Also in the middle of the request.
            let part = if nth % 10 == 0 { request.len() / 2 } else { request.len() };
            if stream.write_all(&request.as_bytes()[..part]).await.is_ok() {
                let micros = nth * 7919 % 6_000;
                sleep(Duration::from_micros(micros)).await;
            }
            die(stream, Death::Reset);
        }
    };
    let enqueueing = async {
        for _ in 0..JOBS / 10 {
            let many: Vec<Value> = (0..10).map(|_| json!({ "kind": "k" })).collect();
            assert_eq!(served.post("/v1/jobs", &json!({ "jobs": many })).await.status, 201);
        }
    };
    let working = async {
        let (mut done, begun) = (0, Instant::now());
        while done < JOBS {
            assert!(begun.elapsed() < SOON * 2, "{done} jobs are done: {:?}", states(&stores).await);
            for job in live_claim(&served, 1_000).await {
                let body = json!({ "worker": job["worker"], "epoch": job["epoch"] });
                let path = format!("/v1/jobs/{}/complete", job["id"].as_str().expect("an id"));
                let reply = served.post(&path, &body).await;
                assert_eq!((reply.status, &reply.json()["already"]), (200, &json!(false)), "{reply:?}");
                done += 1;
            }
        }
    };
    tokio::join!(dying, enqueueing, working);
    assert_eq!(states(&stores).await, BTreeMap::from([("succeeded 1/0".to_owned(), JOBS as i64)]));
}

/// A server that is killed between the claim and the end of the answer: the claim is sent again to another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_is_asked_for_again_after_its_server_was_killed() {
    let stores = Stores::start().await;
    let other = Served::start(&stores);
    let mut killed = Member::start(&stores, &stores.database.url, &["api"]);
    for _ in 0..3 {
        other.enqueue("k").await;
    }
    let body = json!({ "worker": Uuid::now_v7(), "max": 3, "claim_id": "again", "lease_ms": LEASE_MS });
    let mut stream = TcpStream::connect(killed.address()).await.expect("a connection");
    let claim = request("POST", "/v1/queues/default/claim", &[("content-type", "application/json")], &body.to_string());
    stream.write_all(claim.as_bytes()).await.expect("a claim");
    eventually("the jobs are claimed", SOON, || async {
        let states = states(&stores).await;
        if states.contains_key("running 1/0") { Ok(()) } else { Err(states) }
    })
    .await;
    killed.kill();
    drop(stream);
    let again = other.post("/v1/queues/default/claim", &body).await.json();
    let again = again["jobs"].as_array().cloned().expect("jobs");
    let running = states(&stores).await["running 1/0"];
    assert_eq!(i64::try_from(again.len()), Ok(running));
    assert!(again.iter().all(|job| job["epoch"] == 1), "{again:?}");
}

/// A server that is killed while it writes an answer: no worker knows of the jobs, so they begin again immediately, and not after
/// their leases. What the server has delivered before stays with its worker.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_an_answer_that_a_killed_server_has_not_written_begin_again_at_once() {
    const HOUR_MS: u64 = 3_600_000;
    let stores = Stores::start().await;
    let other = Served::start(&stores);
    let mut killed = Member::start(&stores, &stores.database.url, &["api"]);
    let claim = |most: u64| {
        let body = json!({ "worker": Uuid::now_v7(), "max": most, "lease_ms": HOUR_MS, "max_bytes": 60_000_000 });
        request("POST", "/v1/queues/default/claim", &[("content-type", "application/json")], &body.to_string())
    };
    let delivered = other.enqueue("k").await;
    let reply = crate::http::send(killed.address(), &claim(1)).await;
    assert_eq!(reply.json()["jobs"][0]["id"], delivered);
    let undelivered = "SELECT count(*) FROM leasehold.http_claim WHERE deliver_by IS NOT NULL";
    let undelivered = async || -> i64 {
        sqlx::query(undelivered).fetch_one(&mut stores.database.connect().await).await.expect(undelivered).get(0)
    };
    eventually("PostgreSQL knows that the answer was written", SOON, || async {
        match undelivered().await {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;
    // An answer of 20 MB, of which the client reads nothing. It is larger than the buffers of a socket.
    let big = "x".repeat(1_000_000);
    for _ in 0..2 {
        let jobs: Vec<Value> = (0..10).map(|_| json!({ "kind": "k", "payload": big })).collect();
        assert_eq!(other.post("/v1/jobs", &json!({ "jobs": jobs })).await.status, 201);
    }
    let mut stream = TcpStream::connect(killed.address()).await.expect("a connection");
    stream.write_all(claim(20).as_bytes()).await.expect("a claim");
    eventually("all jobs are claimed", SOON, || async {
        match undelivered().await {
            20 => Ok(()),
            count => Err((count, states(&stores).await)),
        }
    })
    .await;
    // A slow client has time while the server lives.
    eventually("the answer has got more time, and the first time is over", SOON, || async {
        let sql = "SELECT (min(deliver_by - claimed_at) > interval '7 s' AND min(claimed_at) < now() - interval '6 s')::text \
                   FROM leasehold.http_claim WHERE deliver_by IS NOT NULL";
        let later: String = sqlx::query(sql).fetch_one(&mut stores.database.connect().await).await.expect(sql).get(0);
        if later == "true" { Ok(()) } else { Err(later) }
    })
    .await;
    assert_eq!(states(&stores).await, BTreeMap::from([("running 1/0".to_owned(), 21)]));
    killed.kill();
    let mut got = 0;
    let begun = Instant::now();
    while got < 20 {
        for job in live_claim(&other, 5_000).await {
            assert_eq!((&job["attempt"], &job["crashes"]), (&json!(1), &json!(0)), "{}", job["id"]);
            assert_ne!(job["epoch"], 1);
            got += 1;
        }
        assert!(begun.elapsed() < SOON, "{got} jobs began again: {:?}", states(&stores).await);
    }
    drop(stream);
    let kept = other.get(&format!("/v1/jobs/{delivered}")).await.json();
    assert_eq!((&kept["state"], &kept["epoch"]), (&json!("running"), &json!(1)), "its worker has the answer");
}

/// Another session has locked the row of one run of an answer: PostgreSQL learns immediately that the other runs and later
/// answers were written, and of that run when its row is free.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_run_of_an_answer_holds_up_no_other() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let mut database = stores.database.connect().await;
    // An answer of 20 MB, which the client does not read at first: more than the buffers of a socket.
    let jobs: Vec<Value> = (0..10).map(|_| json!({ "kind": "k", "payload": "x".repeat(1_000_000) })).collect();
    for _ in 0..2 {
        assert_eq!(served.post("/v1/jobs", &json!({ "jobs": jobs })).await.status, 201);
    }
    let body = json!({ "worker": Uuid::now_v7(), "max": 20, "lease_ms": 3_600_000, "max_bytes": 60_000_000 });
    let headers = [("content-type", "application/json")];
    let mut stream = TcpStream::connect(served.api.address()).await.expect("a connection");
    let claim = request("POST", "/v1/queues/default/claim", &headers, &body.to_string());
    stream.write_all(claim.as_bytes()).await.expect("a claim");
    let unknown = async |database: &mut PgConnection, expected: i64| {
        let sql = "SELECT count(*) FROM leasehold.http_claim WHERE deliver_by IS NOT NULL";
        eventually("as many runs are not known to be delivered", SOON, async || {
            match sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut *database).await.expect(sql) {
                count if count == expected => Ok(()),
                count => Err(count),
            }
        })
        .await;
    };
    unknown(&mut database, 20).await;
    let mut other = stores.database.connect().await;
    let mut transaction = other.begin().await.expect("a transaction");
    let lock = "SELECT job FROM leasehold.http_claim ORDER BY job LIMIT 1 FOR UPDATE";
    sqlx::query(lock).execute(&mut *transaction).await.expect(lock);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("the answer");
    assert!(answer.len() > 20_000_000, "{} bytes", answer.len());
    unknown(&mut database, 1).await;
    served.enqueue("k").await;
    assert_eq!(live_claim(&served, 5_000).await.len(), 1);
    unknown(&mut database, 1).await;
    transaction.rollback().await.expect("the end of the lock");
    unknown(&mut database, 0).await;
}
