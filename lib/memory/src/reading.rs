//! Reads one queue: its numbers, or its whole content.

use crate::keys::{QueueKeys, Score};
use leasehold_core::{JobId, Kind};
use leasehold_ports::{HeadStats, Held, Snapshot};
use std::collections::VecDeque;

impl QueueKeys {
    /// The lists aside to read: the lists of the kinds in `asides`.
    pub(crate) fn named_asides(&self) -> impl Iterator<Item = (&Kind, &VecDeque<JobId>)> {
        self.aside.iter().filter(|(kind, _)| self.asides.contains(*kind))
    }

    pub(crate) fn is_in_use(&self) -> bool {
        !(self.ready.is_empty() && self.claimed.is_empty() && self.leases.is_empty() && self.asides.is_empty())
            || self.paused
            || self.overflow.is_some()
    }

    pub(crate) fn stats(&self) -> HeadStats {
        let waiting = self.leases.values().filter(|score| matches!(score, Score::Waits(_))).count() as u64;
        HeadStats {
            ready: self.ready.len() as u64,
            claimed: self.claimed.len() as u64,
            leased: self.leases.len() as u64 - waiting,
            waiting_members: waiting,
            aside: self.named_asides().map(|(_, list)| list.len() as u64).sum(),
            paused: self.paused,
            overflow: self.overflow.is_some(),
            overdue: 0,
        }
    }

    /// look.lua
    pub fn look(&self, now: i64) -> Option<HeadStats> {
        let overdue =
            self.leases.values().filter(|score| matches!(score, Score::Leased(until) if *until <= now)).count() as u64;
        self.is_in_use().then(|| HeadStats { overdue, ..self.stats() })
    }

    pub(crate) fn snapshot(&self, now: i64) -> Snapshot {
        let held = |score: &Score| match score {
            Score::Waits(_) => Held::Waiting,
            Score::Leased(until) => Held::Leased { ms_left: until - now },
        };
        Snapshot {
            ready: self.ready.iter().copied().collect(),
            claimed: self.claimed.iter().copied().collect(),
            aside: self.named_asides().map(|(kind, ids)| (kind.clone(), ids.iter().copied().collect())).collect(),
            held: self.leases.iter().map(|(id, score)| (*id, held(score))).collect(),
            paused: self.paused,
            overflow: self.overflow.is_some(),
            strays: Vec::new(),
        }
    }
}
