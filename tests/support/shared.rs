//! The PostgreSQL and the PgBouncer that all tests of a binary share, their folders, and the removal of the folders.
//!
//! Statics are never dropped, so a server ends with the process that it is tied to. A small shell, which outlives the
//! process for a moment, removes the folder.

use leasehold_servers::{Folder, PgBouncer, PgBouncerOptions, Postgres, PostgresOptions, Programs};
use leasehold_store::{Pooler, Settings, Store};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::{
    fs::Permissions,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::Path,
    process::{ChildStdin, Command, Stdio},
    sync::{Arc, OnceLock},
    thread,
    time::Duration,
};
use tempfile::TempDir;

/// The template database. The database of each test is a copy of it.
pub(crate) const TEMPLATE: &str = "template_leasehold";
/// Enough for twenty and more claimers in each of several concurrent tests.
const CONNECTIONS: u32 = 400;

const SWEEP: &str = r#"read -r _; while kill -0 "$1" 2>/dev/null; do sleep 0.1; done; rm -rf -- "$0""#;

struct Shared<Server> {
    server: Arc<Server>,
    /// Open as long as this process lives. The sweeper waits for its end.
    _sweeper: Option<ChildStdin>,
}

/// A new temporary folder that PostgreSQL's user can enter too.
///
/// # Panics
/// The folder cannot be created.
#[must_use]
pub fn private_folder() -> TempDir {
    let builder = &mut tempfile::Builder::new();
    builder.prefix("leasehold-test-").permissions(Permissions::from_mode(0o711)).tempdir().expect("a temporary folder")
}

/// PostgreSQL options for tests: the data need not survive a power failure.
///
/// Each test has a separate database. Autovacuum visits all databases within its nap time, so with hundreds of databases it would
/// start several processes a second.
#[must_use]
pub fn postgres_options() -> PostgresOptions {
    let settings = vec!["autovacuum_naptime=30min".to_owned()];
    PostgresOptions { fsync: false, max_connections: CONNECTIONS, password: false, settings }
}

/// The PostgreSQL that all tests of this binary share, with the template database. The first caller starts it.
pub(crate) async fn shared_postgres() -> Arc<Postgres> {
    static SHARED: OnceLock<Shared<Postgres>> = OnceLock::new();
    let get = || SHARED.get_or_init(start_postgres).server.clone();
    tokio::task::spawn_blocking(get).await.expect("PostgreSQL for the tests")
}

fn start_postgres() -> Shared<Postgres> {
    let folder = private_folder().keep();
    let opened = Folder::open(&folder).unwrap_or_else(|error| panic!("{error}"));
    let postgres =
        Postgres::start(&Programs::find(), &opened, postgres_options()).unwrap_or_else(|error| panic!("{error}"));
    let sweeper = sweep_after(&folder, postgres.pid());
    make_template(&postgres);
    Shared { server: Arc::new(postgres), _sweeper: sweeper }
}

/// A PgBouncer in transaction mode in front of the shared PostgreSQL. It has fewer connections for a database than a
/// test has clients. So statements of one client use many connections, and many clients use the same connection.
pub(crate) async fn shared_pgbouncer(postgres: Arc<Postgres>) -> Arc<PgBouncer> {
    static SHARED: OnceLock<Shared<PgBouncer>> = OnceLock::new();
    let get = move || SHARED.get_or_init(|| start_pgbouncer(&postgres)).server.clone();
    tokio::task::spawn_blocking(get).await.expect("PgBouncer for the tests")
}

fn start_pgbouncer(postgres: &Postgres) -> Shared<PgBouncer> {
    let folder = private_folder().keep();
    let opened = Folder::open(&folder).unwrap_or_else(|error| panic!("{error}"));
    let pgbouncer = PgBouncer::start(&Programs::find(), &opened, postgres, &PgBouncerOptions::default())
        .unwrap_or_else(|error| panic!("{error}"));
    let sweeper = sweep_after(&folder, pgbouncer.pid());
    Shared { server: Arc::new(pgbouncer), _sweeper: sweeper }
}

/// Removes `folder` after this process and then process `pid` have ended.
fn sweep_after(folder: &Path, pid: i32) -> Option<ChildStdin> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", SWEEP]).arg(folder).arg(pid.to_string()).current_dir("/").process_group(0);
    shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    shell.spawn().ok().and_then(|mut child| child.stdin.take())
}

/// Runs in a thread with its own runtime, because the runtime of the first test ends with this test.
pub(crate) fn make_template(postgres: &Postgres) {
    let (server, template) = (postgres.url(postgres.database()), postgres.url(TEMPLATE));
    let making = thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut connection = PgConnection::connect(&server).await.expect("connecting to PostgreSQL");
            let create = format!("CREATE DATABASE {TEMPLATE}");
            connection.execute(AssertSqlSafe(create)).await.expect("making the template database");
            migrate(&template).await;
            connection.close().await.expect("closing a connection");
        });
    });
    making.join().expect("making the template database");
}

async fn migrate(url: &str) {
    let settings = Settings {
        url: url.into(),
        max_connections: 1,
        pooler: Pooler::None,
        acquire_timeout: Duration::from_secs(20),
        lock_timeout: leasehold_store::LOCK_TIMEOUT,
        application_name: "leasehold tests".into(),
    };
    let store = Store::connect(&settings).await.expect("connecting to the template");
    store.migrate().await.expect("migrating the template");
    // A database can be copied only while it has no connections.
    store.close().await;
}
