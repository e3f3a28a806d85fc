//! The scaling signal, for programs that start and stop workers by themselves.

use crate::{Client, Demand, Error, QueueName};

impl Client {
    /// How many slots each of these queues could use now, in the order of the queues. A queue that was never used has the demand 0.
    ///
    /// # Errors
    /// A store fails. Without the answers of both stores the demand is not known: keep the workers.
    pub async fn demand(&self, queues: &[QueueName]) -> Result<Vec<Demand>, Error> {
        self.untyped().demand(queues).await
    }
}
