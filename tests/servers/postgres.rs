//! PostgreSQL: committed data survives every kind of stop.

use leasehold_servers::{Folder, Postgres, PostgresOptions, Programs};
use leasehold_tests::{eventually, private_folder};
use sqlx::{Connection, PgConnection, Row};
use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

const WITHIN: Duration = Duration::from_secs(30);

fn start(folder: &Path) -> Postgres {
    let opened = Folder::open(folder).expect("a folder");
    Postgres::start(&Programs::find(), &opened, PostgresOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

async fn connect(postgres: &Postgres) -> PgConnection {
    PgConnection::connect(&postgres.url(postgres.database())).await.expect("connecting")
}

async fn write(postgres: &Postgres) {
    let mut connection = connect(postgres).await;
    sqlx::raw_sql("CREATE TABLE kept AS SELECT 42 AS number").execute(&mut connection).await.expect("a table");
}

async fn read(postgres: &Postgres) -> i32 {
    let mut connection = connect(postgres).await;
    sqlx::query("SELECT number FROM kept").fetch_one(&mut connection).await.expect("a row").get(0)
}

#[tokio::test]
async fn a_killed_server_starts_again_on_its_port_with_its_data() {
    let folder = private_folder();
    let postgres = start(folder.path());
    let (port, pid) = (postgres.port(), postgres.pid());
    write(&postgres).await;
    postgres.kill();
    assert!(postgres.exited().is_some());
    postgres.start_again().expect("a second start");
    assert_eq!(postgres.port(), port);
    assert_ne!(postgres.pid(), pid);
    assert_eq!(read(&postgres).await, 42);
}

#[tokio::test]
async fn a_stale_pid_file_does_not_block_the_next_start() {
    let folder = private_folder();
    let postgres = start(folder.path());
    write(&postgres).await;
    postgres.stop();
    drop(postgres);
    // As after a crash and a reboot: the process id in the file belongs to an unrelated process.
    fs::write(folder.path().join("postgres/postmaster.pid"), format!("{}\n", std::process::id())).expect("a pid file");
    assert_eq!(read(&start(folder.path())).await, 42);
}

#[tokio::test]
async fn an_interrupted_first_start_is_repeated() {
    let folder = private_folder();
    let half = folder.path().join("postgres.new");
    fs::create_dir(&half).expect("a folder");
    fs::write(half.join("PG_VERSION"), "15\n").expect("half of a database");
    write(&start(folder.path())).await;
    assert!(!half.exists());
}

#[tokio::test]
async fn a_frozen_server_does_not_answer_until_it_is_thawed() {
    let folder = private_folder();
    let postgres = start(folder.path());
    let mut connection = connect(&postgres).await;
    postgres.freeze();
    let mut asking = tokio::spawn(async move { connection.ping().await });
    let early = tokio::time::timeout(Duration::from_millis(300), &mut asking).await;
    assert!(early.is_err(), "a frozen server answered: {early:?}");
    postgres.thaw();
    asking.await.expect("the task").expect("an answer after the thaw");
}

#[tokio::test]
async fn a_connection_without_the_password_is_refused() {
    let folder = private_folder();
    let postgres = start(folder.path());
    let url = postgres.url(postgres.database());
    let password = url.split([':', '@']).nth(2).expect("a password").to_owned();
    for wrong in [url.replace(&password, "wrong"), url.replace(&format!(":{password}"), "")] {
        let refused = PgConnection::connect(&wrong).await.expect_err("a wrong password");
        let code = refused.as_database_error().and_then(|error| error.code().map(|code| code.into_owned()));
        assert!(code.is_none_or(|code| code.starts_with("28")), "{refused}");
    }
    let mode = fs::metadata(folder.path().join("postgres.password")).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_failed_start_shows_the_last_lines_of_the_log() {
    let folder = private_folder();
    let opened = Folder::open(folder.path()).expect("a folder");
    let options = PostgresOptions { settings: vec!["no_such_setting=1".into()], ..PostgresOptions::default() };
    let failed = Postgres::start(&Programs::find(), &opened, options).expect_err("the start must fail").to_string();
    assert!(failed.contains("starting PostgreSQL failed") && failed.contains("no_such_setting"), "{failed}");
}

#[tokio::test]
async fn a_drop_stops_the_server() {
    let folder = private_folder();
    let postgres = start(folder.path());
    let pid = postgres.pid();
    postgres.freeze();
    drop(postgres);
    eventually("the server is gone", WITHIN, || async {
        if Path::new(&format!("/proc/{pid}")).exists() { Err(pid) } else { Ok(()) }
    })
    .await;
}
