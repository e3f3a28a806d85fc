//! The ways in which line, head and leases can disagree. Each has one name, used in metrics, in the reports of steps,
//! in the findings of doctor, and in the trail of a repaired job.

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
    /// A job is next in the line, but Redis has no hint for the job.
    HintMissing = "hint_missing",
    /// A hint waits, but its job is finished or never existed.
    HintWithoutJob = "hint_without_job",
    /// A hint waits, but its job is live and not in the line.
    HintOutOfLine = "hint_out_of_line",
    /// A blocking take moved a hint, and no worker has leased the hint.
    HintUnleased = "hint_unleased",
    /// The lists of a queue in Redis and its set of known ids disagree.
    ListsDisagree = "lists_disagree",
    /// A member of a queue's keys is not a job id.
    Stray = "stray",
    /// A job is leased in Redis, but does not run.
    LeaseWithoutRun = "lease_without_run",
    /// A job is in the line, but has been leased in Redis for longer than a hand-off takes: no worker can take the job.
    LeaseInLine = "lease_in_line",
    /// Redis has no lease for a running job, or does not know that the lease was renewed.
    LeaseMissing = "lease_missing",
    /// A lease ran out in PostgreSQL.
    LeaseExpired = "lease_expired",
    /// The pause flag in Redis differs from the flag in PostgreSQL.
    PauseFlag = "pause_flag",
    /// The flag that says whether a line is longer than its head is wrong.
    OverflowFlag = "overflow_flag",
    /// Redis was emptied, or replaced by another server.
    RedisLost = "redis_lost",
    /// Redis may evict a key at any time.
    EvictionAllowed = "eviction_allowed",
    /// No reaper runs, so nothing is repaired.
    ReaperMissing = "reaper_missing",
    /// A row breaks an invariant.
    RowBroken = "row_broken",
    /// A row waits for a reaper, but no reaper comes.
    RowUntended = "row_untended",
    /// A count of jobs differs from the number of their rows.
    CountWrong = "count_wrong",
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

/// How often one kind was found, and how often it was repaired.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Drifted {
    /// The number of findings.
    pub found: u64,
    /// The number of repairs.
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
