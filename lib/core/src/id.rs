//! Identities: the ids of jobs and workers, and the fence, which connects one run to both.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};
use uuid::Uuid;

/// A text that is no id. Shows the beginning of the text, and what an id looks like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no id; an id is a UUID, such as 0198c5a4-7c1e-7a3b-9f2d-3c5e8a1b4d6f")]
pub struct InvalidId(String);

/// More characters than an id has in any form.
const ID_SHOWN_MAX: usize = 50;

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
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self).map_err(|_| InvalidId(text.chars().take(ID_SHOWN_MAX).collect()))
            }
        }
    };
}

uuid_newtype! {
    /// The id of a job. The client makes the id before it sends the job, so that an enqueue that is sent twice makes
    /// one job.
    JobId
}
uuid_newtype! {
    /// The id of one start of one worker process. Never a host name: a process that restarts is another worker.
    WorkerId
}

/// How often a job has been claimed. Each claim adds one, and the number never falls. So a write of an older run, which
/// names an older epoch, can be refused.
pub type Epoch = i32;

/// Every write about a running job must name this fence. A write with a stale fence changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fence {
    /// The job.
    pub id: JobId,
    /// The claim of that job.
    pub epoch: Epoch,
    /// The worker that made the claim.
    pub worker: WorkerId,
}
