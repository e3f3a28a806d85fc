//! Computations that depend on each other, on two clusters: see README.md in this folder.
//!
//! Start `leasehold dev` in the same folder, or run `leasehold migrate` with LEASEHOLD_DATABASE_URL and LEASEHOLD_REDIS_URL
//! set. Then: `cargo run -p leasehold --example clusters`

mod scheduler;

use leasehold::{Client, Config, Reaper, Worker};
use scheduler::{Computation, Order, Scheduler};
use std::{error::Error, time::Duration};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let config = Config::load()?;
    let client = Client::connect(&config).await?;
    let scheduler = Scheduler::new(client.clone());
    scheduler.set_cluster("large", 2).await?;
    scheduler.set_cluster("small", 1).await?;
    let stop = CancellationToken::new();
    let reaper = tokio::spawn(Reaper::builder(&config).run(stop.clone()));
    // Ten slots on each cluster, and the limits let three computations run.
    let worker = Worker::builder(&config).register::<Computation>().queue("large", 10).queue("small", 10);
    let worker = tokio::spawn(worker.run_until(stop.clone().cancelled_owned()));

    let order = |cluster, name, priority, after| Order { cluster, name, takes_ms: 300, priority, after };
    let ids = scheduler
        .submit_all(&[
            order("small", "mesh", 0, &[]),
            order("large", "flow", 0, &["mesh"]),
            order("large", "heat", 0, &["mesh"]),
            order("large", "stress", 50, &["mesh"]),
            order("small", "report", 0, &["flow", "heat", "stress"]),
        ])
        .await?;
    // One more, after all of these. It waits in a cluster that is paused until its priority is settled.
    let small = "small".parse()?;
    scheduler.pause(&small).await?;
    let archive = scheduler.submit(&order("small", "archive", 0, &[]), &ids).await?;
    println!("the priority of the archive is changed: {}", scheduler.set_priority(archive, 10).await?);
    scheduler.resume(&small).await?;

    for id in ids.iter().chain([&archive]) {
        let finished = client.wait_finished(*id, Duration::from_secs(60)).await?;
        println!("{}: {}", finished.result.map_or_else(String::new, |result| result.to_string()), finished.state);
    }
    let cycle = scheduler.submit_all(&[order("small", "hen", 0, &["egg"]), order("small", "egg", 0, &["hen"])]).await;
    println!("a cycle is refused: {}", cycle.err().map_or_else(String::new, |error| error.to_string()));
    stop.cancel();
    worker.await??;
    reaper.await??;
    Ok(())
}
