//! Special behaviour behind a pooler: each statement is a transaction with our settings that leaves nothing behind, and
//! a user who did not configure the pooler gets an error.

use crate::{
    fixture::{Fixture, LEASE, kind, name, new_job, retry},
    subject::settings,
};
use leasehold_core::{Settle, Settled, WorkerId};
use leasehold_servers::PgBouncerOptions;
use leasehold_store::{Error, Kinds, Pooler, Settings, Store};
use leasehold_tests::{Database, LinkState, OwnPgBouncer, Proxy, eventually};
use sqlx::{Connection, PgConnection};
use std::{collections::BTreeSet, time::Duration};

/// Modules that do not test the store, or that do not concern a pooler; and those that play many random rounds of statements that
/// other modules here send through the pooler.
const LEFT_OUT: [&str; 15] = [
    "checks",
    "claim_statements",
    "connect",
    "counts_at_scale",
    "failover",
    "functions",
    "graph_races",
    "graph_rows",
    "limit_changes",
    "plans",
    "plans_beside_jobs",
    "plans_of_the_line",
    "schedule_rows",
    "unique_races",
    "violations",
];
const TIMEOUT: Duration = Duration::from_secs(20);

#[test]
fn every_verb_is_tested_through_pgbouncer_too() {
    let modules = |source: &'static str| -> BTreeSet<&str> {
        source.lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';')).collect()
    };
    let mut wanted = modules(include_str!("main.rs"));
    wanted.retain(|module| !LEFT_OUT.contains(module));
    wanted.insert("pgbouncer");
    assert_eq!(modules(include_str!("through_pgbouncer.rs")), wanted);
}

/// A database, a PgBouncer in front of it with one server connection for all clients, and the URL through PgBouncer.
async fn with_one_server_connection(pool_mode: &'static str, lines: &[&str]) -> (Database, OwnPgBouncer, String) {
    let database = Database::start().await;
    let lines = lines.iter().map(ToString::to_string).collect();
    let (pgbouncer, url) =
        database.start_pgbouncer(PgBouncerOptions { pool_mode, pool_size: 1, settings: lines }).await;
    (database, pgbouncer, url)
}

async fn connect(url: &str, pooler: Pooler) -> Result<Store, Error> {
    Store::connect(&Settings { pooler, acquire_timeout: Duration::from_secs(5), ..settings(url, 2) }).await
}

/// Runs some verbs: an insert, an update, and a move to history.
async fn some_verbs(store: &Store) {
    let worker = WorkerId::new();
    store.enqueue(&[new_job(), new_job()]).await.expect("enqueue");
    let claimed = store.claim_line(worker, &name("default"), &Kinds::Only(vec![kind("k")]), 2, LEASE, true).await;
    let claimed = claimed.expect("claim_line");
    for (job, settle) in claimed.iter().zip([Settle::Complete(None), retry()]) {
        let runs = [leasehold_core::FinishedRun { fence: job.fence, settle }];
        assert_eq!(store.settle(worker, &runs).await.expect("settle"), [Settled::Done]);
    }
    store.stats().await.expect("stats");
    store.violations().await.expect("violations");
}

/// The planner settings are observed from within the statements.
#[tokio::test]
async fn every_statement_is_planned_like_without_a_pooler() {
    let fixture = Fixture::start().await;
    fixture
        .sql(
            "CREATE TABLE public.seen (verb text, settings text);
             CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO public.seen VALUES (TG_OP, concat_ws(' ', current_setting('plan_cache_mode'),
                     current_setting('enable_seqscan'), current_setting('jit')));
                 RETURN NULL;
             END $$;
             CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON leasehold.job EXECUTE FUNCTION public.note();
             CREATE TRIGGER note AFTER UPDATE OR DELETE ON leasehold.job_noted EXECUTE FUNCTION public.note()",
        )
        .await;
    some_verbs(&fixture).await;
    let seen: Vec<(String, String)> = sqlx::query_as("SELECT DISTINCT verb, settings FROM public.seen ORDER BY verb")
        .fetch_all(fixture.pool())
        .await
        .expect("the observed settings");
    let wanted = ["DELETE", "INSERT", "UPDATE"].map(|verb| (verb.to_owned(), "force_custom_plan off off".to_owned()));
    assert_eq!(seen, wanted);
}

/// The next client of the server connection must find it unchanged.
#[tokio::test]
async fn nothing_is_left_on_a_server_connection() {
    let (database, _pgbouncer, url) = with_one_server_connection("transaction", &[]).await;
    sqlx::raw_sql("DROP SCHEMA leasehold CASCADE").execute(&mut database.connect().await).await.expect("drop");
    for wanted in ["made", "there already"] {
        let store = connect(&url, Pooler::Transaction).await.expect("connecting");
        assert_eq!(store.migrate().await.expect("migrate").is_empty(), wanted == "there already");
        store.check_schema().await.expect("the schema");
        some_verbs(&store).await;
    }
    let mut next = PgConnection::connect_with(
        &url.parse::<sqlx::postgres::PgConnectOptions>().expect("a URL").extra_float_digits(None),
    )
    .await
    .expect("connecting");
    let left =
        "SELECT concat_ws(' ', (SELECT count(*) FROM pg_prepared_statements), current_setting('plan_cache_mode'),
                                 current_setting('enable_seqscan'), current_setting('jit')) AS left";
    let left: String =
        sqlx::Row::try_get(&sqlx::raw_sql(left).fetch_one(&mut next).await.expect("a look"), 0).expect("a text");
    assert_eq!(left, "0 auto on on");
    next.close().await.expect("closing");
}

fn names_the_setting(error: &Error) {
    let told = error.to_string();
    assert!(matches!(error, Error::Pooler { .. }) && !error.is_transient(), "{error:?}");
    assert!(told.contains("set database.pooler to transaction") && !told.contains('\n'), "{told}");
}

#[tokio::test]
async fn an_unconfigured_pooler_is_detected_when_connecting() {
    let (_database, _pgbouncer, url) = with_one_server_connection("transaction", &[]).await;
    let refused = connect(&url, Pooler::None).await.expect_err("the pooler refuses our options");
    assert!(refused.to_string().contains("unsupported startup parameter"), "{refused}");
    names_the_setting(&refused);

    let (_database, _pgbouncer, url) =
        with_one_server_connection("transaction", &["ignore_startup_parameters = extra_float_digits, options"]).await;
    let refused = connect(&url, Pooler::None).await.expect_err("the pooler drops our options");
    assert!(refused.to_string().contains("our options do not arrive"), "{refused}");
    names_the_setting(&refused);
    connect(&url, Pooler::Transaction).await.expect("the right setting works");
}

/// The role has our settings, so nothing looks wrong at first. But statements have names, and the server connection
/// already knows these names.
#[tokio::test]
async fn an_unconfigured_pooler_is_detected_by_conflicting_statement_names() {
    let (database, _pgbouncer, url) =
        with_one_server_connection("transaction", &["ignore_startup_parameters = extra_float_digits, options"]).await;
    let mut admin = database.connect().await;
    for set in ["plan_cache_mode = force_custom_plan", "enable_seqscan = off", "jit = off"] {
        let set = format!("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {set}', current_database()); END $$");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut admin).await.expect("set");
    }
    let first = connect(&url, Pooler::None).await.expect("nothing looks wrong");
    first.ping().await.expect("the first statement with this name");
    let second = connect(&url, Pooler::None).await.expect("nothing looks wrong");
    names_the_setting(&second.ping().await.expect_err("the name is in use"));
}

#[tokio::test]
async fn a_pooler_in_statement_mode_is_refused() {
    let (_database, _pgbouncer, url) = with_one_server_connection("statement", &[]).await;
    let refused = connect(&url, Pooler::Transaction).await.expect_err("no transactions");
    assert!(matches!(refused, Error::PoolMode { .. }) && !refused.is_transient(), "{refused:?}");
    assert!(refused.to_string().contains("pool_mode = transaction"), "{refused}");
}

#[tokio::test]
async fn a_pooler_in_session_mode_is_fine() {
    let (_database, _pgbouncer, url) = with_one_server_connection("session", &[]).await;
    let settings = Settings { pooler: Pooler::Transaction, ..settings(&url, 1) };
    some_verbs(&Store::connect(&settings).await.expect("connecting")).await;
}

/// A connection that is left in the middle of its transaction is never used again, and the transaction is rolled back.
#[tokio::test]
async fn a_caller_that_goes_away_leaves_no_transaction() {
    let (database, _pgbouncer, url) = with_one_server_connection("transaction", &[]).await;
    let port = url.rsplit_once('/').and_then(|(server, _)| server.rsplit_once(':')).expect("a port").1;
    let proxy = Proxy::start(port.parse().expect("a port")).await;
    let store = connect(&proxy.instead_of(&url), Pooler::Transaction).await.expect("connecting");
    let job = new_job();
    store.enqueue(std::slice::from_ref(&job)).await.expect("enqueue");
    let mut lock = database.connect().await;

    // The caller goes away while BEGIN is in flight.
    proxy.set(LinkState::Stalled);
    let asked = tokio::time::timeout(Duration::from_millis(20), store.ping()).await;
    assert!(asked.is_err(), "got an answer through a stalled proxy");
    proxy.set(LinkState::Open);
    eventually("the store answers again", TIMEOUT, || async { store.ping().await }).await;

    // The caller goes away while the statement waits for a lock.
    sqlx::raw_sql("BEGIN; SELECT FROM leasehold.job FOR UPDATE").execute(&mut lock).await.expect("a lock");
    let mut watch = database.connect().await;
    let cancel = tokio::spawn({
        let store = store.clone();
        async move { store.cancel(&[job.id]).await.map(drop) }
    });
    let waiting =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    wait_for(&mut watch, waiting, 1).await;
    cancel.abort();
    assert!(cancel.await.expect_err("the call was waiting").is_cancelled());
    sqlx::raw_sql("ROLLBACK").execute(&mut lock).await.expect("releasing the lock");
    let in_transaction = "SELECT count(*) FROM pg_stat_activity
                          WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL";
    wait_for(&mut watch, in_transaction, 0).await;
    assert_eq!(store.job(job.id).await.expect("job").expect("the job").state.as_str(), "queued");
}

async fn wait_for(watch: &mut PgConnection, query: &'static str, wanted: i64) {
    let watch = tokio::sync::Mutex::new(watch);
    eventually(query, TIMEOUT, || async {
        let found: i64 = sqlx::query_scalar(query).fetch_one(&mut **watch.lock().await).await.expect("a look");
        if found == wanted { Ok(()) } else { Err(found) }
    })
    .await;
}
