// What the examples in the documentation share: a kind of job, a worker for it, and a queue in memory. Each example includes this
// file in a hidden line.

pub use leasehold::{testing::Queue, *};
pub use std::time::Duration;

use serde::{Deserialize, Serialize};
use std::error::Error as StdError;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Resize {
    pub path: String,
    pub width: u32,
}

impl Job for Resize {
    const KIND: &'static str = "resize";
    type Output = String;

    async fn run(self, _: &Run) -> Result<String, JobError> {
        match self.width {
            0 => Err(JobError::never("the width is 0")),
            width => Ok(format!("{}px.{}", width, self.path)),
        }
    }
}

/// A job of this kind.
pub fn resize(path: &str) -> Resize {
    Resize { path: path.to_owned(), width: 160 }
}

/// A worker of the queue `default` for jobs of this kind.
pub fn worker() -> WorkerBuilder {
    Worker::builder(&Config::default()).register::<Resize>().queue("default", 1)
}

/// Runs an example with a queue in memory and a client of this queue.
pub fn in_memory(example: impl AsyncFnOnce(Queue, Client) -> Result<(), Box<dyn StdError>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let queue = Queue::new();
    let client = queue.client();
    runtime.block_on(example(queue, client)).expect("the example works");
}
