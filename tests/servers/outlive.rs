//! No server outlives the process that started it, not even when that one is killed.

use leasehold_servers::{Folder, Postgres, PostgresOptions, Programs, Redis, RedisOptions};
use leasehold_tests::{eventually, private_folder};
use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

/// Set only by the test below: where the other process is to start its servers.
const FOLDER: &str = "LEASEHOLD_TEST_SERVERS_FOLDER";

#[tokio::test]
async fn servers_end_with_a_process_that_is_killed() {
    let folder = private_folder();
    let mut other = Command::new(env::current_exe().expect("this program"))
        .args(["--exact", "outlive::start_servers_and_wait_to_be_killed", "--ignored", "--nocapture"])
        .env(FOLDER, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the other process");
    let output = BufReader::new(other.stdout.take().expect("its output"));
    let pids = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("running: ").map(str::to_owned))
        .expect("the servers of the other process");
    let alive = || pids.split(' ').filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect::<Vec<_>>();
    assert_eq!(alive().len(), 2);

    other.kill().expect("killing it");
    other.wait().expect("its end");
    eventually("its servers are gone", Duration::from_secs(10), || async {
        let alive = alive();
        if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
    })
    .await;
}

/// Not a test by itself. The servers are started by a thread that ends at once: they must not end with it.
#[test]
#[ignore = "the other process of the test above"]
fn start_servers_and_wait_to_be_killed() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let starting = thread::spawn(move || {
        let opened = Folder::open(Path::new(&folder)).expect("a folder");
        let programs = Programs::find();
        let options = PostgresOptions { fsync: false, ..PostgresOptions::default() };
        let postgres = Postgres::start(&programs, &opened, options).expect("PostgreSQL");
        (postgres, Redis::start(&programs, &opened, RedisOptions::default()).expect("Redis"))
    });
    let (postgres, redis) = starting.join().expect("the servers");
    // What the thread has left behind has had its chance to come through when the next process has run.
    Command::new("/bin/true").status().expect("a process");
    assert_eq!((postgres.exited(), redis.exited()), (None, None));
    println!("\nrunning: {} {}", postgres.pid(), redis.pid());
    std::io::stdout().flush().expect("flush");
    loop {
        thread::park();
    }
}
