//! unblock: moves jobs whose parents have succeeded into the line.

use crate::{connect::Store, error::Error, promote::waiting, row::uuids};
use leasehold_core::JobId;
use leasehold_ports::Waiting;

impl Store {
    /// Moves blocked jobs into the line.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn unblock(&self, ids: &[JobId]) -> Result<Vec<Waiting>, Error> {
        let statement = sqlx::query(include_str!("../sql/unblock.sql")).bind(uuids(ids));
        let rows = statement.try_map(|row| waiting(&row)).fetch_all(&self.bounded).await;
        rows.map_err(Error::sql("unblocking jobs"))
    }
}
