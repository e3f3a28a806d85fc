//! PostgreSQL: what was committed is there again, whatever happened to the server.

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
async fn killed_it_starts_again_on_its_port_with_its_data() {
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
async fn a_later_process_finds_the_data_whatever_the_pid_file_says() {
    let folder = private_folder();
    let postgres = start(folder.path());
    write(&postgres).await;
    postgres.stop();
    drop(postgres);
    // As after a crash and a reboot: the number is that of a process which has nothing to do with it.
    fs::write(folder.path().join("postgres/postmaster.pid"), format!("{}\n", std::process::id())).expect("a pid file");
    assert_eq!(read(&start(folder.path())).await, 42);
}

#[tokio::test]
async fn a_first_start_that_was_interrupted_is_made_anew() {
    let folder = private_folder();
    let half = folder.path().join("postgres.new");
    fs::create_dir(&half).expect("a folder");
    fs::write(half.join("PG_VERSION"), "15\n").expect("half of a database");
    write(&start(folder.path())).await;
    assert!(!half.exists());
}

#[tokio::test]
async fn frozen_it_does_not_answer_and_thawed_it_does() {
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
async fn nobody_gets_in_without_the_password() {
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
fn a_start_that_fails_shows_the_last_words() {
    let folder = private_folder();
    let opened = Folder::open(folder.path()).expect("a folder");
    let options = PostgresOptions { settings: vec!["no_such_setting=1".into()], ..PostgresOptions::default() };
    let failed = Postgres::start(&Programs::find(), &opened, options).expect_err("it cannot start").to_string();
    assert!(failed.contains("starting PostgreSQL failed") && failed.contains("no_such_setting"), "{failed}");
}

#[tokio::test]
async fn dropped_it_is_gone() {
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
