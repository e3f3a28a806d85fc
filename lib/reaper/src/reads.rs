//! The last read of each line, and the lines that must be compared with their heads. With this memory, a line that is longer
//! than its head is not read and sent as a whole four times a second, and a line without a change is not read at all.
//!
//! A read of the first ids of a long line shows whether Redis lacks one of them. The ids behind them come into the head
//! later, when workers take hints or when a worker fills a low head. This file owns these decisions only. A fill always uses
//! as many ids as the head can hold, because otherwise a hint would not get its place.

use leasehold_core::{JobId, QueueName};
use leasehold_ports::{HeadStats, LineSummary};
use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    ops::Bound::{Excluded, Unbounded},
    time::Duration,
};
use tokio::time::Instant;

/// The number of ids at the front of a line that a short read reads.
pub(crate) const GLANCE: u32 = 256;
/// While something changes in a line, its whole head is compared with the line at least this often.
const IN_FULL_EVERY: Duration = Duration::from_secs(2);
/// The number of lines without a known change that are compared in each tick, in turns.
const IN_TURN: usize = 8;
/// The number of lines with kinds left out that are compared in each tick, in turns.
const LEFT_OUT_IN_TURN: usize = 64;

/// The reads of all lines, and the lines that wait for a comparison.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    /// The last read of each line, as far as its head goes.
    in_full: BTreeMap<QueueName, Seen>,
    /// Hints that doctor has found missing.
    missed: BTreeMap<QueueName, Seen>,
    /// Lines that must be compared with their heads, as a set. `waits` has the same lines in order.
    wanted: BTreeSet<QueueName>,
    waits: VecDeque<QueueName>,
    /// Lines that are being compared. If the comparison is cancelled, they are marked again.
    under_way: Vec<QueueName>,
    /// The last line whose turn it was.
    turn: Option<QueueName>,
    /// Lines with kinds left out, because the kind has no worker or its aside list is full.
    left_out: BTreeSet<QueueName>,
    /// The last line with kinds left out whose turn it was.
    turn_of_left_out: Option<QueueName>,
}

/// The ids that a head had, or should have had, at some time.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) at: Instant,
    pub(crate) ids: HashSet<JobId>,
    /// The numbers of the head at this time, if there was nothing to repair. While these numbers and the ids stay the same,
    /// there is still nothing to repair.
    head: Option<HeadStats>,
}

impl Reads {
    /// The ids of the last fill, if a short read of the line is enough this time.
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

    /// Remembers the ids of a line, and the numbers of its head if there was nothing to repair.
    pub(crate) fn remember(&mut self, queue: &QueueName, ids: Vec<JobId>, head: Option<HeadStats>, now: Instant) {
        self.missed.remove(queue);
        self.in_full.insert(queue.clone(), Seen { at: now, ids: ids.into_iter().collect(), head });
    }

    /// Whether a head and the ids of its line are the same as at a time when there was nothing to repair.
    pub(crate) fn is_well(&self, queue: &QueueName, head: Option<&HeadStats>, ids: Option<&[JobId]>) -> bool {
        let Some(seen) = self.in_full.get(queue).filter(|_| !self.missed.contains_key(queue)) else { return false };
        let is_same = |ids: &[JobId]| ids.len() == seen.ids.len() && ids.iter().all(|id| seen.ids.contains(id));
        head.is_some() && seen.head.as_ref() == head && ids.is_none_or(is_same)
    }

    /// Doctor has found that the head lacks these hints.
    pub(crate) fn miss(&mut self, queue: QueueName, ids: HashSet<JobId>) {
        self.missed.insert(queue, Seen { at: Instant::now(), ids, head: None });
    }

    /// The ids that Redis had after the last fill.
    pub(crate) fn seen(&self, queue: &QueueName) -> Option<&Seen> {
        self.missed.get(queue).or_else(|| self.in_full.get(queue))
    }

    /// The number of ids at the last read of a line, as far as its head goes.
    pub(crate) fn length(&self, queue: &QueueName) -> Option<usize> {
        self.in_full.get(queue).map(|seen| seen.ids.len())
    }

    /// Marks a line: something may have changed in the line or in its head.
    pub(crate) fn want(&mut self, queue: &QueueName) {
        if self.wanted.insert(queue.clone()) {
            self.waits.push_back(queue.clone());
        }
    }

    /// The lines that must be compared, the line that waits longest first.
    pub(crate) fn wanted(&self) -> impl Iterator<Item = &QueueName> {
        self.waits.iter()
    }

    /// Removes and returns the line that waits longest.
    pub(crate) fn next_wanted(&mut self) -> Option<QueueName> {
        let queue = self.waits.pop_front()?;
        self.wanted.remove(&queue);
        Some(queue)
    }

    /// Exactly these lines are being compared.
    pub(crate) fn set_under_way(&mut self, queues: &[QueueName]) {
        self.under_way = queues.to_vec();
    }

    /// Marks the lines again whose comparison was cancelled.
    pub(crate) fn want_broken_off(&mut self) {
        for queue in std::mem::take(&mut self.under_way) {
            self.want(&queue);
        }
    }

    /// The lines whose turn it is, although nothing is known to have changed in them.
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

    /// Records whether the last read of a line left kinds out.
    pub(crate) fn leave_out(&mut self, queue: &QueueName, is_any: bool) {
        if is_any {
            self.left_out.insert(queue.clone());
        } else {
            self.left_out.remove(queue);
        }
    }

    /// Marks lines with kinds left out, in turns: workers that serve these kinds may come without a change in the line.
    pub(crate) fn want_left_out(&mut self) {
        let (all, last) = (&self.left_out, &self.turn_of_left_out);
        let turns = next(all.iter(), |last| all.range((Excluded(last), Unbounded)), last, LEFT_OUT_IN_TURN);
        self.turn_of_left_out = turns.last().cloned();
        turns.iter().for_each(|queue| self.want(queue));
    }

    /// Forgets a line that no longer exists, that is paused, or in which a kind was paused or resumed. A pause removes all
    /// hints, and workers remove the hints of a paused kind. So hints from before a pause do not count as missing after the
    /// pause.
    pub(crate) fn forget(&mut self, queue: &QueueName) {
        self.in_full.remove(queue);
        self.left_out.remove(queue);
    }
}

/// The next queues after `last`, in a circle.
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
    fn a_glance_is_enough_while_the_line_is_longer_and_was_compared_recently() {
        let (mut reads, queue, start) = (Reads::default(), QueueName::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let some = HeadStats { ready: 1, overflow: true, ..HeadStats::default() };
        let whole = HeadStats { ready: 4000, overflow: false, ..HeadStats::default() };
        assert!(reads.known(&queue, Some(&some), 4096, at(0)).is_none(), "never compared");
        reads.remember(&queue, vec![JobId::new()], None, at(0));
        assert!(reads.known(&queue, Some(&some), 4096, at(1999)).is_some());
        assert!(reads.known(&queue, Some(&some), 4096, at(2000)).is_none(), "not recently");
        assert!(
            reads.known(&queue, Some(&whole), 4096, at(1)).is_none(),
            "Redis has the whole line, so a comparison is cheap"
        );
        assert!(reads.known(&queue, Some(&some), GLANCE, at(1)).is_none());
        assert!(reads.known(&queue, None, 4096, at(1)).is_none(), "Redis was lost");
        reads.forget(&queue);
        assert!(reads.known(&queue, Some(&some), 4096, at(1)).is_none());
    }

    #[test]
    fn a_head_that_was_well_and_has_not_changed_is_well() {
        let (mut reads, queue, now) = (Reads::default(), QueueName::default(), Instant::now());
        let (one, two) = (JobId::new(), JobId::new());
        let head = HeadStats { ready: 2, waiting_members: 2, ..HeadStats::default() };
        reads.remember(&queue, vec![one, two], None, now);
        assert!(!reads.is_well(&queue, Some(&head), Some(&[one, two])), "something was repaired");
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
        assert_eq!(reads.next_in_turn(&few).len(), 3, "few lines have their turn always");
        assert!(reads.next_in_turn(&BTreeMap::new()).is_empty());
    }
}
