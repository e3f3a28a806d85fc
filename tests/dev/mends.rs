//! `dev` restarts processes that die.

use crate::running::{DevFolder, Running, WITHIN, send};
use leasehold_tests::eventually;
use nix::sys::signal::Signal;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Waits for a child like the killed one, with another process id.
async fn replaced(dev: &Running, place: &DevFolder, word: &str, killed: i32) -> i32 {
    eventually("another process replaces the killed one", WITHIN, || async {
        let children = dev.children_with(word);
        children.into_iter().find(|pid| *pid != killed).ok_or_else(|| place.log())
    })
    .await
}

#[tokio::test]
async fn each_process_and_both_servers_are_replaced_and_jobs_run() {
    let place = DevFolder::new().await;
    let dev = place.up(&["--workers", "1", "--exec", "echo=cat"]).await;
    let settings = std::fs::read_to_string(place.settings_file()).expect("the file");
    for word in [" worker ", "leasehold reaper", "leasehold api", "redis-server", "postgres -D"] {
        let killed = eventually("the process runs", WITHIN, || async {
            dev.children_with(word).first().copied().ok_or_else(|| place.log())
        })
        .await;
        send(killed, Signal::SIGKILL);
        replaced(&dev, &place, word, killed).await;
    }
    assert_eq!(
        settings,
        std::fs::read_to_string(place.settings_file()).expect("the file"),
        "the ports must stay the same"
    );

    let log = place.log();
    let address =
        log.split("http://").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("the address is printed");
    let ready = "GET /readyz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    eventually("the HTTP server answers at the address that was printed", WITHIN, || async {
        let asked = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(ready.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        match asked.await {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    let id = eventually("a job is accepted", WITHIN, || async {
        let mut enqueue = place.leasehold(&["--config", "data/leasehold.toml", "enqueue", "--kind", "echo"]);
        let output = enqueue.output().expect("leasehold");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()) } else { Err(said) }
    })
    .await;
    place.ask(&["job", "wait", &id]);
    let descendants = dev.descendants();
    dev.signal(Signal::SIGTERM);
    assert!(dev.ends(&descendants).await.success(), "{}", place.log());
}
