//! Connecting to the server: each failure has one clear line, without the password.

use crate::subject::{connect, settings};
use leasehold_servers::PostgresOptions;
use leasehold_store::{Error, Store};
use leasehold_tests::{Database, LinkState, Proxy, eventually};
use std::time::{Duration, Instant};

async fn refused(url: &str) -> Error {
    let settings = leasehold_store::Settings { acquire_timeout: Duration::from_secs(5), ..settings(url, 2) };
    let error = Store::connect(&settings).await.expect_err(url);
    let told = error.to_string();
    assert!(!told.contains("hunter2") && !told.contains('\n'), "{told}");
    error
}

#[tokio::test]
async fn each_failure_has_one_clear_line() {
    let options = PostgresOptions { fsync: false, max_connections: 20, password: true, settings: Vec::new() };
    let database = Database::start_apart(options).await;
    let (before, after) = database.url.rsplit_once('@').expect("a user");
    let (user, _) = before.rsplit_once(':').expect("a password");
    let wrong = refused(&format!("{user}:hunter2@{after}")).await;
    assert!(wrong.to_string().contains("password authentication failed") && !wrong.is_transient(), "{wrong}");

    let elsewhere = database.url.rsplit_once('/').expect("a database").0;
    let none = refused(&format!("{elsewhere}/nowhere")).await;
    assert!(none.to_string().contains("database \"nowhere\" does not exist") && !none.is_transient(), "{none}");

    // No process listens on port 1 of this machine.
    let away = refused("postgres://somebody:hunter2@127.0.0.1:1/jobs").await;
    assert!(away.to_string().contains("127.0.0.1:1, database jobs, user somebody: "), "{away}");
    assert!(away.to_string().contains("refused") && away.is_transient(), "{away}");

    assert!(matches!(refused("redis://somebody:hunter2@127.0.0.1").await, Error::Url(_)));
    assert!(matches!(refused("postgres://somebody:hunter2@127.0.0.1:nine/jobs").await, Error::Url(_)));
}

/// A server that accepts the connection but never answers.
#[tokio::test]
async fn a_silent_server_ends_with_a_timeout() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let start = Instant::now();
    let limits = leasehold_store::Settings {
        acquire_timeout: Duration::from_millis(300),
        ..settings(&format!("postgres://u:hunter2@127.0.0.1:{port}/d"), 1)
    };
    let error = Store::connect(&limits).await.expect_err("silence");
    assert!(error.to_string().contains("no answer within 300 ms") && error.is_transient(), "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// After a server has gone and come back, connections that were idle during that time cause no failures.
#[tokio::test]
async fn an_error_of_a_server_that_went_away_is_transient() {
    let options = PostgresOptions { fsync: false, max_connections: 20, password: false, settings: Vec::new() };
    let database = Database::start_apart(options).await;
    let limits =
        leasehold_store::Settings { acquire_timeout: Duration::from_millis(500), ..settings(&database.url, 2) };
    let store = Store::connect(&limits).await.expect("connecting");
    store.ping().await.expect("ping");
    sqlx::query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND application_name = 'leasehold tests'")
        .execute(&mut database.connect().await)
        .await
        .expect("terminate");
    if let Err(error) = store.ping().await {
        assert!(error.is_transient(), "{error}");
    }
    store.ping().await.expect("a new connection");
}

/// The number of the store's connections at the server.
async fn connections(database: &Database) -> i64 {
    let others = "SELECT count(*) FROM pg_stat_activity
                  WHERE datname = current_database() AND application_name = 'leasehold tests' AND pid <> pg_backend_pid()";
    sqlx::query_scalar(others).fetch_one(&mut database.connect().await).await.expect("a number")
}

/// A process uses only as many connections as it has concurrent statements, even if it may have more.
#[tokio::test]
async fn the_connection_that_was_used_last_is_used_next() {
    let database = Database::start().await;
    let store = connect(&database, 8).await;
    let is = async |wanted: i64| {
        eventually("the connections", Duration::from_secs(10), || async {
            let count = connections(&database).await;
            if count == wanted { Ok(()) } else { Err(count) }
        })
        .await;
    };
    for _ in 0..20 {
        store.ping().await.expect("ping");
    }
    is(1).await;
    store.prepare().await.expect("prepare");
    for _ in 0..20 {
        tokio::try_join!(store.ping(), store.ping()).expect("two statements at the same time");
    }
    is(2).await;
}

/// A firewall drops the connection, so statements on it are never answered. The caller gets an error, and the only slot
/// of the pool is free again.
#[tokio::test]
async fn a_half_open_connection_is_closed() {
    let database = Database::start().await;
    let port = database.url.rsplit_once('/').and_then(|(server, _)| server.rsplit_once(':')).expect("a port").1;
    let proxy = Proxy::start(port.parse().expect("a port")).await;
    let limits = leasehold_store::Settings {
        acquire_timeout: Duration::from_millis(500),
        ..settings(&proxy.instead_of(&database.url), 1)
    };
    let store = Store::connect(&limits).await.expect("connecting");
    store.ping().await.expect("ping");
    proxy.set(LinkState::Silent);
    let start = Instant::now();
    let error = store.ping().await.expect_err("silence");
    assert!(error.is_transient() && start.elapsed() < Duration::from_secs(5), "{error} after {:?}", start.elapsed());
    proxy.set(LinkState::Open);
    eventually("the store answers again", Duration::from_secs(10), || async { store.ping().await }).await;
    let left = tokio::time::timeout(Duration::from_millis(1), async {
        proxy.set(LinkState::Stalled);
        store.look(&[], &leasehold_store::Kinds::All).await
    });
    assert!(left.await.is_err(), "the caller must have gone away");
    proxy.set(LinkState::Open);
    eventually("the store answers again", Duration::from_secs(10), || async { store.ping().await }).await;
}

/// Everything that libpq accepts is accepted: parameters of hosted servers, and several hosts, of which the first one
/// that answers is used.
#[tokio::test]
async fn parameters_and_hosts_are_read_like_in_libpq() {
    let database = Database::start().await;
    let (server, name) = database.url.rsplit_once('/').expect("a database");
    let (user, place) = server.rsplit_once('@').expect("a user");
    for url in [
        format!(
            "{server}/{name}?sslmode=prefer&connect_timeout=10&channel_binding=prefer&gssencmode=disable&keepalives=1"
        ),
        format!("{server}/{name}?target_session_attrs=read-write&client_encoding=UTF8&fallback_application_name=x"),
        format!("{user}@127.0.0.1:1,{place}/{name}?target_session_attrs=primary"),
    ] {
        let store = Store::connect(&settings(&url, 1)).await.unwrap_or_else(|error| panic!("{error}"));
        store.ping().await.expect("ping");
    }
    let refused = refused(&format!("{server}/{name}?conect_timeout=hunter2")).await;
    assert!(refused.to_string().contains("an unknown parameter, \"conect_timeout\""), "{refused}");
    let away = self::refused("postgres://u:hunter2@[::1]:1/d").await;
    assert!(away.to_string().contains("[::1]:1, database d, user u: ") && away.is_transient(), "{away}");
}
