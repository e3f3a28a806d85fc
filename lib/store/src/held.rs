//! held: the runs of one worker.

use crate::{connect::Store, error::Error, leases::decode};
use leasehold_core::WorkerId;
use leasehold_ports::Lease;

impl Store {
    /// Every run that this worker holds. The worker may not know of some of these runs.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn held(&self, worker: WorkerId) -> Result<Vec<Lease>, Error> {
        let statement = sqlx::query(include_str!("../sql/held.sql")).bind(worker.0);
        let rows = statement.try_map(|row| decode(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("reading the runs of a worker"))
    }
}
