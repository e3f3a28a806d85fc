//! Who: jobs, workers, and the fence that ties one run to both.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

macro_rules! uuid_newtype {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// A new id: a UUIDv7, so that later ids sort after earlier ones.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "two defaults would not be equal")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_newtype! {
    /// A job. Made by the client before it sends anything, so that an enqueue sent twice is one job.
    JobId
}
uuid_newtype! {
    /// One start of one worker process. Never a host name: a process that restarts is another worker.
    WorkerId
}

/// How often a job has been claimed. Each claim takes the next one and it never falls, so a write
/// that names an older epoch can be told from the current run's.
pub type Epoch = i32;

/// What every write about a running job must name. A write whose fence is stale changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// The job.
    pub id: JobId,
    /// The claim of that job.
    pub epoch: Epoch,
    /// The worker that made the claim.
    pub worker: WorkerId,
}
