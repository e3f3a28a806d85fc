//! Servers that are unavailable, refuse, or are misconfigured: one line says what is wrong and what to do, without a
//! secret.

use crate::fixture::{Scene, program_in, run};
use leasehold_servers::{PostgresOptions, RedisOptions};
use leasehold_tests::{Database, RedisServer, private_folder};
use sqlx::Executor;

#[tokio::test(flavor = "multi_thread")]
async fn missing_urls_are_reported_with_the_settings_to_use() {
    let folder = private_folder();
    let call = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = program_in(folder.path());
        command.args(args).envs(variables.iter().copied());
        run(command, b"")
    };
    for args in [&["stats"][..], &["enqueue", "--kind", "k"], &["migrate"], &["reaper"]] {
        call(&[], args).refused(2, "database.url is not set; set LEASEHOLD_DATABASE_URL");
    }
    let wrong = [("LEASEHOLD_DATABASE_URL", "mysql://u:hunter2@h/d")];
    let ran = call(&wrong, &["stats"]);
    ran.refused(2, "database.url");
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
    let nobody = [("LEASEHOLD_DATABASE_URL", "postgres://u:hunter2@127.0.0.1:1/d")];
    let ran = call(&nobody, &["stats"]);
    ran.refused(
        1,
        "no PostgreSQL answers at 127.0.0.1:1 (connection refused); is it running, and is database.url right?",
    );
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_redis_url_is_named_and_changes_nothing() {
    let scene = Scene::start().await;
    let before = scene.contents().await;
    for url in ["http://127.0.0.1", "redis://:hunter2@:x:y", "127.0.0.1:6379"] {
        for args in [&["enqueue", "--kind", "k"][..], &["stats"], &["stats", "--watch"]] {
            let mut command = scene.command(args);
            command.env("LEASEHOLD_REDIS_URL", url);
            let ran = run(command, b"");
            ran.refused(2, "redis.url");
            assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
        }
    }
    assert_eq!(scene.contents().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_password_is_reported() {
    let options = PostgresOptions { password: true, fsync: false, ..PostgresOptions::default() };
    let database = Database::start_apart(options).await;
    let scene = Scene::start().await;
    let (before, place) = database.url.rsplit_once('@').expect("a URL with a password");
    let user = before.trim_start_matches("postgres://").split(':').next().expect("a user");
    let mut command = scene.command(&["stats"]);
    command.env("LEASEHOLD_DATABASE_URL", format!("postgres://{user}:hunter2@{place}"));
    let ran = run(command, b"");
    ran.refused(1, "refuses the password");
    assert!(!ran.stderr.contains("hunter2"), "{ran:?}");

    let mut command = scene.command(&["stats"]);
    command.env("LEASEHOLD_DATABASE_URL", scene.stores.database.url.replace("test_", "no_such_"));
    run(command, b"").refused(1, "has no database no_such_");
}

/// PostgreSQL accepts jobs even if Redis cannot be used. Doctor names the problem.
#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_accepted_while_redis_cannot_be_used() {
    let scene = Scene::start().await;
    let locked = RedisServer::start_with(RedisOptions { password: true, ..RedisOptions::default() }).await;
    let place = locked.url.rsplit_once('@').expect("a URL with a password").1;
    let with = async |lines: &[&str]| {
        let settings = lines.iter().map(ToString::to_string).collect();
        RedisServer::start_with(RedisOptions { password: false, settings, ..RedisOptions::default() }).await
    };
    let evicting = with(&["maxmemory 100mb", "maxmemory-policy allkeys-lru"]).await;
    let full = with(&["maxmemory 1"]).await;
    let replica = with(&["replicaof 127.0.0.1 1"]).await;
    let poor = with(&["user default on nopass ~* &* +@all -blmove"]).await;
    // A server that answers, but not in the protocol of Redis.
    let other = scene.stores.database.server().port();
    for (url, message) in [
        (format!("redis://:hunter2@{place}"), "refuses the user or the password of redis.url"),
        (format!("redis://{place}"), "asks for a password"),
        (evicting.url.clone(), "evicts keys"),
        (full.url.clone(), "is full: raise maxmemory"),
        (replica.url.clone(), "is a replica: it can be read only; redis.url must name the primary"),
        (poor.url, "does not let this user do what is needed"),
        (format!("redis://127.0.0.1:{other}"), "no Redis answers at"),
        (format!("{}/99", evicting.url.trim_end_matches('/')), "refuses database 99"),
    ] {
        let with_url = |args: &[&str]| {
            let mut command = scene.command(args);
            command.env("LEASEHOLD_REDIS_URL", &url);
            run(command, b"")
        };
        let accepted = with_url(&["enqueue", "--kind", "k"]);
        assert!(!accepted.stderr.contains("hunter2"), "{accepted:?}");
        let id = accepted.succeeded();
        assert_eq!(scene.json(&["job", "show", &id])["state"], "queued");
        let doctor = with_url(&["doctor"]);
        doctor.refused(1, message);
        assert!(!doctor.stderr.contains("hunter2"), "{doctor:?}");
    }
}

/// Doctor only reads, but it still reports that the server takes no writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_is_reported() {
    let scene = Scene::start().await;
    let mut postgres = scene.sql().await;
    let set = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$";
    postgres.execute(set).await.expect("read-only from now on");
    scene.run(&["doctor"]).refused(1, "PostgreSQL takes no writes (default_transaction_read_only is on");
    scene.run(&["enqueue", "--kind", "k"]).refused(1, "takes no writes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_another_encoding_is_refused() {
    let scene = Scene::start().await;
    let create = "CREATE DATABASE in_ascii ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0";
    scene.sql().await.execute(create).await.expect("a database");
    let (server, _) = scene.stores.database.url.rsplit_once('/').expect("a name");
    let mut command = scene.command(&["migrate"]);
    command.env("LEASEHOLD_DATABASE_URL", format!("{server}/in_ascii"));
    run(command, b"").refused(
        1,
        "the database has the encoding SQL_ASCII, and Leasehold needs UTF8; make another one: \
         CREATE DATABASE jobs ENCODING 'UTF8' TEMPLATE template0",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_accepted_while_redis_is_unavailable_and_stats_names_the_unavailable_store() {
    let scene = Scene::start().await;
    let without_redis = |args: &[&str]| {
        let mut command = scene.command(args);
        command.env("LEASEHOLD_REDIS_URL", "redis://127.0.0.1:1");
        run(command, b"")
    };
    let id = without_redis(&["enqueue", "--kind", "k"]).succeeded();
    assert_eq!(scene.json(&["job", "show", &id])["state"], "queued");
    let stats = without_redis(&["stats"]).succeeded();
    assert!(stats.contains("Redis is unavailable: no Redis answers at 127.0.0.1:1"), "{stats}");
    let explained = without_redis(&["job", "explain", &id]).succeeded();
    assert!(explained.contains("which workers live is not known, since Redis cannot be asked"), "{explained}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_is_missing_or_newer_is_refused() {
    let scene = Scene::start().await;
    let mut postgres = scene.sql().await;
    postgres.execute("DROP SCHEMA leasehold CASCADE").await.expect("dropped");
    scene.run(&["enqueue", "--kind", "k"]).refused(1, "the database has no schema leasehold; run `leasehold migrate`");
    let status = scene.run(&["migrate", "status"]);
    let is_unapplied = |line: &str| line.split_whitespace().eq(["0001", "jobs", "no"]);
    assert!(status.code == 1 && status.stdout.lines().any(is_unapplied), "{status:?}");
    let applied = scene.output(&["migrate"]);
    assert!(applied.starts_with("applied 0001 jobs\napplied 0002 functions"), "{applied}");
    assert_eq!(scene.output(&["migrate", "up"]), "the schema is up to date");
    assert_eq!(scene.run(&["migrate", "status"]).code, 0);
    scene.run(&["enqueue", "--kind", "k"]).succeeded();

    let newer =
        "INSERT INTO leasehold.migration SELECT (r).* FROM (SELECT jsonb_populate_record(m, '{\"version\": 9999}') r
                 FROM leasehold.migration m LIMIT 1) newer";
    postgres.execute(newer).await.expect("a migration from the future");
    for args in [&["enqueue", "--kind", "k"][..], &["migrate"], &["worker", "--queue", "q", "--exec", "k=true"]] {
        scene.run(args).refused(1, "the schema leasehold is at version 9999, this program knows only");
    }
    // A roll-out is taken back: the later migration says that this program works.
    let works =
        "INSERT INTO leasehold.works_with SELECT 9999, max(version) FROM leasehold.migration WHERE version < 9999";
    postgres.execute(works).await.expect("what the migration says");
    scene.run(&["enqueue", "--kind", "k"]).succeeded();
    assert_eq!(scene.output(&["migrate"]), "the schema is up to date");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sql_of_the_migrations_creates_the_same_schema() {
    let scene = Scene::start().await;
    let script = scene.output(&["migrate", "sql"]);
    let mut postgres = scene.sql().await;
    postgres.execute("DROP SCHEMA leasehold CASCADE").await.expect("dropped");
    sqlx::raw_sql(sqlx::AssertSqlSafe(script)).execute(&mut postgres).await.expect("the script runs");
    scene.run(&["enqueue", "--kind", "k"]).succeeded();
}
