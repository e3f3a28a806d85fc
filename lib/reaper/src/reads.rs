//! What was read of each line lately, and which lines are to be compared with their heads: so that neither a line that is
//! longer than its head is read and sent as a whole four times a second, nor one in which nothing has changed at all.
//!
//! Of a long line a glance at its very front tells whether anything stands there that Redis does not hold; what comes
//! further back is reached as the head moves on, and workers fill it when it is low. It owns these decisions only: a fill is
//! always made from all that the head can hold, since only so does each hint come to its place.

use leasehold_core::{JobId, QueueName};
use leasehold_ports::{HeadStats, LineSummary};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    ops::Bound::{Excluded, Unbounded},
    time::Duration,
};
use tokio::time::Instant;

/// Ids at the front of a line that are looked at in a glance.
pub(crate) const GLANCE: u32 = 256;
/// All of a head is compared with its line at least this often, as long as anything changes there.
const IN_FULL_EVERY: Duration = Duration::from_secs(2);
/// Lines that are compared in each tick although nothing is known to have changed there, in turns.
const IN_TURN: usize = 8;
/// The same of lines of which some kinds are left out.
const LEFT_OUT_IN_TURN: usize = 64;

/// When each line was last read as far as its head goes, and what stood there.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    in_full: BTreeMap<QueueName, Seen>,
    /// What doctor has found missing.
    missed: BTreeMap<QueueName, Seen>,
    /// Lines that are to be compared with their heads, and those of them that are not in `waits` any more.
    wanted: BTreeSet<QueueName>,
    waits: VecDeque<QueueName>,
    /// Those that are being compared. If that comes to no end, they are wanted again.
    under_way: Vec<QueueName>,
    /// The last one whose turn it was.
    turn: Option<QueueName>,
    /// Lines of which some kinds are left out, as nobody serves them or as many hints as are kept wait aside.
    left_out: BTreeSet<QueueName>,
    /// The last one of these whose turn it was.
    turn_of_left_out: Option<QueueName>,
}

/// Ids that a head held, or should have held, at some time.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) ids: HashSet<JobId>,
    /// What the head was then in numbers, if nothing was to be put right. As long as it is the same, and the ids are, nothing
    /// is.
    head: Option<HeadStats>,
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
        let Seen { at, ids, .. } = self.in_full.get(queue)?;
        let lately = now.saturating_duration_since(*at) < IN_FULL_EVERY;
        (head.overflow && lately && head_max > GLANCE).then_some(ids)
    }

    /// What the line was read as, and the head as it was then, if that was well.
    pub(crate) fn remember(&mut self, queue: &QueueName, ids: Vec<JobId>, head: Option<HeadStats>, now: Instant) {
        self.missed.remove(queue);
        self.in_full.insert(queue.clone(), Seen { at: now, ids: ids.into_iter().collect(), head });
    }

    /// Whether a head and the ids of its line are as they were when nothing was to be put right.
    pub(crate) fn is_well(&self, queue: &QueueName, head: Option<&HeadStats>, ids: Option<&[JobId]>) -> bool {
        let Some(seen) = self.in_full.get(queue).filter(|_| !self.missed.contains_key(queue)) else { return false };
        let is_same = |ids: &[JobId]| ids.len() == seen.ids.len() && ids.iter().all(|id| seen.ids.contains(id));
        head.is_some() && seen.head.as_ref() == head && ids.is_none_or(is_same)
    }

    /// Somebody else has found that these should be in the head and are not.
    pub(crate) fn miss(&mut self, queue: QueueName, ids: HashSet<JobId>) {
        self.missed.insert(queue, Seen { at: Instant::now(), ids, head: None });
    }

    /// What Redis held when the head was filled last.
    pub(crate) fn seen(&self, queue: &QueueName) -> Option<&Seen> {
        self.missed.get(queue).or_else(|| self.in_full.get(queue))
    }

    /// How many ids a line had when it was read last, as far as its head goes.
    pub(crate) fn length(&self, queue: &QueueName) -> Option<usize> {
        self.in_full.get(queue).map(|seen| seen.ids.len())
    }

    /// Something may have changed in this line, or in its head.
    pub(crate) fn want(&mut self, queue: &QueueName) {
        if self.wanted.insert(queue.clone()) {
            self.waits.push_back(queue.clone());
        }
    }

    /// The lines that are to be compared, those that wait longest first.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &QueueName> {
        self.waits.iter()
    }

    /// The first of them.
    pub(crate) fn next_wanted(&mut self) -> Option<QueueName> {
        let queue = self.waits.pop_front()?;
        self.wanted.remove(&queue);
        Some(queue)
    }

    /// These are being compared, and no others.
    pub(crate) fn set_under_way(&mut self, queues: &[QueueName]) {
        self.under_way = queues.to_vec();
    }

    /// Wants those again whose comparison was broken off.
    pub(crate) fn want_broken_off(&mut self) {
        for queue in std::mem::take(&mut self.under_way) {
            self.want(&queue);
        }
    }

    /// Some of the lines in which nothing is known to have changed, in turns.
    pub(crate) fn next_in_turn(&mut self, lines: &BTreeMap<QueueName, LineSummary>) -> BTreeSet<QueueName> {
        let turns = next(
            lines.keys(),
            |last| lines.range((Excluded(last), Unbounded)).map(|(queue, _)| queue),
            &self.turn,
            IN_TURN,
        );
        self.turn = turns.last().cloned();
        turns.into_iter().collect()
    }

    /// Whether kinds of a line were left out when it was read.
    pub(crate) fn leave_out(&mut self, queue: &QueueName, is_any: bool) {
        if is_any {
            self.left_out.insert(queue.clone());
        } else {
            self.left_out.remove(queue);
        }
    }

    /// Wants lines of which kinds were left out, in turns: who serves what changes without a change of the line.
    pub(crate) fn want_left_out(&mut self) {
        let (all, last) = (&self.left_out, &self.turn_of_left_out);
        let turns = next(all.iter(), |last| all.range((Excluded(last), Unbounded)), last, LEFT_OUT_IN_TURN);
        self.turn_of_left_out = turns.last().cloned();
        turns.iter().for_each(|queue| self.want(queue));
    }

    /// A line that is gone, or paused: a pause takes all hints away, and what was there before it is not missing after it.
    pub(crate) fn forget(&mut self, queue: &QueueName) {
        self.in_full.remove(queue);
        self.left_out.remove(queue);
    }
}

/// The next ones of a circle.
fn next<'a, Rest: Iterator<Item = &'a QueueName>>(
    all: impl Iterator<Item = &'a QueueName>,
    behind: impl FnOnce(&'a QueueName) -> Rest,
    last: &'a Option<QueueName>,
    count: usize,
) -> Vec<QueueName> {
    let mut next: Vec<QueueName> = last.as_ref().map(behind).into_iter().flatten().take(count).cloned().collect();
    let again: Vec<QueueName> = all.take(count - next.len()).filter(|queue| !next.contains(queue)).cloned().collect();
    next.extend(again);
    next
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
        reads.remember(&queue, vec![JobId::new()], None, at(0));
        assert!(reads.known(&queue, Some(&some), 4096, at(1999)).is_some());
        assert!(reads.known(&queue, Some(&some), 4096, at(2000)).is_none(), "not lately");
        assert!(
            reads.known(&queue, Some(&whole), 4096, at(1)).is_none(),
            "all of the line is in Redis, cheap to compare"
        );
        assert!(reads.known(&queue, Some(&some), GLANCE, at(1)).is_none());
        assert!(reads.known(&queue, None, 4096, at(1)).is_none(), "Redis was lost");
        reads.forget(&queue);
        assert!(reads.known(&queue, Some(&some), 4096, at(1)).is_none());
    }

    #[test]
    fn what_was_well_and_has_not_changed_is_well() {
        let (mut reads, queue, now) = (Reads::default(), QueueName::default(), Instant::now());
        let (one, two) = (JobId::new(), JobId::new());
        let head = HeadStats { ready: 2, waiting_members: 2, ..HeadStats::default() };
        reads.remember(&queue, vec![one, two], None, now);
        assert!(!reads.is_well(&queue, Some(&head), Some(&[one, two])), "something was put right");
        reads.remember(&queue, vec![one, two], Some(head.clone()), now);
        assert!(reads.is_well(&queue, Some(&head), Some(&[two, one])));
        assert!(!reads.is_well(&queue, Some(&head), Some(&[one])));
        assert!(!reads.is_well(&queue, Some(&HeadStats { ready: 1, ..head }), Some(&[one, two])));
        assert!(!reads.is_well(&queue, None, Some(&[one, two])), "not looked at");
        reads.miss(queue.clone(), HashSet::from([one]));
        assert!(!reads.is_well(&queue, Some(&head), Some(&[one, two])), "doctor has found one missing");
    }

    #[test]
    fn each_line_has_its_turn() {
        let mut reads = Reads::default();
        let line = |nth: usize| {
            let queue: QueueName = format!("q{nth:02}").parse().expect("a name");
            (queue.clone(), LineSummary { queue, paused: false, stretches: Vec::new() })
        };
        let lines: BTreeMap<QueueName, LineSummary> = (0..20).map(line).collect();
        let turns: Vec<usize> = (0..3).map(|_| reads.next_in_turn(&lines).len()).collect();
        assert_eq!(turns, [8, 8, 8]);
        assert_eq!(reads.next_in_turn(&lines).iter().next().map(QueueName::as_str), Some("q04"));
        let few: BTreeMap<QueueName, LineSummary> = lines.into_iter().take(3).collect();
        assert_eq!(reads.next_in_turn(&few).len(), 3, "few of them have it always");
        assert!(reads.next_in_turn(&BTreeMap::new()).is_empty());
    }
}
