//! The schema of the version before, with jobs in every state, migrates while programs of that version keep running: no
//! job is lost, and no writer waits. Afterwards statements of both versions work at the same time. See
//! `schema/README.md`.

use crate::{
    fixture::{Fixture, LEASE, new_job},
    migrate_functions::{assert_same, described},
    subject::connect,
};
use leasehold_core::{FinishedRun, JobId, Settle, Settled, WorkerId};
use leasehold_store::{Error, Kinds, Store};
use leasehold_tests::{Database, eventually};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};
use uuid::Uuid;

/// The schema and its rows.
const SCHEMA: &str = include_str!("schema/0012.sql");
const ENQUEUE: &str = include_str!("schema/0012/enqueue_new.sql");
const CLAIM: &str = include_str!("schema/0012/claim.sql");
const RENEW: &str = include_str!("schema/0012/renew.sql");
const COMPLETE: &str = include_str!("schema/0012/complete.sql");

/// How many rounds each program runs before the migration, and after it.
const ROUNDS: u32 = 25;
/// The number of concurrent programs.
const PROGRAMS: u32 = 3;

/// A database as the version before left it.
async fn restored() -> (Database, Store) {
    let database = Database::start().await;
    let mut connection = PgConnection::connect(&database.url).await.expect("connecting");
    sqlx::raw_sql("DROP SCHEMA leasehold CASCADE").execute(&mut connection).await.expect("drop");
    sqlx::raw_sql(SCHEMA).execute(&mut connection).await.expect("the schema of the version before");
    connection.close().await.expect("closing");
    let store = connect(&database, 8).await;
    (database, store)
}

/// What all programs have seen together.
#[derive(Default)]
struct Seen {
    /// Accepted jobs: all of them must exist at the end, and those in `completed` must have succeeded.
    accepted: Mutex<Vec<Uuid>>,
    completed: Mutex<Vec<Uuid>>,
    cancelled: Mutex<Vec<Uuid>>,
    longest: Mutex<Duration>,
    rounds: AtomicU32,
    stop: AtomicBool,
}

impl Seen {
    async fn timed<T>(&self, work: impl Future<Output = T>) -> T {
        let begun = Instant::now();
        let answer = work.await;
        let mut longest = self.longest.lock().expect("no panic");
        *longest = longest.max(begun.elapsed());
        answer
    }

    fn note(list: &Mutex<Vec<Uuid>>, ids: &[Uuid]) {
        list.lock().expect("no panic").extend_from_slice(ids);
    }

    async fn rounds_more(&self, count: u32) {
        let wanted = self.rounds.load(Ordering::Relaxed) + count;
        eventually("rounds of the programs", Duration::from_secs(60), async || {
            let done = self.rounds.load(Ordering::Relaxed);
            if done >= wanted { Ok(()) } else { Err(format!("{done} of {wanted}")) }
        })
        .await;
    }
}

/// A program of the version before, on a connection with prepared statements from before the migration. It enqueues,
/// claims, renews and completes five jobs, and enqueues and cancels one by SQL, again and again.
async fn old_program(mut connection: PgConnection, seen: &Seen) {
    let worker = Uuid::now_v7();
    while !seen.stop.load(Ordering::Relaxed) {
        let ids: Vec<Uuid> = (0..5).map(|_| Uuid::now_v7()).collect();
        let enqueue = sqlx::query(ENQUEUE)
            .bind(&ids)
            .bind(vec!["old"; 5])
            .bind(vec!["k"; 5])
            .bind(vec!["{}"; 5])
            .bind(vec![0_i16; 5])
            .bind(vec![None::<chrono::DateTime<chrono::Utc>>; 5])
            .bind(vec![None::<i64>; 5])
            .bind(vec![5_i32; 5])
            .bind(vec![3_i16; 5])
            .bind(vec![None::<i32>; 5])
            .bind(vec![None::<&str>; 5])
            .bind(vec![None::<&str>; 5]);
        let rows = seen.timed(enqueue.fetch_all(&mut connection)).await.expect("the enqueue of before");
        assert_eq!(rows.len(), 5);
        Seen::note(&seen.accepted, &ids);
        let claim = sqlx::query(CLAIM).bind(worker).bind(&ids).bind(None::<Vec<&str>>).bind(60_000_i64);
        let rows = seen.timed(claim.fetch_all(&mut connection)).await.expect("the claim of before");
        let epochs: Vec<i32> = rows.iter().map(|row| row.get("epoch")).collect();
        assert_eq!(epochs, [1; 5]);
        let renew = sqlx::query(RENEW).bind(worker).bind(&ids).bind(&epochs).bind(60_000_i64);
        let rows = seen.timed(renew.fetch_all(&mut connection)).await.expect("the renew of before");
        assert!(rows.len() == 5 && rows.iter().all(|row| !row.get::<bool, _>("locked")));
        let complete = sqlx::query(COMPLETE).bind(worker).bind(&ids).bind(&epochs).bind(vec![Some("1"); 5]);
        let rows = seen.timed(complete.fetch_all(&mut connection)).await.expect("the complete of before");
        assert_eq!(rows.len(), 5);
        Seen::note(&seen.completed, &ids);

        let by_sql = sqlx::query_scalar("SELECT leasehold.enqueue('k', '{}', queue => 'sql', unique_key => $1)")
            .bind(worker.to_string());
        let id: Uuid = seen.timed(by_sql.fetch_one(&mut connection)).await.expect("the function of before");
        let cancel = sqlx::query_scalar("SELECT leasehold.cancel($1)").bind(id);
        let state: String = seen.timed(cancel.fetch_one(&mut connection)).await.expect("the function of before");
        assert_eq!(state, "cancelled");
        Seen::note(&seen.accepted, &[id]);
        Seen::note(&seen.cancelled, &[id]);
        seen.rounds.fetch_add(1, Ordering::Relaxed);
    }
    connection.close().await.expect("closing");
}

/// A program of this version that runs at the same time.
async fn new_program(store: &Store, seen: &Seen) {
    let worker = WorkerId::new();
    for _ in 0..ROUNDS {
        // One of the jobs goes through the function.
        let jobs = [new_job(), leasehold_core::NewJob { id_may_exist: true, ..new_job() }];
        let ids = jobs.each_ref().map(|job| job.id);
        seen.timed(store.enqueue(&jobs)).await.expect("enqueue");
        Seen::note(&seen.accepted, &ids.map(|id| id.0));
        let claimed = seen
            .timed(store.claim(worker, &leasehold_core::QueueName::default(), &ids, &Kinds::All, LEASE))
            .await
            .expect("claim");
        let runs: Vec<FinishedRun> =
            claimed.iter().map(|job| FinishedRun { fence: job.fence, settle: Settle::Complete(None) }).collect();
        assert_eq!(seen.timed(store.settle(worker, &runs)).await.expect("settle"), [Settled::Done; 2]);
        Seen::note(&seen.completed, &ids.map(|id| id.0));
    }
}

async fn states(connection: &mut PgConnection, ids: &[Uuid]) -> Vec<(String, i64)> {
    let query = "SELECT coalesce(j.state, 'lost'), count(*) FROM unnest($1::uuid[]) AS s(id)
                 LEFT JOIN leasehold.jobs j ON j.id = s.id GROUP BY 1 ORDER BY 1";
    sqlx::query_as(query).bind(ids).fetch_all(connection).await.expect("states")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_schema_migrates_under_load() {
    let (database, store) = restored().await;
    assert!(matches!(store.check_schema().await, Err(Error::SchemaOlder { found: 12, .. })));
    let query = "SELECT id, state FROM leasehold.jobs ORDER BY id";
    let mut connection = PgConnection::connect(&database.url).await.expect("connecting");
    let kept: Vec<(Uuid, String)> = sqlx::query_as(query).fetch_all(&mut connection).await.expect("the rows");
    let of_state = |state: &str| kept.iter().filter(|(_, other)| other == state).count();
    for state in ["blocked", "scheduled", "queued", "running", "succeeded", "dead", "cancelled"] {
        assert!(of_state(state) > 0, "no job of the fixture is {state}");
    }

    let seen = Seen::default();
    let mut programs = Vec::new();
    for _ in 0..PROGRAMS {
        programs.push(old_program(PgConnection::connect(&database.url).await.expect("connecting"), &seen));
    }
    let migrating = async {
        seen.rounds_more(ROUNDS).await;
        let applied = store.migrate().await.expect("migrate");
        assert!(applied.migrations.first().is_some_and(|first| first.version == 13), "{applied:?}");
        // Both versions run at the same time.
        tokio::join!(seen.rounds_more(ROUNDS), new_program(&store, &seen));
        seen.stop.store(true, Ordering::Relaxed);
    };
    tokio::join!(migrating, futures_util::future::join_all(programs));

    let longest = *seen.longest.lock().expect("no panic");
    assert!(longest < Duration::from_secs(1), "a writer waited for {longest:?}");
    store.check_schema().await.expect("the schema");
    let after: Vec<(Uuid, String)> = sqlx::query_as(
        "SELECT id, state FROM leasehold.jobs WHERE id < '01900000-0000-0000-0000-000000000000' ORDER BY id",
    )
    .fetch_all(&mut connection)
    .await
    .expect("the rows");
    assert_eq!(after, kept, "the rows of the fixture");
    let accepted = seen.accepted.lock().expect("no panic").clone();
    let completed = seen.completed.lock().expect("no panic").clone();
    let cancelled = seen.cancelled.lock().expect("no panic").clone();
    let count = |ids: &[Uuid]| i64::try_from(ids.len()).expect("fits");
    assert_eq!(states(&mut connection, &completed).await, [("succeeded".to_owned(), count(&completed))]);
    assert_eq!(states(&mut connection, &cancelled).await, [("cancelled".to_owned(), count(&cancelled))]);
    let jobs: i64 =
        sqlx::query_scalar("SELECT count(*) FROM leasehold.jobs").fetch_one(&mut connection).await.expect("a number");
    assert_eq!(jobs, count(&accepted) + i64::try_from(kept.len()).expect("fits"), "a job was made twice");

    // The leftover runs, which a reaper of this version finds and ends.
    store.retain(Duration::from_secs(86_400)).await.expect("retain");
    let left = store.deferred(10).await.expect("deferred");
    assert_eq!(left.len(), 1);
    let settled = store.settle(left[0].run.fence.worker, &[left[0].run.clone()]).await.expect("settle");
    assert_eq!(settled, [Settled::Done]);
    store.deferred_done(&[left[0].run.fence]).await.expect("deferred");
    assert_eq!(store.promote(10, None).await.expect("promote").jobs.len(), 1);
    assert_eq!(store.expire(10, None).await.expect("expire").len(), 1);
    assert_eq!(
        store
            .claim(WorkerId::new(), &leasehold_core::QueueName::default(), &[JobId(kept[0].0)], &Kinds::All, LEASE)
            .await
            .expect("claim")
            .len(),
        1
    );
    // No function of the old schema made blocked jobs; `rows.sql` made one by hand.
    let blocked = "01890000-0000-7000-8000-000000000008".parse().map(JobId).expect("an id");
    assert_eq!(store.unblock(&[blocked]).await.expect("unblock").len(), 1);
    let broken = store.violations().await.expect("violations");
    assert!(broken.is_empty(), "{broken:?}");
}

/// The same functions, types, tables and rights as in a schema that this version creates.
#[tokio::test]
async fn a_migrated_schema_equals_a_new_one() {
    let (database, store) = restored().await;
    store.migrate().await.expect("migrate");
    let mut old = PgConnection::connect(&database.url).await.expect("connecting");
    let fixture = Fixture::start().await;
    let mut new = fixture.connection().await;
    assert_same(&described(&mut old).await, &described(&mut new).await);
}

/// A role that could read the version of the schema still can after the migration, before the roles are created again;
/// and no role may write what only the owner may write.
#[tokio::test]
async fn rights_outlive_the_migration() {
    let (database, store) = restored().await;
    let mut connection = PgConnection::connect(&database.url).await.expect("connecting");
    let [reader, writer] = ["reader", "writer"].map(|name| format!("{name}_{}", Uuid::now_v7().simple()));
    let script = format!(
        "CREATE ROLE {reader}; CREATE ROLE {writer}; GRANT USAGE ON SCHEMA leasehold TO {reader}, {writer};
         GRANT SELECT ON leasehold.migration TO {reader};
         GRANT EXECUTE ON FUNCTION leasehold.cancel(uuid) TO {reader};
         ALTER DEFAULT PRIVILEGES IN SCHEMA leasehold GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO {writer};
         ALTER DEFAULT PRIVILEGES IN SCHEMA leasehold GRANT EXECUTE ON FUNCTIONS TO {writer}"
    );
    sqlx::raw_sql(AssertSqlSafe(script)).execute(&mut connection).await.expect("roles");
    store.migrate().await.expect("migrate");
    let query = format!(
        "SELECT ARRAY[has_table_privilege('{reader}', 'leasehold.function', 'SELECT'),
                      has_table_privilege('{reader}', 'leasehold.function', 'INSERT'),
                      has_table_privilege('{writer}', 'leasehold.function', 'UPDATE'),
                      has_function_privilege('{reader}', 'leasehold.cancel(uuid)', 'EXECUTE'),
                      has_function_privilege('{reader}', 'leasehold.enqueue_spec(leasehold.job_spec)', 'EXECUTE'),
                      has_function_privilege('{writer}', 'leasehold.enqueue_spec(leasehold.job_spec)', 'EXECUTE'),
                      has_function_privilege('public', 'leasehold.enqueue_spec(leasehold.job_spec)', 'EXECUTE')]"
    );
    let rights: Vec<bool> = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut connection).await.expect("rights");
    assert_eq!(rights, [true, false, false, true, false, true, false]);
    let tidy = format!("DROP OWNED BY {reader}, {writer}; DROP ROLE {reader}, {writer}");
    sqlx::raw_sql(AssertSqlSafe(tidy)).execute(&mut connection).await.expect("tidied up");
}
