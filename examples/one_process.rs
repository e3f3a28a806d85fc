//! A client, a worker and a reaper in one process, with state for the handlers, defaults for a kind, and middleware.
//!
//! Run `leasehold migrate` first, with LEASEHOLD_DATABASE_URL and LEASEHOLD_REDIS_URL set, or start `leasehold dev` in the
//! same folder. Then: `cargo run -p leasehold --example one_process`

use leasehold::{Backoff, Client, Config, Job, JobError, Reaper, Run, Worker};
use serde::{Deserialize, Serialize};
use std::{error::Error, sync::Mutex, time::Duration};
use tokio_util::sync::CancellationToken;

/// The state that all runs share. In a real program it holds a pool of connections, for example.
#[derive(Default)]
struct Outbox(Mutex<Vec<String>>);

#[derive(Serialize, Deserialize)]
struct SendMail {
    to: String,
}

impl Job for SendMail {
    const KIND: &'static str = "example/send_mail";
    const QUEUE: &'static str = "example_mail";
    const MAX_ATTEMPTS: i32 = 10;
    const TIMEOUT: Option<Duration> = Some(Duration::from_secs(30));
    const BACKOFF: Option<Backoff> = Some(Backoff::exponential(Duration::from_secs(5), Duration::from_secs(600)));
    type Output = usize;

    async fn run(self, run: &Run) -> Result<usize, JobError> {
        let Outbox(sent) = run.state()?;
        let mut sent = sent.lock().map_err(|_| JobError::failed("another run panicked"))?;
        sent.push(self.to);
        Ok(sent.len())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::load()?;
    let stop = CancellationToken::new();
    let reaper = tokio::spawn(Reaper::builder(&config).run(stop.clone()));
    let worker = Worker::builder(&config)
        .state(Outbox::default())
        .around(|run, next| async move {
            let kind = run.job().kind.clone();
            let outcome = next.run(run).await;
            println!("a run of {kind} ended");
            outcome
        })
        .register::<SendMail>()
        .queue(SendMail::QUEUE, 8);
    let worker = tokio::spawn(worker.run_until(stop.clone().cancelled_owned()));

    let client = Client::connect(&config).await?;
    for name in ["ada", "grace", "edsger"] {
        let id = client.enqueue(SendMail { to: format!("{name}@example.com") }).send().await?;
        println!("mail number {}", client.wait(id, Duration::from_secs(30)).await?);
    }
    stop.cancel();
    println!("the worker ran {} jobs", worker.await??.claimed);
    reaper.await??;
    Ok(())
}
