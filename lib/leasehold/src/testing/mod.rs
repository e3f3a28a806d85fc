//! A queue in memory for unit tests: no server, virtual time, and the real `Job`, `Run`, `Client` and `WorkerBuilder`.
//! Needs the feature `testing`:
//!
//! ```toml
//! [dev-dependencies]
//! leasehold = { version = "0.1", features = ["testing"] }
//! ```
//!
//! Code under test gets a [`Client`](crate::Client) from [`Queue::client`], and cannot tell the difference. The test
//! checks the enqueued jobs, runs the due jobs with [`Queue::drain`], and moves the time with [`Queue::advance`].
//!
//! ```
//! use leasehold::{Client, Config, Error, Job, JobError, Run, State, Worker, testing};
//! use serde::{Deserialize, Serialize};
//! use std::time::Duration;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Welcome { user: String }
//!
//! impl Job for Welcome {
//!     const KIND: &'static str = "welcome";
//!     type Output = String;
//!     async fn run(self, _: &Run) -> Result<String, JobError> {
//!         Ok(format!("Welcome, {}!", self.user))
//!     }
//! }
//!
//! // The code under test.
//! async fn sign_up(client: &Client, user: &str) -> Result<(), Error> {
//!     client.enqueue(Welcome { user: user.to_owned() }).delay(Duration::from_secs(3600)).send().await?;
//!     Ok(())
//! }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let queue = testing::Queue::new();
//! sign_up(&queue.client(), "Ada").await?;
//! let id = queue.assert_enqueued::<Welcome>(|job| job.user == "Ada");
//!
//! queue.advance(Duration::from_secs(3600));
//! let worker = Worker::builder(&Config::default()).register::<Welcome>().queue("default", 1);
//! assert_eq!(queue.drain(worker).await?.succeeded, 1);
//! assert_eq!(queue.client().wait(id, Duration::ZERO).await?, "Welcome, Ada!");
//! # Ok::<(), Error>(())
//! # }).unwrap();
//! ```
//!
//! The stores are the in-memory stores of the simulation of Leasehold, and pass the same tests as PostgreSQL and
//! Redis.
//!
//! What a unit test cannot see: leases, crashes, several workers, and the SQL of `send_in`, which needs PostgreSQL.

mod drain;
mod queue;

pub use queue::Queue;
