//! The ways in which line, head and leases can come apart, each with its one name: in metrics, in what a step reports, in
//! what doctor finds, and in the trail of a job that something was put right about.

use serde::Serialize;
use std::fmt;

macro_rules! drift {
    ($($(#[$doc:meta])* $kind:ident = $name:literal,)*) => {
        /// A kind of drift.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(into = "&'static str")]
        pub enum Drift {
            $($(#[$doc])* $kind,)*
        }

        impl Drift {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// Its name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

drift! {
    /// A job is next in the line, and Redis has no hint of it any more.
    HintMissing = "hint_missing",
    /// A hint waits, and its job is finished or never was.
    HintWithoutJob = "hint_without_job",
    /// A hint waits, and its job is live but not in the line.
    HintOutOfLine = "hint_out_of_line",
    /// A blocking take moved a hint, and nobody has leased it.
    HintUnleased = "hint_unleased",
    /// The lists of a queue in Redis and its set of known ids disagree.
    ListsDisagree = "lists_disagree",
    /// Something in the keys of a queue is no id.
    Stray = "stray",
    /// A job is leased in Redis, and does not run.
    LeaseWithoutRun = "lease_without_run",
    /// A job is in the line, and leased in Redis although no hand-off takes that long: nobody can take it.
    LeaseInLine = "lease_in_line",
    /// A job runs on a lease that Redis does not know, or does not know to be renewed.
    LeaseMissing = "lease_missing",
    /// A lease ran out in PostgreSQL.
    LeaseExpired = "lease_expired",
    /// The pause flag in Redis is not that of PostgreSQL.
    PauseFlag = "pause_flag",
    /// The flag that says whether a line is longer than its head is wrong.
    OverflowFlag = "overflow_flag",
    /// Redis was emptied, or another one took its place.
    RedisLost = "redis_lost",
    /// A key of Redis may be evicted at any time.
    EvictionAllowed = "eviction_allowed",
    /// Nobody puts anything right.
    ReaperMissing = "reaper_missing",
    /// A row breaks an invariant.
    RowBroken = "row_broken",
    /// A row waits for a reaper that does not come.
    RowUntended = "row_untended",
}

impl From<Drift> for &'static str {
    fn from(drift: Drift) -> Self {
        drift.as_str()
    }
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How much of one kind was found, and how much of it was put right.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drifted {
    /// Things that had come apart.
    pub found: u64,
    /// Those that were put together again.
    pub repaired: u64,
}

impl std::ops::AddAssign for Drifted {
    fn add_assign(&mut self, other: Self) {
        self.found += other.found;
        self.repaired += other.repaired;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_has_a_name_of_its_own_that_a_label_can_have() {
        let names: BTreeSet<&str> = Drift::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), Drift::ALL.len());
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')), "{names:?}");
        let json = serde_json::to_string(&Drift::HintMissing).expect("JSON");
        assert_eq!(json, "\"hint_missing\"");
    }
}
