//! No server outlives the process that started it, even if this process is killed.

use leasehold_tests::{eventually, private_folder};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

#[tokio::test]
async fn servers_end_with_a_process_that_is_killed() {
    let folder = private_folder();
    let mut other = Command::new(env!("CARGO_BIN_EXE_server_starter"))
        .arg(folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the other process");
    let output = BufReader::new(other.stdout.take().expect("the output"));
    let pids = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("running: ").map(str::to_owned))
        .expect("the servers of the other process");
    let alive = || pids.split(' ').filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect::<Vec<_>>();
    assert_eq!(alive().len(), 2);

    other.kill().expect("killing the process");
    other.wait().expect("waiting for the process");
    eventually("the servers are gone", Duration::from_secs(10), || async {
        let alive = alive();
        if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
    })
    .await;
}
