//! Session settings of a database do not affect our statements.

use crate::{
    fixture::{Fixture, LEASE, new_job},
    subject::{connect, settings},
};
use leasehold_core::{FinishedRun, Settle, Settled, WorkerId};
use leasehold_servers::PostgresOptions;
use leasehold_store::{Error, Kinds, Pooler, Settings, Store};
use leasehold_tests::{Database, eventually};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{slice::from_ref, time::Duration};

const SETTINGS: [(&str, &str, &str); 9] = [
    ("default_transaction_isolation", "serializable", "read committed"),
    ("default_transaction_deferrable", "on", "off"),
    ("lock_timeout", "30000", "5s"),
    ("statement_timeout", "30000", "36s"),
    ("idle_in_transaction_session_timeout", "30000", "36s"),
    ("search_path", "nowhere", "pg_catalog, public"),
    ("row_security", "off", "on"),
    ("transform_null_equals", "on", "off"),
    ("IntervalStyle", "sql_standard", "postgres"),
];

#[tokio::test]
async fn a_statement_runs_under_settings_of_its_own() {
    let fixture = Fixture::start().await;
    // The settings are observed from within the statements. For isolation this is the setting of the current
    // transaction, not of the next one.
    let looks = SETTINGS.map(|(name, ..)| match name {
        "default_transaction_isolation" => "current_setting('transaction_isolation')".to_owned(),
        "default_transaction_deferrable" => "current_setting('transaction_deferrable')".to_owned(),
        _ => format!("current_setting('{name}')"),
    });
    let looks = looks.join(", ");
    fixture
        .sql(format!(
            "CREATE TABLE public.seen (verb text, settings text[]);
             CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 INSERT INTO public.seen VALUES (TG_OP, ARRAY[{looks}]);
                 RETURN NULL;
             END $$;
             CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON leasehold.job EXECUTE FUNCTION public.note();
             CREATE TRIGGER note AFTER UPDATE OR DELETE ON leasehold.job_noted EXECUTE FUNCTION public.note()"
        ))
        .await;
    for (name, harm, _) in SETTINGS {
        let set =
            format!("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET {name} = {harm}', current_database()); END $$");
        fixture.sql(set).await;
    }
    let store = connect(&fixture.database, 4).await;
    let worker = WorkerId::new();
    let (job, other) = (new_job(), new_job());
    store.enqueue(&[job.clone(), other]).await.expect("enqueue");
    let claimed =
        store.claim(worker, &leasehold_core::QueueName::default(), &[job.id], &Kinds::All, LEASE).await.expect("claim");
    let run = FinishedRun { fence: claimed[0].fence, settle: Settle::Complete(None) };
    assert_eq!(store.settle(worker, &[run]).await.expect("settle"), [Settled::Done]);
    store.survey(None).await.expect("survey");
    assert_eq!(store.stats().await.expect("stats").len(), 1);
    store.violations().await.expect("violations");

    let query = "SELECT DISTINCT verb, settings FROM public.seen ORDER BY verb";
    let seen: Vec<(String, Vec<String>)> =
        sqlx::query_as(AssertSqlSafe(query)).fetch_all(fixture.pool()).await.expect("the observed settings");
    let wanted = SETTINGS.map(|(.., wanted)| wanted.to_owned()).to_vec();
    let wanted = ["DELETE", "INSERT", "UPDATE"].map(|verb| (verb.to_owned(), wanted.clone()));
    // Claim and complete set their own lock timeout.
    let seen: Vec<_> = seen
        .into_iter()
        .map(|(verb, mut settings)| {
            if verb != "INSERT" && settings[2] == "50ms" {
                "5s".clone_into(&mut settings[2]);
            }
            (verb, settings)
        })
        .collect();
    assert_eq!(seen, wanted);
}

/// After a deadlock or a serialization failure the statement is sent again, and its caller does not notice.
#[tokio::test]
async fn a_statement_that_is_rolled_back_is_sent_again() {
    let fixture = Fixture::start().await;
    // A rollback does not give back numbers of a sequence, so a sequence counts the attempts.
    fixture
        .sql(
            "CREATE SEQUENCE public.tries;
             CREATE FUNCTION public.conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 CASE nextval('public.tries') % 3
                     WHEN 1 THEN RAISE EXCEPTION 'deadlock' USING ERRCODE = '40P01';
                     WHEN 2 THEN RAISE EXCEPTION 'conflict' USING ERRCODE = '40001';
                     ELSE RETURN NULL;
                 END CASE;
             END $$;
             CREATE TRIGGER conflict AFTER UPDATE OR DELETE ON leasehold.job EXECUTE FUNCTION public.conflict();
             CREATE TRIGGER conflict AFTER UPDATE OR DELETE ON leasehold.job_noted EXECUTE FUNCTION public.conflict()",
        )
        .await;
    let worker = WorkerId::new();
    let fence = fixture.running(worker).await;
    assert_eq!(fixture.rollbacks(), 2);
    assert_eq!(fixture.settle_one(fence, Settle::Release).await, Settled::Done);
    assert_eq!(fixture.record(fence.id).await.epoch, fence.epoch);
    assert_eq!(fixture.rollbacks(), 4);
    fixture
        .sql(
            "CREATE OR REPLACE FUNCTION public.conflict() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                     RAISE EXCEPTION 'conflict' USING ERRCODE = '40001';
                 END $$",
        )
        .await;
    let error = fixture.claim(worker, &[fence.id], &Kinds::All, LEASE).await.expect_err("always in conflict");
    assert!(error.is_transient(), "{error}");
    assert_eq!(fixture.rollbacks(), 9, "no more than five attempts for each call");
}

/// After a failover, open connections lead to a server that takes no writes. They are closed. The first new connection
/// that leads to a primary makes everything work again.
#[tokio::test]
async fn connections_to_a_server_that_takes_no_writes_are_closed() {
    let options = PostgresOptions { fsync: false, max_connections: 20, password: false, settings: Vec::new() };
    let database = Database::start_apart(options).await;
    let settings = Settings { pooler: Pooler::None, ..settings(&database.url, 2) };
    let store = Store::connect(&settings).await.expect("connecting");
    store.ping().await.expect("ping");
    let admin = tokio::sync::Mutex::new(database.connect().await);
    let backends = async || -> Vec<i32> {
        let query = "SELECT pid FROM pg_stat_activity WHERE application_name = 'leasehold tests'";
        sqlx::query_scalar(query).fetch_all(&mut *admin.lock().await).await.expect("a look")
    };
    let set = async |admin: &mut PgConnection, statement: &'static str| {
        sqlx::raw_sql(statement).execute(&mut *admin).await.expect(statement);
        sqlx::raw_sql("SELECT pg_reload_conf()").execute(admin).await.expect("reload");
    };
    let before = backends().await;
    assert_eq!(before.len(), 1);
    set(&mut *admin.lock().await, "ALTER SYSTEM SET default_transaction_read_only = on").await;
    eventually("the server takes no writes", Duration::from_secs(20), || async {
        match store.ping().await {
            Err(Error::ReadOnly { is_standby: false, .. }) => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert!(matches!(store.uptime().await, Err(Error::ReadOnly { .. })));
    let job = new_job();
    let error = store.enqueue(from_ref(&job)).await.expect_err("no writes");
    assert!(error.is_transient() && error.to_string().contains("PostgreSQL takes no writes"), "{error}");
    eventually("the connections of the store are closed", Duration::from_secs(20), || async {
        let left = backends().await;
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    set(&mut *admin.lock().await, "ALTER SYSTEM RESET default_transaction_read_only").await;
    eventually("the server takes writes", Duration::from_secs(20), || async { store.ping().await }).await;
    store.enqueue(&[job]).await.expect("enqueue");
}
