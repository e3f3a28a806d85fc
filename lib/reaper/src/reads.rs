//! What was read of long lines lately, so that a line which is longer than its head is not read and sent as a whole four
//! times a second.
//!
//! In between a glance at the very front of the line tells whether anything stands there that Redis does not hold; what comes
//! further back is reached as the head moves on, and workers fill it when it is low. It owns that decision only: a fill is
//! always made from all that the head can hold, since only so does each hint come to its place.

use leasehold_core::{JobId, QueueName};
use leasehold_handoff::HeadStats;
use leasehold_store::LineSummary;
use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};
use tokio::time::Instant;

/// Ids at the front of a line that are looked at in a glance.
pub(crate) const GLANCE: u32 = 256;
/// All of a head is compared with its line at least this often.
const IN_FULL_EVERY: Duration = Duration::from_secs(2);

/// When each line was last read as far as its head goes, and what stood there.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    in_full: BTreeMap<QueueName, Seen>,
    /// What doctor has found missing.
    missed: BTreeMap<QueueName, Seen>,
}

/// Ids that a head held, or should have held, at some time.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) ids: HashSet<JobId>,
}

impl Reads {
    /// The ids that the head was lately filled from, if a glance at the line will do this time.
    pub(crate) fn known(
        &self,
        queue: &QueueName,
        head: Option<&HeadStats>,
        head_max: u32,
        now: Instant,
    ) -> Option<&HashSet<JobId>> {
        let head = head?;
        let Seen { at, ids } = self.in_full.get(queue)?;
        let lately = now.saturating_duration_since(*at) < IN_FULL_EVERY;
        (head.overflow && lately && head_max > GLANCE).then_some(ids)
    }

    pub(crate) fn remember(&mut self, queue: &QueueName, ids: Vec<JobId>, now: Instant) {
        self.missed.remove(queue);
        self.in_full.insert(queue.clone(), Seen { at: now, ids: ids.into_iter().collect() });
    }

    /// Somebody else has found that these should be in the head and are not.
    pub(crate) fn miss(&mut self, queue: QueueName, ids: HashSet<JobId>) {
        self.missed.insert(queue, Seen { at: Instant::now(), ids });
    }

    /// What Redis held when the head was filled last.
    pub(crate) fn seen(&self, queue: &QueueName) -> Option<&Seen> {
        self.missed.get(queue).or_else(|| self.in_full.get(queue))
    }

    pub(crate) fn forget_all_but(&mut self, lines: &[LineSummary]) {
        // A pause takes all hints away: what was there before it is not missing after it.
        self.in_full.retain(|queue, _| lines.iter().any(|line| &line.queue == queue && !line.paused));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glance_will_do_while_the_line_is_longer_and_was_compared_lately() {
        let (mut reads, queue, start) = (Reads::default(), QueueName::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let some = HeadStats { ready: 1, overflow: true, ..HeadStats::default() };
        let whole = HeadStats { ready: 4000, overflow: false, ..HeadStats::default() };
        assert!(reads.known(&queue, Some(&some), 4096, at(0)).is_none(), "never compared");
        reads.remember(&queue, vec![JobId::new()], at(0));
        assert!(reads.known(&queue, Some(&some), 4096, at(1999)).is_some());
        assert!(reads.known(&queue, Some(&some), 4096, at(2000)).is_none(), "not lately");
        assert!(
            reads.known(&queue, Some(&whole), 4096, at(1)).is_none(),
            "all of the line is in Redis, cheap to compare"
        );
        assert!(reads.known(&queue, Some(&some), GLANCE, at(1)).is_none());
        assert!(reads.known(&queue, None, 4096, at(1)).is_none(), "Redis was lost");
        reads.forget_all_but(&[]);
        assert!(reads.known(&queue, Some(&some), 4096, at(1)).is_none());
    }
}
