//! The schema: missing, older, newer, and made by hand.

use crate::{
    fixture::{Fixture, at_once},
    subject::connect,
};
use leasehold_store::{Error, Store};
use leasehold_tests::Database;
use sqlx::{Connection, PgConnection};

/// A store on a database without the schema.
async fn bare() -> (Database, Store) {
    let database = Database::start().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql("DROP SCHEMA leasehold CASCADE").execute(&mut connection).await.expect("drop");
    let store = connect(&database, 8).await;
    (database, store)
}

#[tokio::test]
async fn missing_then_made_then_nothing_to_do() {
    let (_database, store) = bare().await;
    assert!(matches!(store.check_schema().await, Err(Error::SchemaMissing)));
    assert!(store.migrations().await.expect("migrations").iter().all(|migration| migration.applied_at.is_none()));
    let applied = store.migrate().await.expect("migrate");
    assert_eq!(applied.len(), store.migrations().await.expect("migrations").len());
    assert!(applied.iter().all(|migration| migration.applied_at.is_some() && !migration.name.is_empty()));
    store.check_schema().await.expect("the schema");
    assert!(store.migrate().await.expect("migrate").is_empty());
}

#[tokio::test]
async fn many_at_once_make_it_once() {
    let (_database, store) = bare().await;
    let answers = at_once((0..6).map(|_| store.migrate())).await;
    let applied: Vec<usize> = answers.into_iter().map(|answer| answer.expect("migrate").len()).collect();
    assert_eq!(applied.iter().filter(|&&count| count > 0).count(), 1, "{applied:?}");
}

#[tokio::test]
async fn older_newer_and_different_are_told_apart() {
    let fixture = Fixture::start().await;
    let known = fixture.migrations().await.expect("migrations").len() as i64;
    fixture.sql("INSERT INTO leasehold.migration SELECT 9999, 'later', now(), true, '', 0").await;
    let newer = fixture.check_schema().await.expect_err("newer");
    assert!(matches!(newer, Error::SchemaNewer { found: 9999, known: version } if version == known), "{newer}");
    assert!(matches!(fixture.migrate().await, Err(Error::SchemaNewer { found: 9999, .. })));
    fixture.sql("DELETE FROM leasehold.migration WHERE version IN (9999, (SELECT max(version) FROM leasehold.migration WHERE version < 9999))").await;
    let older = fixture.check_schema().await.expect_err("older");
    assert!(matches!(older, Error::SchemaOlder { found, needed } if found == known - 1 && needed == known), "{older}");
    fixture.sql(r"UPDATE leasehold.migration SET checksum = '\x00' WHERE version = 1").await;
    assert!(matches!(fixture.migrate().await, Err(Error::SchemaDiffers { version: 1 })));
}

/// A migration that fails half-way leaves nothing behind.
#[tokio::test]
async fn a_failure_changes_nothing() {
    let (database, store) = bare().await;
    let mut connection = database.connect().await;
    sqlx::raw_sql("CREATE SCHEMA leasehold; CREATE VIEW leasehold.jobs AS SELECT 1")
        .execute(&mut connection)
        .await
        .expect("a view in the way");
    let failed = store.migrate().await.expect_err("the name is taken");
    assert!(failed.to_string().contains("already exists") && !failed.is_transient(), "{failed}");
    let left: i64 = sqlx::query_scalar("SELECT count(*) FROM pg_class WHERE relnamespace = 'leasehold'::regnamespace")
        .fetch_one(&mut connection)
        .await
        .expect("count");
    assert_eq!(left, 1, "the view alone");
}

/// The script for psql leaves the same database, bookkeeping included.
#[tokio::test]
async fn by_hand_it_is_the_same() {
    let (database, store) = bare().await;
    let mut connection = PgConnection::connect(&database.url).await.expect("connecting");
    sqlx::raw_sql(sqlx::AssertSqlSafe(Store::migration_sql())).execute(&mut connection).await.expect("the script");
    store.check_schema().await.expect("the schema");
    assert!(store.migrate().await.expect("migrate").is_empty());
    assert!(store.violations().await.expect("violations").is_empty());
}
