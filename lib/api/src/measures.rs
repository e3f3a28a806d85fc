//! The metrics of `leasehold api` itself.

use crate::api::Api;
use leasehold_telemetry::{Collector, DescriptorEncoder, exposition::gauge};
use std::fmt;

/// Counts the waiting claims of this server.
#[derive(Clone, Debug)]
pub struct Measures(Api);

impl Measures {
    /// The metrics of this server.
    #[must_use]
    pub const fn of(api: Api) -> Self {
        Self(api)
    }
}

impl Collector for Measures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let waiting = self.0.dispatcher().waiting() as u64;
        gauge(&mut encoder, "leasehold_claims_waiting", "Claims of HTTP workers that wait for a job", waiting)
    }
}
