//! Webhooks, from the end of a job to the answer of a receiver, with real servers on both sides.

use crate::{
    http::{Reply, Served, request, send},
    member::{Member, SOON},
    receiver::{Reaction, Receiver},
};
use leasehold_tests::{Stores, eventually, private_folder};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::{
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// Receivers of tests are on the loopback address.
const ALLOWED: (&str, &str) = ("LEASEHOLD_WEBHOOKS__ALLOW_NETWORKS", "127.0.0.1/32");

impl Served {
    async fn patch(&self, path: &str, body: &Value) -> Reply {
        let json = [("content-type", "application/json")];
        send(self.api.address(), &request("PATCH", path, &json, &body.to_string())).await
    }

    async fn delete(&self, path: &str) -> Reply {
        send(self.api.address(), &request("DELETE", path, &[], "")).await
    }

    /// Makes a webhook that is active. Returns its secret.
    async fn webhook(&self, body: Value) -> String {
        let made = self.post("/v1/webhooks", &body).await;
        assert_eq!(made.status, 201, "{made:?}");
        assert_eq!(made.json()["webhook"]["active"], true, "{made:?}");
        made.json()["secret"].as_str().expect("a secret").to_owned()
    }

    /// Ends a job of this kind: it is cancelled. Returns its id.
    async fn ends(&self, kind: &str) -> String {
        let id = self.enqueue(kind).await;
        let cancelled = self.post(&format!("/v1/jobs/{id}/cancel"), &json!({})).await;
        assert_eq!(cancelled.status, 200, "{cancelled:?}");
        id
    }

    async fn log(&self, id: &str) -> Vec<Value> {
        let reply = self.get(&format!("/v1/webhooks/{id}/deliveries")).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        reply.json()["deliveries"].as_array().expect("an array").clone()
    }

    /// Waits until the newest attempt in the log is as wanted.
    async fn until_logged(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("the newest attempt", SOON, || async {
            match self.log(id).await.first() {
                Some(attempt) if wanted(attempt) => Ok(attempt.clone()),
                other => Err(other.cloned()),
            }
        })
        .await
    }

    async fn webhook_is(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("the webhook", SOON, || async {
            let webhook = self.get(&format!("/v1/webhooks/{id}")).await.json();
            if wanted(&webhook) { Ok(webhook) } else { Err(webhook) }
        })
        .await
    }

    async fn delivery_is(&self, delivery: &str, state: &str) -> Value {
        eventually("the delivery", SOON, || async {
            let job = self.get(&format!("/v1/jobs/{delivery}")).await.json();
            if job["state"] == state { Ok(job) } else { Err(job) }
        })
        .await
    }
}

async fn start(stores: &Stores, more: &[(&str, &str)]) -> Served {
    let settings = [&[ALLOWED], more].concat();
    Served::start_with(stores, &settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_is_told_once_and_signed() {
    let stores = Stores::start().await;
    let served = start(&stores, &[]).await;
    let receiver = Receiver::start(204).await;
    let secret =
        served.webhook(json!({ "id": "crm", "url": receiver.url, "kinds": ["mail"], "states": ["cancelled"] })).await;
    served.ends("other").await;
    let id = served.ends("mail").await;
    let message = receiver.until(1).await.remove(0);
    assert!(message.is_signed_by(&secret), "{message:?}");
    assert!(!message.is_signed_by("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
    assert_eq!((message.path.as_str(), message.header("content-type")), ("/hooks?a=b", "application/json"));
    assert_eq!(format!("http://{}/hooks?a=b", message.header("host")), receiver.url);
    let body = message.json();
    assert_eq!(
        (&body["type"], &body["data"]["id"], &body["data"]["kind"]),
        (&json!("job.cancelled"), &json!(id), &json!("mail"))
    );

    let attempt = served.until_logged("crm", |attempt| attempt["state"] == "succeeded").await;
    assert_eq!((&attempt["job"], &attempt["status"], &attempt["error"]), (&json!(id), &json!(204), &Value::Null));
    assert_eq!(attempt["delivery"], json!(message.id()));
    assert_eq!(receiver.messages().len(), 1);

    // The same delivery again, with the same id.
    let replay = served.post("/v1/webhooks/crm/replay", &json!({ "delivery": message.id() })).await;
    assert_eq!((replay.status, &replay.json()["replayed"]), (200, &json!(1)), "{replay:?}");
    let again = receiver.until(2).await.remove(1);
    assert_eq!((again.id(), again.body == message.body, again.is_signed_by(&secret)), (message.id(), true, true));

    // A test message.
    let tested = served.post("/v1/webhooks/crm/test", &json!({})).await;
    assert_eq!(tested.status, 202, "{tested:?}");
    let message = receiver.until(3).await.remove(2);
    assert_eq!(
        (message.json()["type"].clone(), message.id()),
        (json!("webhook.test"), tested.json()["delivery"].as_str().expect("an id").to_owned())
    );
    assert!(message.is_signed_by(&secret));
    // The page after the first one.
    served.until_logged("crm", |attempt| attempt["event"] == "webhook.test").await;
    let page = served.get("/v1/webhooks/crm/deliveries?limit=2").await.json();
    let cursor = page["next"].as_str().expect("a cursor").to_owned();
    let rest = served.get(&format!("/v1/webhooks/crm/deliveries?limit=2&cursor={cursor}")).await.json();
    assert_eq!((rest["deliveries"].as_array().map(Vec::len), &rest["next"]), (Some(1), &Value::Null), "{rest}");
    served.webhook(json!({ "id": "erp", "url": receiver.url, "states": ["dead"] })).await;
    assert_eq!(served.get(&format!("/v1/webhooks/erp/deliveries?cursor={cursor}")).await.code(), "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_tried_again_by_the_schedule() {
    let stores = Stores::start().await;
    let served = start(&stores, &[]).await;
    let receiver = Receiver::start(500).await;
    served.webhook(json!({ "id": "crm", "url": receiver.url })).await;
    served.ends("k").await;
    let delivery = receiver.until(1).await[0].id();
    let job = served.delivery_is(&delivery, "scheduled").await;
    let due_in = |job: &Value| {
        let time =
            |at: &Value| at.as_str().and_then(|at| at.parse::<chrono::DateTime<chrono::Utc>>().ok()).expect("a time");
        (time(&job["run_at"]) - chrono::Utc::now()).as_seconds_f64()
    };
    assert!((2.0..6.5).contains(&due_in(&job)), "5 s and jitter: {job}");
    assert_eq!(job["last_error"], "the endpoint answered 500");
    assert_eq!(served.until_logged("crm", |_| true).await["answer"], "an answer");
    let failing = served.webhook_is("crm", |webhook| !webhook["failing_since"].is_null()).await;
    assert_eq!((&failing["active"], &failing["last_status"]), (&json!(true), &json!(500)));

    // The second attempt comes by itself. The endpoint asks for an hour.
    receiver.reacts(Reaction::Status(503, vec![("retry-after", "3600".to_owned())]));
    receiver.until(2).await;
    let job = eventually("the second failure", SOON, || async {
        let job = served.get(&format!("/v1/jobs/{delivery}")).await.json();
        if job["last_error"] == "the endpoint answered 503" { Ok(job) } else { Err(job) }
    })
    .await;
    assert!((3500.0..4400.0).contains(&due_in(&job)), "an hour and jitter: {job}");

    // A replay does not wait for the time. A success forgets the failures.
    receiver.reacts(Reaction::Status(200, Vec::new()));
    let replay = served.post("/v1/webhooks/crm/replay", &json!({ "delivery": delivery })).await;
    assert_eq!(replay.json()["replayed"], 1, "{replay:?}");
    served.delivery_is(&delivery, "succeeded").await;
    let well = served.webhook_is("crm", |webhook| webhook["failing_since"].is_null()).await;
    assert_eq!(well["disabled_at"], Value::Null);
    let ids: Vec<String> = receiver.messages().iter().map(crate::receiver::Message::id).collect();
    assert_eq!(ids, [delivery.clone(), delivery.clone(), delivery]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_disabled_and_comes_back_with_what_it_missed() {
    let stores = Stores::start().await;
    let served = start(&stores, &[]).await;
    let receiver = Receiver::start(500).await;
    let since = chrono::Utc::now();
    served.webhook(json!({ "id": "crm", "url": receiver.url })).await;
    served.ends("waits").await;
    let waiting = receiver.until(1).await[0].id();
    served.delivery_is(&waiting, "scheduled").await;
    receiver.reacts(Reaction::Status(410, Vec::new()));
    served.ends("gone").await;
    let gone = receiver.until(2).await[1].id();
    served.delivery_is(&gone, "dead").await;
    let webhook = served.webhook_is("crm", |webhook| !webhook["disabled_at"].is_null()).await;
    assert_eq!(webhook["active"], false);
    assert!(webhook["disabled_reason"].as_str().is_some_and(|reason| reason.contains("410")), "{webhook}");

    // What waits ends without a message, and new ends make no delivery.
    served.post("/v1/webhooks/crm/replay", &json!({ "delivery": waiting })).await;
    let job = served.delivery_is(&waiting, "dead").await;
    assert!(job["last_error"].as_str().is_some_and(|error| error.contains("disabled since")), "{job}");
    served.ends("missed").await;
    let jobs = served.get("/v1/jobs?queue=leasehold.webhooks").await.json();
    assert_eq!((jobs["jobs"].as_array().map(Vec::len), receiver.messages().len()), (Some(2), 2), "{jobs}");

    receiver.reacts(Reaction::Status(200, Vec::new()));
    let enabled = served.patch("/v1/webhooks/crm", &json!({ "enabled": true })).await.json();
    assert_eq!((&enabled["active"], &enabled["disabled_reason"]), (&json!(true), &Value::Null), "{enabled}");
    let replay = served.post("/v1/webhooks/crm/replay", &json!({ "since": since })).await;
    assert_eq!((replay.status, replay.json()), (200, json!({ "replayed": 2, "next": null })), "{replay:?}");
    for delivery in [&waiting, &gone] {
        served.delivery_is(delivery, "succeeded").await;
    }
    let replay = served.post("/v1/webhooks/crm/replay", &json!({ "since": since })).await;
    assert_eq!(replay.json()["replayed"], 0, "none is dead");
    // One by one. Each that was sent again is tried again, and the later pages leave it out.
    let succeeded = served.get("/v1/jobs?queue=leasehold.webhooks&state=succeeded").await.json();
    let succeeded = succeeded["jobs"].as_array().map(Vec::len);
    let mut again = json!({ "since": since, "states": ["succeeded"], "limit": 1 });
    let mut all = 0;
    loop {
        let replay = served.post("/v1/webhooks/crm/replay", &again).await.json();
        let replayed = replay["replayed"].as_u64().unwrap_or_else(|| panic!("{replay}"));
        assert!(replayed <= 1, "{replay}");
        all += usize::try_from(replayed).expect("few");
        if replayed == 1 {
            eventually("it has succeeded again", SOON, async || {
                let jobs = served.get("/v1/jobs?queue=leasehold.webhooks&state=succeeded").await.json();
                if jobs["jobs"].as_array().map(Vec::len) == succeeded { Ok(()) } else { Err(jobs) }
            })
            .await;
        }
        if replay["next"].is_null() {
            break;
        }
        again["after"] = replay["next"].clone();
    }
    assert_eq!(Some(all), succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn for_a_while_both_secrets_sign() {
    let stores = Stores::start().await;
    let served = start(&stores, &[]).await;
    let receiver = Receiver::start(200).await;
    let own = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let first = served.webhook(json!({ "id": "crm", "url": receiver.url, "secret": own })).await;
    assert_eq!(first, own);
    let rotated = served.post("/v1/webhooks/crm/rotate", &json!({})).await;
    let second = rotated.json()["secret"].as_str().expect("a secret").to_owned();
    served.ends("k").await;
    let message = receiver.until(1).await.remove(0);
    assert!(message.is_signed_by(&first) && message.is_signed_by(&second), "{message:?}");
    assert_eq!(message.header("webhook-signature").split(' ').count(), 2);
    let third = served.post("/v1/webhooks/crm/rotate", &json!({ "overlap": "0s" })).await;
    let third = third.json()["secret"].as_str().expect("a secret").to_owned();
    served.ends("k").await;
    let message = receiver.until(2).await.remove(1);
    assert!(message.is_signed_by(&third) && !message.is_signed_by(&second) && !message.is_signed_by(&first));
    let shown = served.get("/v1/webhooks").await;
    assert!(!shown.text.contains("whsec_"), "a secret is shown once: {shown:?}");
    for (overlap, pointer) in [("31d", "/overlap"), ("soon", "/overlap")] {
        let refused = served.post("/v1/webhooks/crm/rotate", &json!({ "overlap": overlap })).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec![pointer.to_owned()]), "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let stores = Stores::start().await;
    let served = start(&stores, &[]).await;
    let (inside, receiver) = (Receiver::start(200).await, Receiver::start(200).await);
    receiver.reacts(Reaction::Status(307, vec![("location", inside.url.clone())]));
    served.webhook(json!({ "id": "crm", "url": receiver.url })).await;
    served.ends("k").await;
    let attempt = served.until_logged("crm", |_| true).await;
    assert_eq!(attempt["error"], "the endpoint answered 307; redirects are not followed");
    assert_eq!((receiver.messages().len(), inside.messages().len()), (1, 0));
}

/// The kernel accepts connections for a receiver that never answers.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_stalls_delays_no_other() {
    let stores = Stores::start().await;
    let served = start(&stores, &[("LEASEHOLD_WEBHOOKS__SLOTS", "8")]).await;
    let (slow, good) = (Receiver::start(200).await, Receiver::start(200).await);
    slow.reacts(Reaction::Hold(200));
    served.webhook(json!({ "id": "slow", "url": slow.url })).await;
    served.webhook(json!({ "id": "good", "url": good.url })).await;
    for _ in 0..12 {
        served.ends("k").await;
    }
    let begun = Instant::now();
    good.until(12).await;
    // The slow endpoint has as many messages as it may have at the same time, and no more.
    assert_eq!(slow.until(4).await.len(), 4);
    assert!(begun.elapsed() < Duration::from_secs(14), "the good endpoint has waited for the slow one");
    slow.reacts(Reaction::Status(200, Vec::new()));
    slow.let_go();
    slow.until(12).await;
    let ids: std::collections::BTreeSet<String> = slow.messages().iter().map(crate::receiver::Message::id).collect();
    assert_eq!(ids.len(), 12);
}

/// The process that sends is killed between the end of the job and the answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_outlives_the_process_that_sends_it() {
    let stores = Stores::start().await;
    let mut served = start(&stores, &[("LEASEHOLD_WORKER__LEASE_MS", "2000")]).await;
    let receiver = Receiver::start(200).await;
    receiver.reacts(Reaction::Hold(200));
    let secret = served.webhook(json!({ "id": "crm", "url": receiver.url })).await;
    served.ends("k").await;
    let first = receiver.until(1).await.remove(0);
    served.api.kill();
    // A job ends while no server sends.
    let id = served.other_enqueue(&stores).await;
    receiver.reacts(Reaction::Status(200, Vec::new()));
    served.api =
        Member::start_with(&stores, &stores.database.url, &["api"], &[ALLOWED, ("LEASEHOLD_WORKER__LEASE_MS", "2000")]);
    let messages = receiver.until(3).await;
    let of_first = messages.iter().filter(|message| message.id() == first.id()).count();
    let of_second = messages.iter().filter(|message| message.json()["data"]["id"] == json!(id)).count();
    assert_eq!((of_first, of_second), (2, 1), "{messages:?}");
    assert!(messages.iter().all(|message| message.is_signed_by(&secret)));
    let job = served.delivery_is(&first.id(), "succeeded").await;
    assert_eq!((&job["attempt"], &job["crashes"]), (&json!(2), &json!(1)), "{job}");
    let deliveries = served.get("/v1/jobs?queue=leasehold.webhooks").await.json();
    assert_eq!(deliveries["jobs"].as_array().map(Vec::len), Some(2), "{deliveries}");
}

impl Served {
    /// Ends a job by SQL, without the server.
    async fn other_enqueue(&self, stores: &Stores) -> String {
        let mut connection = stores.database.connect().await;
        let enqueue = "SELECT leasehold.enqueue(kind => 'k', payload => '{}')::text";
        let id: String = sqlx::query_scalar(enqueue).fetch_one(&mut connection).await.expect("a job");
        let cancel = format!("SELECT leasehold.cancel('{id}')");
        sqlx::raw_sql(AssertSqlSafe(cancel)).execute(&mut connection).await.expect("cancel");
        id
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_made_changed_and_removed() {
    let stores = Stores::start().await;
    let served = start(&stores, &[]).await;
    let receiver = Receiver::start(500).await;
    let made = served.post("/v1/webhooks", &json!({ "url": receiver.url })).await;
    let id = made.json()["webhook"]["id"].as_str().expect("an id").to_owned();
    assert!(id.starts_with("wh_") && made.json()["secret"].as_str().is_some_and(|secret| secret.starts_with("whsec_")));
    let again = served.post("/v1/webhooks", &json!({ "id": id, "url": receiver.url })).await;
    assert_eq!((again.status, again.code().as_str()), (409, "conflict"));

    let changed = served
        .patch(&format!("/v1/webhooks/{id}"), &json!({ "queue": "mail*", "kinds": ["a", "b"], "states": ["dead"] }))
        .await;
    assert_eq!(
        (changed.status, &changed.json()["queue"], &changed.json()["kinds"]),
        (200, &json!("mail*"), &json!(["a", "b"])),
        "{changed:?}"
    );
    let changed = served
        .patch(&format!("/v1/webhooks/{id}"), &json!({ "queue": "*", "kinds": [], "states": ["cancelled"] }))
        .await;
    assert_eq!((&changed.json()["url"], &changed.json()["kinds"]), (&json!(receiver.url), &json!([])), "{changed:?}");

    // Every bad field is named.
    let bad = json!({ "id": "a b", "url": "ftp://x", "queue": "*x", "kinds": ["k", "k k"], "states": ["running"], "secret": "s", "colour": 1 });
    let refused = served.post("/v1/webhooks", &bad).await;
    let pointers = ["/id", "/url", "/queue", "/kinds/1", "/states", "/secret", "/colour"];
    assert_eq!((refused.status, refused.pointers()), (422, pointers.map(str::to_owned).to_vec()), "{refused:?}");
    let refused = served.post("/v1/webhooks", &json!({ "states": [] })).await;
    assert_eq!(refused.pointers(), ["/url", "/states"], "{refused:?}");
    let replay = format!("/v1/webhooks/{id}/replay");
    assert_eq!(served.post(&replay, &json!({})).await.pointers(), ["/since"]);
    let both = json!({ "delivery": "0198c5a4-0000-7000-8000-000000000000", "since": "2030-01-01T00:00:00Z" });
    assert_eq!(served.post(&replay, &both).await.pointers(), ["/since"]);
    let none = json!({ "delivery": "0198c5a4-0000-7000-8000-000000000000" });
    assert_eq!(served.post(&replay, &none).await.code(), "not_found");
    let job = served.enqueue("k").await;
    assert_eq!(served.post(&replay, &json!({ "delivery": job })).await.code(), "not_found", "it is no delivery");

    // A removed webhook takes what waits with it.
    served.ends("a").await;
    let delivery = receiver.until(1).await[0].id();
    served.delivery_is(&delivery, "scheduled").await;
    assert_eq!(served.delete(&format!("/v1/webhooks/{id}")).await.status, 200);
    served.delivery_is(&delivery, "cancelled").await;
    for path in [format!("/v1/webhooks/{id}"), format!("/v1/webhooks/{id}/deliveries")] {
        assert_eq!(served.get(&path).await.code(), "not_found");
    }
    assert_eq!(served.delete(&format!("/v1/webhooks/{id}")).await.code(), "not_found");
    assert_eq!(served.post(&replay, &json!({ "since": "2030-01-01T00:00:00Z" })).await.code(), "not_found");
    served.ends("a").await;
    let deliveries = served.get("/v1/jobs?queue=leasehold.webhooks").await.json();
    assert_eq!(deliveries["jobs"].as_array().map(Vec::len), Some(1), "{deliveries}");
}

/// Without the setting, nothing inside of the network is reached: not by its address, and not by a name.
#[tokio::test(flavor = "multi_thread")]
async fn only_public_addresses_are_reached() {
    let stores = Stores::start().await;
    let served = Served::start(&stores);
    let receiver = Receiver::start(200).await;
    let port = receiver.url.rsplit(':').next().expect("a port").to_owned();
    for host in ["127.0.0.1", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"] {
        let refused = served.post("/v1/webhooks", &json!({ "url": format!("http://{host}:{port}") })).await;
        assert_eq!((refused.status, refused.pointers()), (422, vec!["/url".to_owned()]), "{host}: {refused:?}");
    }
    // A name is judged when it is resolved, whatever it was when the webhook was made.
    served.webhook(json!({ "id": "inside", "url": format!("http://localhost:{port}") })).await;
    served.ends("k").await;
    let attempt = served.until_logged("inside", |_| true).await;
    assert!(attempt["error"].as_str().is_some_and(|error| error.contains("which is loopback")), "{attempt}");
    assert_eq!((&attempt["status"], receiver.messages().len()), (&Value::Null, 0));
}

/// An authority of the test, and a certificate of it for `localhost`. Returns the file of the authority.
fn certificates(folder: &Path) -> (String, TlsAcceptor) {
    let openssl = |arguments: &str| {
        let done = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl");
        assert!(done.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {new_key} -days 2 -subj /CN=authority -keyout ca.key -out ca.pem"));
    openssl(&format!("req {new_key} -subj /CN=localhost -keyout server.key -out server.csr"));
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost").expect("written");
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem");
    let chain = CertificateDer::from_pem_file(folder.join("server.pem")).expect("a certificate");
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions of TLS")
        .with_no_client_auth()
        .with_single_cert(vec![chain], key)
        .expect("a certificate with its key");
    (folder.join("ca.pem").display().to_string(), TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_the_receiver_must_be_who_the_url_names() {
    let folder = private_folder();
    let (authority, tls) = certificates(folder.path());
    let stores = Stores::start().await;
    let receiver = Receiver::start_tls(200, tls).await;
    let by_address = receiver.url.replace("localhost", "127.0.0.1");
    let served = start(&stores, &[("SSL_CERT_FILE", &authority)]).await;
    let secret = served.webhook(json!({ "id": "named", "url": receiver.url })).await;
    served.webhook(json!({ "id": "other-name", "url": by_address })).await;
    served.ends("k").await;
    assert!(receiver.until(1).await[0].is_signed_by(&secret));
    let attempt = served.until_logged("other-name", |_| true).await;
    assert!(attempt["error"].as_str().is_some_and(|error| error.contains("TLS handshake")), "{attempt}");
    drop(served);

    // A server that does not know the authority sends nothing.
    let served = start(&stores, &[]).await;
    assert_eq!(served.delete("/v1/webhooks/other-name").await.status, 200);
    served.ends("k").await;
    let attempt = served.until_logged("named", |attempt| !attempt["error"].is_null()).await;
    assert!(attempt["error"].as_str().is_some_and(|error| error.contains("TLS handshake")), "{attempt}");
    assert_eq!(receiver.messages().len(), 1);
}
