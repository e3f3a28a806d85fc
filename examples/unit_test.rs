//! Tests code that enqueues jobs, and the jobs themselves, without a server.
//!
//! Run: `cargo run -p leasehold --example unit_test`. In a real program the body of `main` is a `#[tokio::test]`.

use leasehold::{Client, Config, Error, Job, JobError, Run, Worker, WorkerBuilder, testing};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Remind {
    user: String,
    day: u32,
}

impl Job for Remind {
    const KIND: &'static str = "example/remind";
    const QUEUE: &'static str = "example_reminders";
    type Output = String;

    async fn run(self, run: &Run) -> Result<String, JobError> {
        // The first attempt fails, to show a retry in virtual time.
        match run.job().attempt {
            1 => Err(JobError::failed("the mail server is unavailable")),
            _ => Ok(format!("{}, day {}", self.user, self.day)),
        }
    }
}

/// The code under test.
async fn sign_up(client: &Client, user: &str) -> Result<(), Error> {
    for day in [1, 7] {
        let in_days = Duration::from_secs(u64::from(day) * 24 * 3600);
        client.enqueue(Remind { user: user.to_owned(), day }).delay(in_days).send().await?;
    }
    Ok(())
}

/// The worker of the program.
fn worker(config: &Config) -> WorkerBuilder {
    Worker::builder(config).register::<Remind>().queue(Remind::QUEUE, 8)
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let (queue, config) = (testing::Queue::new(), Config::default());
    sign_up(&queue.client(), "ada").await?;
    let first = queue.assert_enqueued::<Remind>(|job| job.day == 1);
    queue.assert_not_enqueued::<Remind>(|job| job.day == 2);

    assert_eq!(queue.drain(worker(&config)).await?.claimed, 0, "nothing is due yet");
    queue.advance(Duration::from_secs(24 * 3600));
    assert_eq!(queue.drain(worker(&config)).await?.retried, 1);
    queue.advance(Duration::from_secs(2));
    assert_eq!(queue.drain(worker(&config)).await?.succeeded, 1);
    println!("{}", queue.client().wait(first, Duration::ZERO).await?);
    assert_eq!(queue.enqueued::<Remind>(), [Remind { user: "ada".to_owned(), day: 7 }]);
    Ok(())
}
