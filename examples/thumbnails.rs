//! A typed job, a client and a worker in one process.
//!
//! Start `leasehold dev`, or set LEASEHOLD_DATABASE_URL and LEASEHOLD_REDIS_URL and run `leasehold migrate`. Then run, in
//! the same folder: `cargo run -p leasehold --example thumbnails`

use leasehold::{Client, Config, Job, JobError, Run, Worker};
use serde::{Deserialize, Serialize};
use std::{error::Error, time::Duration};
use tokio::sync::oneshot;

#[derive(Serialize, Deserialize)]
struct Resize {
    path: String,
    width: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Thumbnail {
    path: String,
    made_by_epoch: i32,
}

impl Job for Resize {
    const KIND: &'static str = "example/resize";
    type Output = Thumbnail;

    async fn run(self, run: &Run) -> Result<Thumbnail, JobError> {
        if self.width == 0 {
            return Err(JobError::never("a picture of no width"));
        }
        // A long job stops when it must: on a cancel, a timeout or a lost lease.
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
            reason = run.cancelled() => return Err(JobError::failed(format!("stopped: {reason:?}"))),
        }
        // The name contains the epoch, so that a run that lost its lease cannot overwrite the file of the next run.
        let path = format!("{}.{}px.{}", self.path, self.width, run.fence().epoch);
        Ok(Thumbnail { path, made_by_epoch: run.fence().epoch })
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::load()?;
    let client = Client::connect(&config).await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let worker = Worker::builder(&config).register::<Resize>().queue("example", 8).run_until(async {
        let _ = stopped.await;
    });
    let worker = tokio::spawn(worker);

    let mut ids = Vec::new();
    for number in 1..=5 {
        let job = Resize { path: format!("picture-{number}.png"), width: 160 * number };
        ids.push(client.enqueue(job).queue("example").send().await?);
    }
    let hopeless = client.enqueue(Resize { path: "nothing.png".into(), width: 0 }).queue("example").send().await?;
    for id in ids {
        println!("{:?}", client.wait(id, Duration::from_secs(30)).await?);
    }
    match client.wait(hopeless, Duration::from_secs(30)).await {
        Err(error) => println!("as expected: {error}"),
        Ok(thumbnail) => println!("this should not be: {thumbnail:?}"),
    }

    let _ = stop.send(());
    let tally = worker.await??;
    println!("the worker ran {} jobs", tally.claimed);
    Ok(())
}
