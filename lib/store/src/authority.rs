//! The ports of workers, reapers and operators to the authority, implemented by [`Store`]. Each call forwards to the
//! function of [`Store`] with the same name.

use crate::{connect::Store, violations::CHECKS};
use async_trait::async_trait;
use leasehold_core::JobId;
use leasehold_ports::{DueSchedules, Error, FindViolations, RowLocker, Violation};

leasehold_ports::delegate_store!(Store);

#[async_trait]
impl FindViolations for Store {
    fn checks(&self) -> &'static [&'static str] {
        CHECKS
    }

    async fn lockers(&self, ids: &[JobId]) -> Result<Vec<(JobId, RowLocker)>, Error> {
        Ok(Store::lockers(self, ids).await?)
    }

    async fn violations(&self) -> Result<Vec<Violation>, Error> {
        Ok(Store::violations(self).await?)
    }

    async fn schedules_ahead(&self) -> Result<Option<DueSchedules>, Error> {
        Ok(Store::schedules_ahead(self).await?)
    }
}
