//! Functions of the schema: created again when their file changed, with the same owner and rights, and dropped when
//! their file is gone.

use crate::{
    fixture::{Fixture, concurrently, new_job},
    subject::connect,
};
use leasehold_store::{Error, Store};
use leasehold_tests::Database;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

/// Makes a function look like one that an older program created.
async fn outdate(fixture: &Fixture, name: &str, script: &str) {
    fixture.sql(script).await;
    fixture.sql(format!(r"UPDATE leasehold.function SET hash = '\x00' WHERE name = '{name}'")).await;
}

/// Everything that can be described: the functions of a schema, their hashes, the columns and the rights.
pub(crate) async fn described(connection: &mut PgConnection) -> Vec<String> {
    let query = "SELECT format('%s returns %s: %s owner %s acl %s', p.oid::regprocedure, pg_get_function_result(p.oid),
                               pg_get_functiondef(p.oid), p.proowner::regrole,
                               ARRAY(SELECT a::text FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) a ORDER BY 1))
                 FROM pg_proc p WHERE p.pronamespace = 'leasehold'::regnamespace
                 UNION ALL
                 SELECT format('%s %s %s', f.name, f.hash, f.revision) FROM leasehold.function f
                 UNION ALL
                 SELECT format('%s.%s %s %s', a.attrelid::regclass, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull)
                 FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                 WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relname !~ '^history_' AND a.attnum > 0
                 UNION ALL
                 SELECT format('%s %s', c.oid::regclass, c.relacl) FROM pg_class c
                 WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relname !~ '^history_'
                 ORDER BY 1";
    sqlx::query_scalar(query).fetch_all(connection).await.expect("the functions")
}

/// Checks that two descriptions are equal. Shows only the differences.
pub(crate) fn assert_same(left: &[String], right: &[String]) {
    let only = |ones: &[String], others: &[String]| {
        ones.iter().filter(|one| !others.contains(one)).cloned().collect::<Vec<_>>()
    };
    let differing = (only(left, right), only(right, left));
    assert!(differing.0.is_empty() && differing.1.is_empty(), "{differing:#?}");
}

async fn functions_of(fixture: &Fixture) -> Vec<String> {
    described(&mut fixture.connection().await).await
}

#[tokio::test]
async fn a_function_that_differs_is_created_again() {
    let fixture = Fixture::start().await;
    let before = functions_of(&fixture).await;
    outdate(
        &fixture,
        "cancel",
        "CREATE OR REPLACE FUNCTION leasehold.cancel(id uuid) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'",
    )
    .await;
    let error = fixture.check_schema().await.expect_err("an older function");
    assert!(matches!(&error, Error::FunctionsOlder { names } if names == "cancel"), "{error}");
    assert!(error.to_string().contains("run `leasehold migrate`"), "{error}");
    let known = fixture.schema().await.expect("the schema").functions;
    let missing: Vec<_> =
        known.iter().filter(|one| one.applied_at.is_none()).map(|one| one.function.as_str()).collect();
    assert_eq!(missing, ["cancel"]);
    let applied = fixture.migrate().await.expect("migrate");
    assert!(applied.migrations.is_empty() && applied.is_applied(), "{applied:?}");
    assert_eq!(applied.functions.iter().map(|one| one.function.as_str()).collect::<Vec<_>>(), ["cancel"]);
    fixture.check_schema().await.expect("the schema");
    assert_same(&functions_of(&fixture).await, &before);
    assert!(fixture.migrate().await.expect("migrate").is_empty());
}

/// CREATE OR REPLACE cannot change the return type, the names of parameters, or the set of overloads.
#[tokio::test]
async fn owner_and_rights_outlive_another_signature() {
    let fixture = Fixture::start().await;
    let role = format!("caller_{}", uuid::Uuid::now_v7().simple());
    let owner = format!("owner_{}", uuid::Uuid::now_v7().simple());
    let before = functions_of(&fixture).await;
    let script = format!(
        "CREATE ROLE {role}; CREATE ROLE {owner}; GRANT USAGE, CREATE ON SCHEMA leasehold TO {owner};
         GRANT USAGE ON SCHEMA leasehold TO {role};
         DROP FUNCTION leasehold.cancel(uuid);
         CREATE FUNCTION leasehold.cancel(job uuid) RETURNS integer LANGUAGE sql AS 'SELECT 1';
         CREATE FUNCTION leasehold.cancel(job text) RETURNS integer LANGUAGE sql AS 'SELECT 1';
         REVOKE EXECUTE ON FUNCTION leasehold.cancel(uuid), leasehold.cancel(text) FROM PUBLIC;
         ALTER FUNCTION leasehold.cancel(uuid) OWNER TO {owner};
         ALTER FUNCTION leasehold.cancel(text) OWNER TO {owner};
         GRANT EXECUTE ON FUNCTION leasehold.cancel(text) TO {role};
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA leasehold TO {owner};
         GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA leasehold TO {owner}"
    );
    outdate(&fixture, "cancel", &script).await;
    fixture.migrate().await.expect("migrate");
    let told = format!(
        "SELECT count(*) FROM pg_proc p WHERE p.pronamespace = 'leasehold'::regnamespace AND p.proname = 'cancel'
         AND p.proowner = '{owner}'::regrole AND p.prosecdef AND p.prorettype = 'text'::regtype
         AND has_function_privilege('{role}', p.oid, 'EXECUTE') AND NOT has_function_privilege('public', p.oid, 'EXECUTE')"
    );
    assert_eq!(fixture.number(told).await, 1, "{:?}", functions_of(&fixture).await);
    assert_eq!(
        fixture
            .number(
                "SELECT count(*) FROM pg_proc WHERE proname = 'cancel' AND pronamespace = 'leasehold'::regnamespace"
            )
            .await,
        1
    );
    // Roles that could call the function before can call it now.
    let id = fixture.queued().await;
    let mut caller = fixture.connection().await;
    sqlx::raw_sql(AssertSqlSafe(format!("SET ROLE {role}"))).execute(&mut caller).await.expect("set role");
    let state: String =
        sqlx::query_scalar("SELECT leasehold.cancel($1)").bind(id.0).fetch_one(&mut caller).await.expect("cancel");
    assert_eq!(state, "cancelled");
    drop(caller);
    let tidy = format!(
        "ALTER FUNCTION leasehold.cancel(uuid) OWNER TO CURRENT_USER; DROP OWNED BY {role}, {owner}; DROP ROLE {role}, {owner}"
    );
    fixture.sql(tidy).await;
    let after = functions_of(&fixture).await;
    let defined =
        |all: &[String]| all.iter().filter(|one| one.contains("leasehold.cancel(")).cloned().collect::<Vec<_>>();
    let (before, after) = (defined(&before), defined(&after));
    assert_eq!(after.len(), 1);
    let body = |one: &str| one.split(" owner ").next().map(str::to_owned);
    assert_eq!(body(&before[0]), body(&after[0]));
}

/// A function without a file is dropped if a file created it. A function that a user created stays.
#[tokio::test]
async fn only_functions_that_a_file_created_are_dropped() {
    let fixture = Fixture::start().await;
    fixture
        .sql(
            "CREATE FUNCTION leasehold.from_before() RETURNS integer LANGUAGE sql AS 'SELECT 1';
             CREATE FUNCTION leasehold.from_before(integer) RETURNS integer LANGUAGE sql AS 'SELECT 1';
             CREATE FUNCTION leasehold.of_a_user() RETURNS integer LANGUAGE sql AS 'SELECT 1';
             INSERT INTO leasehold.function (name, hash, revision) VALUES ('from_before', '', 0)",
        )
        .await;
    assert!(matches!(fixture.check_schema().await, Err(Error::FunctionsOlder { names }) if names == "from_before"));
    fixture.migrate().await.expect("migrate");
    fixture.check_schema().await.expect("the schema");
    let left = "SELECT count(*) FROM pg_proc WHERE pronamespace = 'leasehold'::regnamespace AND proname = ";
    assert_eq!(fixture.number(format!("{left}'from_before'")).await, 0);
    assert_eq!(fixture.number(format!("{left}'of_a_user'")).await, 1);
}

/// An older program that starts while the database has newer functions does not replace them with its own.
#[tokio::test]
async fn newer_functions_are_kept() {
    let fixture = Fixture::start().await;
    let newer =
        r"UPDATE leasehold.function SET revision = 9999, hash = CASE name WHEN 'cancel' THEN '\x01' ELSE hash END";
    fixture.sql(newer).await;
    fixture.check_schema().await.expect("newer functions are accepted");
    assert!(fixture.schema().await.expect("the schema").is_applied());
    let error = fixture.migrate().await.expect_err("newer functions stay");
    assert!(matches!(error, Error::FunctionsNewer { found: 9999, .. }) && !error.is_transient(), "{error}");
}

/// If one function fails, all of them stay unchanged.
#[tokio::test]
async fn all_functions_are_replaced_or_none() {
    let fixture = Fixture::start().await;
    outdate(
        &fixture,
        "cancel",
        "CREATE OR REPLACE FUNCTION leasehold.cancel(id uuid) RETURNS text LANGUAGE sql AS 'SELECT NULL::text'",
    )
    .await;
    // Another return type, and an index that prevents the drop.
    let script = "CREATE FUNCTION leasehold.from_before(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT 1';
                  CREATE INDEX in_the_way ON leasehold.queue (leasehold.from_before(1));
                  INSERT INTO leasehold.function (name, hash, revision) VALUES ('from_before', '', 0)";
    fixture.sql(script).await;
    let before = functions_of(&fixture).await;
    let error = fixture.migrate().await.expect_err("an index depends on it");
    assert!(error.to_string().contains("from_before") && !error.is_transient(), "{error}");
    assert_same(&functions_of(&fixture).await, &before);
    fixture.sql("DROP INDEX leasehold.in_the_way").await;
    fixture.migrate().await.expect("migrate");
    fixture.check_schema().await.expect("the schema");
}

#[tokio::test]
async fn concurrent_migrations_create_the_functions_once() {
    let fixture = Fixture::start().await;
    fixture.sql(r"UPDATE leasehold.function SET hash = '\x00'").await;
    let answers = concurrently((0..6).map(|_| fixture.migrate())).await;
    let applied = answers.into_iter().map(|answer| answer.expect("migrate").functions.len());
    assert_eq!(applied.filter(|&count| count > 0).count(), 1);
    fixture.check_schema().await.expect("the schema");
    fixture.enqueue(std::slice::from_ref(&new_job())).await.expect("enqueue");
}

/// The script for psql creates the same functions, types, hashes and rights.
#[tokio::test]
async fn the_script_for_psql_creates_the_same_functions() {
    let fixture = Fixture::start().await;
    let ours = functions_of(&fixture).await;
    let database = Database::start().await;
    let mut connection = PgConnection::connect(&database.url).await.expect("connecting");
    sqlx::raw_sql("DROP SCHEMA leasehold CASCADE").execute(&mut connection).await.expect("drop");
    sqlx::raw_sql(AssertSqlSafe(Store::migration_sql())).execute(&mut connection).await.expect("the script");
    assert_same(&described(&mut connection).await, &ours);
    connect(&database, 2).await.check_schema().await.expect("the schema");
}
