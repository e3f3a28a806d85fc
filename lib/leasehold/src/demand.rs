//! The scaling signal, for programs that start and stop workers by themselves.

use crate::{Client, Demand, Error, QueueName};

impl Client {
    /// How many slots each of these queues could use now, in the order of the queues. A queue that was never used has the demand 0.
    ///
    /// ```no_run
    /// # mod setup { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/doc/setup.rs")); } use setup::*;
    /// # async fn doc(client: &Client) -> Result<(), Box<dyn std::error::Error>> {
    /// for of in client.demand(&["images".parse()?]).await? {
    ///     let workers = of.demand.div_ceil(32);
    ///     println!("{} needs {workers} workers of 32 slots; {} are alive", of.queue, of.workers);
    /// }
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A store fails. Without the answers of both stores the demand is not known: keep the workers.
    pub async fn demand(&self, queues: &[QueueName]) -> Result<Vec<Demand>, Error> {
        self.untyped().demand(queues).await
    }
}
