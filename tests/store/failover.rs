//! A failover to a real standby: the URL names both servers, and a running store follows to the one that takes writes.

use crate::fixture::new_job;
use leasehold_servers::{Folder, Postgres, Programs};
use leasehold_store::{Pooler, Settings, Store};
use leasehold_tests::{Database, copy_server, eventually, postgres_options, private_folder};
use sqlx::{Connection, PgConnection};
use std::{path::Path, time::Duration};

/// A standby of a running server, in a separate folder.
fn start_standby(folder: &Path, primary: &str, data: &Path) -> Postgres {
    copy_server(primary, data, folder, &["--write-recovery-conf"]);
    let opened = Folder::open(folder).unwrap_or_else(|error| panic!("{error}"));
    Postgres::start(&Programs::find(), &opened, postgres_options()).unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_store_follows_a_failover() {
    let primary = Database::start_apart(postgres_options()).await;
    let mut admin = primary.connect().await;
    let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut admin).await.expect("the data folder");
    let folder = private_folder();
    let (path, url) = (folder.path().to_owned(), primary.url.clone());
    let starting = tokio::task::spawn_blocking(move || start_standby(&path, &url, Path::new(&data)));
    let standby = starting.await.expect("a standby");

    let (server, name) = primary.url.rsplit_once('/').expect("a database");
    // The standby comes first in the URL: it answers but takes no writes.
    let (user, place) = server.rsplit_once('@').expect("a user");
    let url = format!("{user}@127.0.0.1:{},{place}/{name}?target_session_attrs=read-write", standby.port());
    let settings = Settings {
        url: url.into(),
        pooler: Pooler::None,
        max_connections: 4,
        acquire_timeout: Duration::from_secs(2),
        lock_timeout: leasehold_store::LOCK_TIMEOUT,
        application_name: "leasehold tests".into(),
    };
    let store = Store::connect(&settings).await.expect("connecting");
    let first = new_job();
    store.enqueue(std::slice::from_ref(&first)).await.expect("enqueue");
    let mut follower = PgConnection::connect(&standby.url(name)).await.expect("the standby");
    eventually("the standby has the job", Duration::from_secs(20), || async {
        let (seen, follower) = (store.ping().await, standby.url(name));
        seen.map_err(|error| error.to_string())?;
        let mut follower = PgConnection::connect(&follower).await.map_err(|error| error.to_string())?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM leasehold.job")
            .fetch_one(&mut follower)
            .await
            .map_err(|error| error.to_string())?;
        if count == 1 { Ok(()) } else { Err(format!("{count} jobs")) }
    })
    .await;

    primary.server().kill();
    let promoted: bool = sqlx::query_scalar("SELECT pg_promote()").fetch_one(&mut follower).await.expect("promote");
    assert!(promoted);
    eventually("the store writes to the new primary", Duration::from_secs(20), || async {
        store.enqueue(&[new_job()]).await
    })
    .await;
    assert_eq!(store.look(&[first.id], &leasehold_store::Kinds::All).await.expect("look").len(), 1);
    let mine: i32 = sqlx::query_scalar("SELECT inet_server_port()").fetch_one(store.pool()).await.expect("the port");
    assert_eq!(u16::try_from(mine), Ok(standby.port()), "callers' transactions must go to the new primary too");
}
