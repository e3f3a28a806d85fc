//! The schema: missing, older, newer, and created by the script for psql.

use crate::{
    fixture::{Fixture, concurrently},
    subject::connect,
};
use leasehold_core::WorkerId;
use leasehold_store::{Error, Store};
use leasehold_tests::Database;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// A store on a database without the schema.
async fn bare() -> (Database, Store) {
    let database = Database::start().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql("DROP SCHEMA leasehold CASCADE").execute(&mut connection).await.expect("drop");
    let store = connect(&database, 8).await;
    (database, store)
}

#[tokio::test]
async fn a_missing_schema_is_created_once() {
    let (_database, store) = bare().await;
    assert!(matches!(store.check_schema().await, Err(Error::SchemaMissing)));
    assert!(store.migrations().await.expect("migrations").iter().all(|migration| migration.applied_at.is_none()));
    let applied = store.migrate().await.expect("migrate");
    let known = store.schema().await.expect("the schema");
    assert_eq!(applied.migrations.len(), known.migrations.len());
    assert!(applied.is_applied() && applied.migrations.iter().all(|migration| !migration.name.is_empty()));
    assert!(applied.functions.len() == known.functions.len() && known.functions.len() > 10);
    store.check_schema().await.expect("the schema");
    assert!(store.migrate().await.expect("migrate").is_empty());
}

#[tokio::test]
async fn concurrent_migrations_create_the_schema_once() {
    let (_database, store) = bare().await;
    let answers = concurrently((0..6).map(|_| store.migrate())).await;
    let applied: Vec<usize> = answers.into_iter().map(|answer| answer.expect("migrate").migrations.len()).collect();
    assert_eq!(applied.iter().filter(|&&count| count > 0).count(), 1, "{applied:?}");
}

#[tokio::test]
async fn older_newer_and_different_schemas_are_distinguished() {
    let fixture = Fixture::start().await;
    let versions: Vec<i64> =
        fixture.migrations().await.expect("migrations").iter().map(|migration| migration.version).collect();
    let [.., before, known] = versions[..] else { panic!("expected at least two migrations: {versions:?}") };
    fixture.sql("INSERT INTO leasehold.migration SELECT 9999, 'later', now(), true, '', 0").await;
    let newer = fixture.check_schema().await.expect_err("newer");
    assert!(matches!(newer, Error::SchemaNewer { found: 9999, known: version } if version == known), "{newer}");
    assert!(matches!(fixture.migrate().await, Err(Error::SchemaNewer { found: 9999, .. })));
    // The later migration says which programs work on the schema.
    for (programs_from, works) in [(known + 1, false), (known, true), (before, true)] {
        fixture.sql("DELETE FROM leasehold.works_with WHERE migration = 9999").await;
        fixture.sql(&format!("INSERT INTO leasehold.works_with VALUES (9999, {programs_from})")).await;
        assert_eq!(fixture.check_schema().await.is_ok(), works, "{programs_from}");
        assert_eq!(fixture.migrate().await.is_ok_and(|made| made.is_empty()), works, "{programs_from}");
    }
    fixture.sql("DELETE FROM leasehold.migration WHERE version IN (9999, (SELECT max(version) FROM leasehold.migration WHERE version < 9999))").await;
    let older = fixture.check_schema().await.expect_err("older");
    assert!(matches!(older, Error::SchemaOlder { found, needed } if found == before && needed == known), "{older}");
    fixture.sql(r"UPDATE leasehold.migration SET checksum = '\x00' WHERE version = 1").await;
    assert!(matches!(fixture.migrate().await, Err(Error::SchemaDiffers { version: 1 })));
}

/// Otherwise a roll-out of the next version could not be taken back.
#[tokio::test]
async fn each_migration_says_which_programs_work_on_its_schema() {
    let fixture = Fixture::start().await;
    let silent = "SELECT count(*) FROM leasehold.migration m
                  WHERE m.version > 37 AND NOT EXISTS (SELECT FROM leasehold.works_with w WHERE w.migration = m.version)";
    assert_eq!(fixture.number(silent).await, 0);
}

/// A migration that fails half-way leaves nothing behind.
#[tokio::test]
async fn a_failure_changes_nothing() {
    let (database, store) = bare().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql("CREATE SCHEMA leasehold; CREATE VIEW leasehold.jobs AS SELECT 1")
        .execute(&mut connection)
        .await
        .expect("a view with the name of a table");
    let failed = store.migrate().await.expect_err("the name is in use");
    assert!(failed.to_string().contains("already exists") && !failed.is_transient(), "{failed}");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_class WHERE relnamespace = 'leasehold'::regnamespace")
        .fetch_one(&mut connection)
        .await
        .expect("count");
    assert_eq!(left, 1, "only the view must exist");
}

/// The script for psql creates the same database, including the table of migrations.
#[tokio::test]
async fn the_script_for_psql_creates_the_same_schema() {
    let (database, store) = bare().await;
    let mut connection = PgConnection::connect(&database.url).await.expect("connecting");
    sqlx::raw_sql(sqlx::AssertSqlSafe(Store::migration_sql())).execute(&mut connection).await.expect("the script");
    store.check_schema().await.expect("the schema");
    assert!(store.migrate().await.expect("migrate").is_empty());
    assert!(store.violations().await.expect("violations").is_empty());
}

/// Reverts migration 9, which creates indexes on tables in use.
async fn one_behind(fixture: &Fixture) {
    fixture
        .sql(
            "DELETE FROM leasehold.migration WHERE version = 9;
             DROP INDEX leasehold.history_ended_badly;
             CREATE INDEX history_unsuccessful ON leasehold.history (state, id) WHERE state <> 'succeeded'",
        )
        .await;
}

/// Enqueues and settles until it is stopped. Returns the longest duration and the number of calls.
async fn writes(fixture: &Fixture, stop: &AtomicBool) -> (Duration, u32) {
    let (worker, mut longest, mut count) = (WorkerId::new(), Duration::ZERO, 0);
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let fence = fixture.running(worker).await;
        longest = longest.max(begun.elapsed());
        let begun = Instant::now();
        fixture.settle_one(fence, leasehold_core::Settle::Complete(None)).await;
        longest = longest.max(begun.elapsed());
        count += 1;
    }
    (longest, count)
}

/// A user's open transaction: a long read, and a cancel.
async fn users_transaction(fixture: &Fixture) -> PgConnection {
    let id = fixture.queued().await;
    let mut user = fixture.connection().await;
    let script = format!(
        "SET application_name = 'a report'; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM leasehold.jobs;
         SELECT leasehold.cancel('{id}')"
    );
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut user).await.expect("an open transaction");
    user
}

async fn commit(user: &mut PgConnection) {
    sqlx::raw_sql("COMMIT").execute(user).await.expect("commit");
}

/// While a user's transaction is open, writers continue. When the transaction ends, the migration continues.
#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_migration_blocks_no_writer() {
    let fixture = Fixture::start().await;
    one_behind(&fixture).await;
    let mut user = users_transaction(&fixture).await;
    let stop = AtomicBool::new(false);
    let migrating = async {
        let (applied, ()) = tokio::join!(fixture.migrate(), async {
            // Long enough for several attempts to fail.
            tokio::time::sleep(Duration::from_secs(4)).await;
            commit(&mut user).await;
        });
        stop.store(true, Ordering::Relaxed);
        applied.expect("migrate")
    };
    let (applied, (longest, count)) = tokio::join!(migrating, writes(&fixture, &stop));
    assert!(
        applied.migrations.len() == 1 && applied.migrations[0].version == 9 && count > 20,
        "{applied:?}, {count} jobs meanwhile"
    );
    assert!(longest < Duration::from_secs(1), "a writer waited for {longest:?}");
    fixture.check_schema().await.expect("the schema");
    let broken = fixture.violations().await.expect("violations");
    assert!(broken.is_empty(), "{broken:?}");
}

/// After the timeout the error names the session that blocks the migration. The next call repeats the unfinished part.
#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_migration_continues_later() {
    let fixture = Fixture::start().await;
    one_behind(&fixture).await;
    let mut user = users_transaction(&fixture).await;
    let begun = Instant::now();
    let error = fixture.migrate_within(Duration::from_secs(2)).await.expect_err("blocked by the open transaction");
    assert!(matches!(error, Error::MigrationHeldUp { version: 9, .. }) && error.is_transient(), "{error}");
    let told = error.to_string();
    assert!(told.contains("application a report") && told.contains("open for") && told.contains("(pid "), "{told}");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let missing = fixture.migrations().await.expect("migrations").into_iter().filter(|one| one.applied_at.is_none());
    assert_eq!(missing.map(|one| one.version).collect::<Vec<_>>(), [9]);
    let invalid = "SELECT count(*) FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid WHERE NOT x.indisvalid
                   AND c.relnamespace = 'leasehold'::regnamespace";
    assert!(fixture.number(invalid).await > 0, "an index must have been started");
    commit(&mut user).await;
    assert_eq!(fixture.migrate().await.expect("migrate").migrations.len(), 1);
    assert_eq!(fixture.number(invalid).await, 0);
}

/// A migration waits for a lock on the table of migrations, and names the session that holds the lock when its time is over.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_table_of_migrations_is_waited_for() {
    let fixture = Fixture::start().await;
    let mut user = fixture.connection().await;
    let lock = "SET application_name = 'a backup'; BEGIN; LOCK TABLE leasehold.migration";
    sqlx::raw_sql(lock).execute(&mut user).await.expect("a lock");
    let begun = Instant::now();
    let told = fixture.migrate_within(Duration::from_secs(2)).await.expect_err("locked").to_string();
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(told.contains("a lock on leasehold.migration") && told.contains("a backup"), "{told}");
    let (migrated, ()) = tokio::join!(fixture.migrate_within(Duration::from_secs(60)), commit(&mut user));
    assert!(migrated.expect("the lock is gone").migrations.is_empty());
}

/// A migration is killed at any time: the next one continues, and concurrent ones do the work once.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_migration_continues_later() {
    let fixture = Fixture::start().await;
    for millis in [0, 20, 60, 120, 250] {
        one_behind(&fixture).await;
        let mut user = users_transaction(&fixture).await;
        let cut = tokio::time::timeout(Duration::from_millis(millis), fixture.migrate()).await;
        assert!(cut.is_err(), "the migration cannot finish while that transaction is open");
        commit(&mut user).await;
        let answers = concurrently((0..4).map(|_| fixture.migrate())).await;
        let applied: Vec<usize> = answers.into_iter().map(|answer| answer.expect("migrate").migrations.len()).collect();
        assert_eq!(applied.iter().sum::<usize>(), 1, "{applied:?}");
        assert!(fixture.violations().await.expect("violations").is_empty());
    }
}
