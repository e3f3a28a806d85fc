//! TLS with certificates of an own authority: of the server, to PostgreSQL and to Redis.

use crate::{
    http::{Reply, parse, request},
    member::{Member, SOON},
    tokens::Token,
};
use leasehold_servers::RedisOptions;
use leasehold_tests::{Database, RedisServer, Stores, eventually, leasehold_program, postgres_options, private_folder};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::json;
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// An authority, whose certificate is in a file.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    file: PathBuf,
    folder: TempDir,
}

/// A certificate and its key in files.
struct Pair {
    cert: PathBuf,
    key: PathBuf,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        // The servers run as another user if the tests run as root.
        let folder = private_folder();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("open to all");
        let file = folder.path().join("ca.pem");
        fs::write(&file, &pem).expect("written");
        Self { issuer: Issuer::new(params, key), pem, file, folder }
    }

    /// A new certificate for these hosts, in files of this name.
    fn pair(&self, name: &str, hosts: &[&str]) -> Pair {
        let key = KeyPair::generate().expect("a key");
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("parameters");
        params.distinguished_name.push(DnType::CommonName, name);
        let cert = params.signed_by(&key, &self.issuer).expect("a certificate").pem();
        let path = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        let pair = Pair { cert: path("pem"), key: path("key") };
        fs::write(&pair.cert, cert).expect("written");
        fs::write(&pair.key, key.serialize_pem()).expect("written");
        fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o600)).expect("private");
        pair
    }

    /// A client that trusts this authority only.
    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem.as_bytes()).expect("a certificate")).expect("added");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        TlsConnector::from(Arc::new(builder.with_root_certificates(roots).with_no_client_auth()))
    }

    async fn send(&self, address: &str, request: &str) -> std::io::Result<Reply> {
        let sent = async {
            let stream = TcpStream::connect(address).await?;
            let name = ServerName::try_from("127.0.0.1").expect("an address");
            let mut stream = self.connector().connect(name, stream).await?;
            stream.write_all(request.as_bytes()).await?;
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await?;
            Ok(parse(&bytes))
        };
        timeout(SOON, sent).await.expect("an answer in time")
    }

    /// What the server answers with a token.
    async fn get(&self, api: &Member, token: &Token, path: &str) -> std::io::Result<Reply> {
        let bearer = format!("Bearer {}", token.text);
        self.send(api.address(), &request("GET", path, &[("authorization", &bearer)], "")).await
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_with_a_certificate_speaks_only_tls_and_reads_the_files_again() {
    let stores = Stores::start().await;
    let token = Token::create(&stores, &["admin"]);
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let pair = first.pair("server", &["127.0.0.1", "localhost"]);
    let settings =
        [("LEASEHOLD_API__TLS_CERT_FILE", text(&pair.cert)), ("LEASEHOLD_API__TLS_KEY_FILE", text(&pair.key))];
    let api = Member::start_with(&stores, &stores.database.url, &["api"], &settings);
    assert_eq!(first.get(&api, &token, "/v1/stats").await.expect("an answer").status, 200);
    let refused = first.send(api.address(), &request("GET", "/v1/stats", &[], "")).await.expect("an answer");
    assert_eq!(refused.status, 401, "TLS is no token");
    let untrusted = second.get(&api, &token, "/v1/stats").await.expect_err("another authority");
    assert!(untrusted.to_string().contains("UnknownIssuer"), "{untrusted}");
    let mut plain = TcpStream::connect(api.address()).await.expect("a connection");
    plain.write_all(request("GET", "/healthz", &[], "").as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    // The server may reset the connection.
    let _ = timeout(SOON, plain.read_to_end(&mut bytes)).await.expect("an end in time");
    assert!(!bytes.starts_with(b"HTTP"), "{bytes:?}");

    // A worker in another language does not notice the difference.
    let bearer = format!("Bearer {}", token.text);
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let post = async |path: &str, body: serde_json::Value| {
        let reply =
            first.send(api.address(), &request("POST", path, &headers, &body.to_string())).await.expect("an answer");
        assert!([200, 201].contains(&reply.status), "{path}: {reply:?}");
        reply.json()
    };
    let long = "x".repeat(500_000);
    let id = post("/v1/jobs", json!({ "kind": "k", "payload": long })).await["id"].clone();
    let claim = json!({ "worker": "0198c5a4-0000-7000-8000-000000000001" });
    let job = post("/v1/queues/default/claim", claim).await["jobs"][0].clone();
    assert_eq!((&job["id"], &job["payload"]), (&id, &json!(long)));
    let fence = json!({ "worker": job["worker"], "epoch": job["epoch"] });
    let path = format!("/v1/jobs/{}/complete", id.as_str().expect("an id"));
    assert_eq!(post(&path, fence).await["state"], "succeeded");

    // A key without its certificate is half of a change: the pair before stays in use. The next change proves that the server has
    // looked at the files.
    let renewed = second.pair("renewed", &["127.0.0.1"]);
    fs::copy(&renewed.key, &pair.key).expect("copied");
    assert_eq!(first.get(&api, &token, "/v1/stats").await.expect("an answer").status, 200);
    fs::copy(&renewed.cert, &pair.cert).expect("copied");
    eventually("the new certificate is served", SOON, || async {
        second
            .get(&api, &token, "/v1/stats")
            .await
            .map(|reply| assert_eq!(reply.status, 200))
            .map_err(|error| error.to_string())
    })
    .await;
    assert!(api.stop(), "it ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_used_stops_the_server() {
    let stores = Stores::start().await;
    let authority = Authority::new("authority");
    let (pair, other) = (authority.pair("a", &["127.0.0.1"]), authority.pair("b", &["127.0.0.1"]));
    for (cert, key, problem) in [
        (text(&pair.cert), "", "belong together"),
        ("/nonexistent.pem", text(&pair.key), "/nonexistent.pem: No such file"),
        (text(&pair.key), text(&pair.key), "the certificate"),
        (text(&pair.cert), text(&pair.cert), "the key"),
        (text(&pair.cert), text(&other.key), "api.tls_key_file cannot be used"),
    ] {
        let settings = [("LEASEHOLD_API__TLS_CERT_FILE", cert), ("LEASEHOLD_API__TLS_KEY_FILE", key)];
        let ended = program(&["api", "--listen", "127.0.0.1:0"], &stores.database.url, &stores.redis.url, &settings);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(2) && said.contains(problem), "{problem}: {said}");
        assert!(!said.contains("PRIVATE KEY"), "{said}");
    }
}

fn program(arguments: &[&str], database: &str, redis: &str, settings: &[(&str, &str)]) -> Output {
    let mut command = Command::new(leasehold_program());
    command.args(arguments).env_clear().current_dir("/").envs(settings.iter().copied());
    command.env("LEASEHOLD_DATABASE_URL", database).env("LEASEHOLD_REDIS_URL", redis);
    command.output().expect("the program")
}

/// Makes a PostgreSQL speak TLS, and demand it. `method` is how clients prove who they are.
async fn demand_tls(database: &Database, authority: &Authority, pair: &Pair, method: &str) {
    // PostgreSQL takes no key that belongs to another user.
    let owner = fs::metadata(format!("/proc/{}", database.server().pid())).expect("its process");
    chown(&pair.key, Some(owner.uid()), Some(owner.gid())).expect("owned by the user of PostgreSQL");
    let mut sql = database.connect().await;
    for (name, value) in [
        ("ssl_ca_file", text(&authority.file)),
        ("ssl_cert_file", text(&pair.cert)),
        ("ssl_key_file", text(&pair.key)),
        ("ssl", "on"),
    ] {
        let set = format!("ALTER SYSTEM SET {name} = '{value}'");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut sql).await.expect(name);
    }
    let file: String = sqlx::query_scalar("SHOW hba_file").fetch_one(&mut sql).await.expect("a path");
    // `connect` of the test itself uses no TLS: it has connected before.
    fs::write(file, format!("hostssl all all 127.0.0.1/32 {method}\n")).expect("written");
    sqlx::raw_sql("SELECT pg_reload_conf()").execute(&mut sql).await.expect("reloaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_is_verified_and_verifies_its_clients() {
    let (database, redis) = tokio::join!(Database::start_apart(postgres_options()), RedisServer::start());
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    let server = authority.pair("server", &["127.0.0.1"]);
    let client = authority.pair("leasehold", &[]);
    demand_tls(&database, &authority, &server, "cert").await;
    let ca = |authority: &Authority| format!("sslmode=verify-full&sslrootcert={}", text(&authority.file));
    let proof = format!("sslcert={}&sslkey={}", text(&client.cert), text(&client.key));
    let enqueue = |url: &str| program(&["enqueue", "--kind", "k"], url, &redis.url, &[]);
    let base = database.url.split('?').next().unwrap_or_default();
    let url = format!("{base}?{}&{proof}", ca(&authority));
    eventually("the server demands TLS", SOON, || async {
        let ended = enqueue(&url);
        if ended.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ended.stderr).into_owned()) }
    })
    .await;
    let other_name = url.replacen("127.0.0.1", "localhost", 1);
    for (url, problem) in [
        (format!("{base}?sslmode=disable"), "no encryption"),
        (format!("{base}?{}", ca(&authority)), "certificate"),
        (format!("{base}?{}&{proof}", ca(&stranger)), "UnknownIssuer"),
        (other_name, "not valid for"),
    ] {
        let ended = enqueue(&url);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(1) && said.contains(problem), "{url}: {problem}: {said}");
    }
    // The other processes use the same URL.
    let stores = Stores { database: Database::start().await, redis };
    let api = Member::start(&stores, &url, &["api"]);
    assert_eq!(api.get("/v1/stats").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_is_verified() {
    let stores = Stores::start().await;
    let (authority, stranger) = (Authority::new("authority"), Authority::new("stranger"));
    let pair = authority.pair("server", &["127.0.0.1"]);
    let server = RedisServer::start_with(RedisOptions { password: false, ..RedisOptions::default() }).await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its address").port();
    let mut redis = server.connect().await;
    for (name, value) in [
        ("tls-cert-file", text(&pair.cert)),
        ("tls-key-file", text(&pair.key)),
        ("tls-ca-cert-file", text(&authority.file)),
        ("tls-auth-clients", "no"),
        ("tls-port", &port.to_string()),
    ] {
        redis::cmd("CONFIG").arg(&["SET", name, value]).query_async::<()>(&mut redis).await.expect(name);
    }
    let url = format!("rediss://127.0.0.1:{port}/");
    let doctor = |url: &str, settings: &[(&str, &str)]| program(&["doctor"], &stores.database.url, url, settings);
    let file = [("LEASEHOLD_REDIS__CA_FILE", text(&authority.file))];
    let _reaper = Member::start_with(
        &Stores { database: Database::start().await, redis: RedisServer::start().await },
        &stores.database.url,
        &["reaper"],
        &[("LEASEHOLD_REDIS_URL", &url), file[0]],
    );
    eventually("doctor finds nothing wrong", SOON, || async {
        let ended = doctor(&url, &file);
        if ended.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ended.stderr).into_owned()) }
    })
    .await;
    let info: String = redis::cmd("INFO").arg("clients").query_async(&mut redis).await.expect("INFO");
    assert!(info.contains("connected_clients"), "{info}");
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await.expect("KEYS");
    assert!(!keys.is_empty(), "the reaper wrote over TLS");
    for (url, settings, problem) in [
        (url.as_str(), &[][..], "UnknownIssuer"),
        (&url, &[("LEASEHOLD_REDIS__CA_FILE", text(&stranger.file))], "UnknownIssuer"),
        (&url.replacen("127.0.0.1", "localhost", 1), &file, "not valid for"),
        (&url, &[("LEASEHOLD_REDIS__CA_FILE", "/nonexistent")], "redis.ca_file, /nonexistent"),
        (&server.url, &file, "does not begin with rediss://"),
    ] {
        let ended = doctor(url, settings);
        let said = String::from_utf8_lossy(&ended.stderr) + String::from_utf8_lossy(&ended.stdout);
        assert!(!ended.status.success() && said.contains(problem), "{url}: {problem}: {said}");
    }
}
