//! The ports of workers, reapers and operators to the head, implemented by [`Handoff`]. Each call forwards to the
//! function of [`Handoff`] with the same name.

use crate::{
    connect::Handoff,
    taker::{Taker, Unblock},
};
use async_trait::async_trait;
use leasehold_core::{JobId, QueueName};
use leasehold_ports::{BlockingTake, Error, InspectHead, WakeTake};
use std::{sync::Arc, time::Duration};

leasehold_ports::delegate_head!(Handoff);

#[async_trait]
impl InspectHead for Handoff {
    async fn queues(&self) -> Result<Vec<QueueName>, Error> {
        Ok(Handoff::queues(self).await?)
    }

    async fn has_generation(&self) -> Result<bool, Error> {
        Ok(Handoff::has_generation(self).await?)
    }

    async fn reapers(&self) -> Result<usize, Error> {
        Ok(Handoff::reapers(self).await?)
    }

    async fn eviction_policy(&self) -> Result<Option<String>, Error> {
        Ok(Handoff::eviction_policy(self).await?)
    }
}

#[async_trait]
impl BlockingTake for Taker {
    async fn take(&mut self, timeout: Duration) -> Result<Option<JobId>, Error> {
        Ok(Self::take(self, timeout).await?)
    }

    async fn bell(&mut self, timeout: Duration) -> Result<bool, Error> {
        Ok(Self::bell(self, timeout).await?)
    }

    async fn any_bell(&mut self, queues: &[QueueName], timeout: Duration) -> Result<Option<QueueName>, Error> {
        Ok(Self::any_bell(self, queues, timeout).await?)
    }

    fn unblock(&self) -> Arc<dyn WakeTake> {
        Arc::new(Self::unblock(self))
    }
}

#[async_trait]
impl WakeTake for Unblock {
    async fn wake(&self) -> Result<(), Error> {
        Ok(Self::wake(self).await?)
    }
}
