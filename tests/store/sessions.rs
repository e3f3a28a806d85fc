//! What a database sets for all its sessions is not what our statements run under.

use crate::{
    fixture::{Fixture, LEASE, new_job},
    subject::connect,
};
use leasehold_core::{FinishedRun, Settle, Settled, WorkerId};
use leasehold_store::Kinds;
use sqlx::AssertSqlSafe;

const SETTINGS: [(&str, &str, &str); 9] = [
    ("default_transaction_isolation", "serializable", "read committed"),
    ("default_transaction_deferrable", "on", "off"),
    ("lock_timeout", "30000", "0"),
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
    // Seen from within the statements. The transaction's own isolation, and not that of the next one.
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
             CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON leasehold.job EXECUTE FUNCTION public.note()"
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
    let claimed = store.claim(worker, &[job.id], &Kinds::All, LEASE).await.expect("claim");
    let run = FinishedRun { fence: claimed[0].fence, settle: Settle::Complete(None) };
    assert_eq!(store.settle(worker, &[run]).await.expect("settle"), [Settled::Done]);
    store.survey(None).await.expect("survey");
    assert_eq!(store.stats().await.expect("stats").len(), 1);
    store.violations().await.expect("violations");

    let query = "SELECT DISTINCT verb, settings FROM public.seen ORDER BY verb";
    let seen: Vec<(String, Vec<String>)> =
        sqlx::query_as(AssertSqlSafe(query)).fetch_all(fixture.pool()).await.expect("what was seen");
    let wanted = SETTINGS.map(|(.., wanted)| wanted.to_owned()).to_vec();
    let wanted = ["DELETE", "INSERT", "UPDATE"].map(|verb| (verb.to_owned(), wanted.clone()));
    // A claim has a lock timeout of its own.
    let seen: Vec<_> = seen
        .into_iter()
        .map(|(verb, mut settings)| {
            if verb == "UPDATE" && settings[2] == "50ms" {
                "0".clone_into(&mut settings[2]);
            }
            (verb, settings)
        })
        .collect();
    assert_eq!(seen, wanted);
}

/// A deadlock, or a change that met another: the statement is sent again, and its caller does not notice.
#[tokio::test]
async fn a_statement_that_is_rolled_back_is_sent_again() {
    let fixture = Fixture::start().await;
    // What is rolled back does not give numbers of a sequence back.
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
             CREATE TRIGGER conflict AFTER UPDATE OR DELETE ON leasehold.job EXECUTE FUNCTION public.conflict()",
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
    assert_eq!(fixture.rollbacks(), 9, "five times, and no more");
}
