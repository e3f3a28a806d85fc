//! PostgreSQL is restored to an earlier moment, from a base backup and the write-ahead log, and Redis is empty. Each job is then what it
//! was at that moment: what had ended stays ended, what ran or waited runs, and what came later is lost.

use crate::fleet::{Fleet, TIMEOUT};
use leasehold::{JobId, NewJob};
use leasehold_servers::{Folder, Postgres, PostgresOptions, Programs};
use leasehold_tests::{
    Database, Probe, RedisServer, Step, Stores, copy_server, eventually, give_to_owner_of, postgres_options,
    private_folder, read_log,
};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

const LEASE: Duration = Duration::from_secs(2);
/// Longer than everything between the begin of the run and the restore point.
const LONG_MS: u64 = 3_000;

/// A server that keeps its write-ahead log in the folder.
async fn start_with_archive(archive: &Path) -> Stores {
    let mut options = postgres_options();
    options.settings.extend(["archive_mode=on".to_owned(), format!("archive_command=cp %p {}/%f", archive.display())]);
    let (database, redis) = tokio::join!(Database::start_apart(options), RedisServer::start());
    Stores { database, redis }
}

/// Runs the copy up to the restore point.
fn restore(folder: &Path, archive: &Path) -> Postgres {
    let copy = folder.join("postgres");
    let mut settings = OpenOptions::new().append(true).open(copy.join("postgresql.auto.conf")).expect("the settings");
    writeln!(
        settings,
        "restore_command = 'cp {}/%f %p'\nrecovery_target_name = 'the moment'\nrecovery_target_action = 'promote'",
        archive.display()
    )
    .expect("the settings");
    let signal = copy.join("recovery.signal");
    fs::write(&signal, "").expect("the signal");
    give_to_owner_of(&copy, &signal);
    let opened = Folder::open(folder).unwrap_or_else(|error| panic!("{error}"));
    let options = PostgresOptions { settings: Vec::new(), ..postgres_options() };
    Postgres::start(&Programs::find(), &opened, options).unwrap_or_else(|error| panic!("{error}"))
}

async fn sql(database: &mut PgConnection, script: &str) {
    sqlx::raw_sql(AssertSqlSafe(script.to_owned())).execute(database).await.expect(script);
}

async fn text(database: &mut PgConnection, query: &str) -> String {
    sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_one(database).await.expect(query)
}

/// The live jobs and the finished ones, with their states.
async fn states(database: &mut PgConnection) -> BTreeMap<JobId, String> {
    let rows: Vec<(uuid::Uuid, String)> =
        sqlx::query_as("SELECT id, state FROM leasehold.jobs").fetch_all(database).await.expect("the jobs");
    rows.into_iter().map(|(id, state)| (JobId(id), state)).collect()
}

/// How often each job has begun, and how often it has reached its end.
fn runs(log: &Path) -> BTreeMap<JobId, (usize, usize)> {
    let mut runs: BTreeMap<JobId, (usize, usize)> = BTreeMap::new();
    for line in read_log(log) {
        let (begun, ended) = runs.entry(JobId(line.id)).or_default();
        match line.step {
            Step::Start => *begun += 1,
            Step::End => *ended += 1,
            _ => {}
        }
    }
    runs
}

async fn enqueue(fleet: &Fleet, log: &Path, ms: u64, queue: &str) -> JobId {
    let probe = Probe { log: log.to_owned(), ms, is_poison: false };
    let job: NewJob = fleet.client.enqueue(probe).queue(queue).build().expect("a job");
    fleet.client.enqueue_many(std::slice::from_ref(&job)).await.expect("enqueueing");
    job.id
}

async fn until(fleet: &Fleet, wanted: &[(JobId, &str)]) {
    eventually("the jobs have these states", TIMEOUT, async || {
        let states = states(&mut fleet.stores.database.connect().await).await;
        let is_so = wanted.iter().all(|(id, state)| states.get(id).is_some_and(|found| found == state));
        if is_so { Ok(()) } else { Err(states) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_each_job_is_what_it_was_at_the_moment() {
    let (kept, archive, folder) = (private_folder(), private_folder(), private_folder());
    let log: PathBuf = kept.path().join("probes.log");
    let mut fleet = Fleet::start_on(start_with_archive(archive.path()).await, LEASE).await;
    let mut database = fleet.stores.database.connect().await;
    let data = PathBuf::from(text(&mut database, "SHOW data_directory").await);
    give_to_owner_of(&data, archive.path());
    copy_server(&fleet.stores.database.url, &data, folder.path(), &[]);
    fleet.start_probe_workers(1, 10).await;

    let ended = enqueue(&fleet, &log, 0, "default").await;
    until(&fleet, &[(ended, "succeeded")]).await;
    let waiting = enqueue(&fleet, &log, 0, "later").await;
    let running = enqueue(&fleet, &log, LONG_MS, "default").await;
    until(&fleet, &[(running, "running"), (waiting, "queued")]).await;
    sql(&mut database, "SELECT pg_create_restore_point('the moment')").await;

    let lost = enqueue(&fleet, &log, 0, "default").await;
    fleet.start_leasehold(&["worker", "--queue", "later=1", "--exec", "probe=true"], None);
    until(&fleet, &[(lost, "succeeded"), (running, "succeeded"), (waiting, "succeeded")]).await;
    assert_eq!(runs(&log), [(ended, (1, 1)), (running, (1, 1)), (lost, (1, 1))].into());
    let last = text(&mut database, "SELECT pg_walfile_name(pg_switch_wal())").await;
    eventually("the log is kept", TIMEOUT, async || {
        if archive.path().join(&last).exists() { Ok(()) } else { Err(last.clone()) }
    })
    .await;
    let name = fleet.stores.database.url.rsplit_once('/').expect("a database").1.to_owned();
    drop((database, fleet));

    let restored = restore(folder.path(), archive.path());
    let stores = Stores { database: Database::of(restored, &name, folder), redis: RedisServer::start().await };
    let mut database = stores.database.connect().await;
    eventually("PostgreSQL takes writes", TIMEOUT, async || {
        let is_behind = text(&mut stores.database.connect().await, "SELECT pg_is_in_recovery()::text").await;
        if is_behind == "false" { Ok(()) } else { Err(is_behind) }
    })
    .await;
    let expected = [(ended, "succeeded"), (running, "running"), (waiting, "queued")];
    assert_eq!(states(&mut database).await, expected.map(|(id, state)| (id, state.to_owned())).into());

    let mut fleet = Fleet::start_on(stores, LEASE).await;
    fleet.start_probe_workers(1, 10).await;
    fleet.start_leasehold(&["worker", "--queue", "later=1", "--exec", "probe=true"], None);
    until(&fleet, &expected.map(|(id, _)| (id, "succeeded"))).await;
    assert_eq!(
        runs(&log),
        [(ended, (1, 1)), (running, (2, 2)), (lost, (1, 1))].into(),
        "the run that the restored rows know is made again, and nothing else"
    );
    let crashes = format!("SELECT crashes || ' of epoch ' || epoch FROM leasehold.jobs WHERE id = '{running}'");
    assert_eq!(text(&mut database, &crashes).await, "1 of epoch 2");
    fleet.leasehold(&["doctor"], None);
    let new = enqueue(&fleet, &log, 0, "default").await;
    until(&fleet, &[(new, "succeeded")]).await;
}

/// `pg_dump` of a running fleet, into a server whose transaction ids begin again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logical_backup_can_be_restored_into_another_server() {
    let (kept, folder) = (private_folder(), private_folder());
    let log: PathBuf = kept.path().join("probes.log");
    let mut fleet = Fleet::start(LEASE).await;
    fleet.start_probe_workers(1, 10).await;
    let ended = enqueue(&fleet, &log, 0, "default").await;
    until(&fleet, &[(ended, "succeeded")]).await;
    let waiting = enqueue(&fleet, &log, 0, "later").await;
    let dump = kept.path().join("dump");
    let run = |program: &str, database: &str, more: &[&str]| {
        let mut command = Command::new(program);
        let ran = command.args(["--dbname", database]).args(more).output().expect("the program of PostgreSQL runs");
        assert!(ran.status.success(), "{program}: {}", String::from_utf8_lossy(&ran.stderr));
    };
    let file = dump.to_str().expect("a path");
    run("pg_dump", &fleet.stores.database.url, &["--format=custom", "--file", file]);
    let lost = enqueue(&fleet, &log, 0, "default").await;
    until(&fleet, &[(lost, "succeeded")]).await;
    drop(fleet);

    let opened = Folder::open(folder.path()).unwrap_or_else(|error| panic!("{error}"));
    let postgres =
        Postgres::start(&Programs::find(), &opened, postgres_options()).unwrap_or_else(|error| panic!("{error}"));
    let name = postgres.database();
    run("pg_restore", &postgres.url(name), &["--exit-on-error", file]);
    let stores = Stores { database: Database::of(postgres, name, folder), redis: RedisServer::start().await };
    let mut fleet = Fleet::start_on(stores, LEASE).await;
    fleet.start_leasehold(&["worker", "--queue", "later=1", "--exec", "probe=true"], None);
    until(&fleet, &[(ended, "succeeded"), (waiting, "succeeded")]).await;
    let states = states(&mut fleet.stores.database.connect().await).await;
    assert!(!states.contains_key(&lost), "{states:?}");
    eventually("the numbers of jobs are right", TIMEOUT, async || {
        let ended = fleet.leasehold_ends(&["doctor"], None);
        if ended.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&ended.stdout).into_owned()) }
    })
    .await;
}
