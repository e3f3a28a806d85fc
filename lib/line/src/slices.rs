//! The lines of all queues in slices, each with a fingerprint. Only slices that have changed are read, so the cost
//! stays low with thousands of queues.
//!
//! This file owns which slices there are, which of them are compared in a tick, and their last fingerprints.
//! `surveys.rs` owns the content of the lines.

use leasehold_core::QueueName;
use leasehold_ports::{Fingerprint, LineSummary, Slice};
use std::ops::Range;

/// Queues in a new slice. A slice with twice as many queues is split: if one queue changes, all queues of its slice are
/// read.
const QUEUES: usize = 32;
/// Jobs that are compared in a slice. A longer line counts as changed whenever any transaction has ended.
pub(crate) const JOBS: i64 = 1000;
/// Slices, and jobs in them, that are compared in one tick: a few milliseconds of work for PostgreSQL.
const SLICES_A_TICK: usize = 512;
const JOBS_A_TICK: i64 = 20_000;
/// Changed slices that are read in one tick.
pub(crate) const CHANGED_A_TICK: usize = 128;
/// The estimate for a slice that was never read.
const JOBS_UNKNOWN: i64 = 64;

#[derive(Debug)]
struct Known {
    slice: Slice,
    /// The queues that had a line, in the order of the database.
    queues: Vec<QueueName>,
    seen: Option<Fingerprint>,
}

/// All slices; empty while the lines are not known.
#[derive(Debug, Default)]
pub(crate) struct Slices {
    slices: Vec<Known>,
    /// The first slice that is not compared yet in this round.
    next: usize,
    /// The snapshot of PostgreSQL at the start of this round.
    round: Option<String>,
    /// A slice must be read again in the next round, even if nothing changes.
    again: bool,
    /// All slices have been compared since this snapshot.
    verified: Option<String>,
}

/// The result of reading a changed slice.
pub(crate) struct SliceLook {
    /// Its index among the requested slices.
    pub(crate) nth: usize,
    /// Its fingerprint, taken before the read.
    pub(crate) seen: Fingerprint,
    /// Its lines.
    pub(crate) lines: Vec<LineSummary>,
}

impl Slices {
    /// Makes slices of these lines, which are in the order of the database.
    pub(crate) fn of(lines: &[LineSummary]) -> Self {
        let queues = lines.iter().map(|line| line.queue.clone()).collect();
        let all = Slice::default();
        Self { slices: part(&all, queues, QUEUES), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// Whether nothing can have changed since all slices were compared.
    pub(crate) fn are_verified(&self, snapshot: &str) -> bool {
        self.verified.as_deref() == Some(snapshot)
    }

    /// The slices to compare in this tick.
    pub(crate) fn next(&mut self, snapshot: &str) -> (Range<usize>, Vec<Slice>) {
        if self.round.is_none() {
            (self.round, self.next, self.again) = (Some(snapshot.to_owned()), 0, false);
        }
        let (begin, mut jobs) = (self.next, 0);
        let fit = self.slices[begin..].iter().take(SLICES_A_TICK).take_while(|known| {
            let has_room = jobs < JOBS_A_TICK;
            jobs += known.seen.map_or(JOBS_UNKNOWN, |seen| seen.count);
            has_room
        });
        let slices: Vec<Slice> = fit.map(|known| known.slice.clone()).collect();
        (begin..begin + slices.len(), slices)
    }

    /// Whether a slice must be read, given its new fingerprint.
    pub(crate) fn has_changed(&self, nth: usize, seen: Fingerprint) -> bool {
        seen.count > JOBS || self.slices[nth].seen != Some(seen)
    }

    /// Stores the fingerprints of the slices before the slice at `end`. The next tick continues with the slice at
    /// `end`. Returns the queues that were in these slices before.
    pub(crate) fn learn(&mut self, looked: &[SliceLook], end: usize) -> Vec<QueueName> {
        let mut before = Vec::new();
        let mut looked = looked.iter().peekable();
        let rest = self.slices.split_off(end.min(self.slices.len()));
        let mut slices = Vec::with_capacity(self.slices.len() + rest.len());
        for (nth, mut known) in std::mem::take(&mut self.slices).into_iter().enumerate() {
            let Some(SliceLook { seen, lines, .. }) = looked.next_if(|looked| looked.nth == nth) else {
                slices.push(known);
                continue;
            };
            before.append(&mut known.queues);
            let queues: Vec<QueueName> = lines.iter().map(|line| line.queue.clone()).collect();
            if queues.len() > 2 * QUEUES || (seen.count > JOBS && queues.len() > 1) {
                let each = QUEUES.min(queues.len().div_ceil(2));
                slices.extend(part(&known.slice, queues, each));
                self.again = true;
            } else {
                slices.push(Known { queues, seen: Some(*seen), ..known });
            }
        }
        self.next = slices.len();
        slices.extend(rest);
        self.slices = slices;
        before
    }

    /// Ends the round if all slices were compared in it.
    pub(crate) fn end_round(&mut self) {
        if self.next < self.slices.len() {
            return;
        }
        let began = self.round.take();
        self.verified = if self.again { None } else { began };
        self.join_small();
    }

    /// Merges a small slice with the next slice: each slice costs a probe, even an empty one.
    fn join_small(&mut self) {
        let mut joined: Vec<Known> = Vec::with_capacity(self.slices.len());
        let jobs = |known: &Known| known.seen.map_or(JOBS, |seen| seen.count);
        for known in std::mem::take(&mut self.slices) {
            match joined.last_mut() {
                // Not if the merged slice would be too long to compare, and would be split again.
                Some(last)
                    if last.queues.len() + known.queues.len() <= QUEUES / 2
                        && jobs(last) + jobs(&known) <= JOBS / 2 =>
                {
                    last.slice.until = known.slice.until;
                    last.queues.extend(known.queues);
                    last.seen = None;
                    self.verified = None;
                }
                _ => joined.push(known),
            }
        }
        self.slices = joined;
    }
}

/// Splits a slice that has these queues.
fn part(slice: &Slice, queues: Vec<QueueName>, each: usize) -> Vec<Known> {
    let mut after = slice.after.clone();
    let count = queues.len().div_ceil(each.max(1)).max(1);
    let mut queues = queues.into_iter();
    (1..=count)
        .map(|nth| {
            let queues: Vec<QueueName> = queues.by_ref().take(each.max(1)).collect();
            let until = if nth == count { slice.until.clone() } else { queues.last().cloned() };
            let begin = std::mem::replace(&mut after, until.clone());
            Known { slice: Slice { after: begin, until }, queues, seen: None }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: usize) -> Vec<LineSummary> {
        let line = |nth| LineSummary {
            queue: format!("q{nth:05}").parse().expect("a name"),
            paused: false,
            stretches: Vec::new(),
        };
        (0..count).map(line).collect()
    }

    fn seen(count: i64) -> Fingerprint {
        Fingerprint { count, hash: count }
    }

    /// Compares all slices, in a test in which each queue has one job.
    fn compare(slices: &mut Slices, snapshot: &str) -> (usize, usize) {
        let (mut ticks, mut changed) = (0, 0);
        while !slices.are_verified(snapshot) {
            let (range, asked) = slices.next(snapshot);
            assert!(!asked.is_empty() && asked.len() <= SLICES_A_TICK);
            let mut looked = Vec::new();
            for nth in range.clone() {
                let queues = slices.slices[nth].queues.clone();
                let seen = seen(queues.len() as i64);
                if slices.has_changed(nth, seen) {
                    let line = |queue: QueueName| LineSummary { queue, paused: false, stretches: Vec::new() };
                    looked.push(SliceLook { nth, seen, lines: queues.into_iter().map(line).collect() });
                }
            }
            changed += looked.len();
            slices.learn(&looked, range.end);
            slices.end_round();
            ticks += 1;
            assert!(ticks < 100, "it comes to an end");
        }
        (ticks, changed)
    }

    #[test]
    fn the_slices_follow_upon_one_another_and_leave_no_name_out() {
        let slices = Slices::of(&lines(1000));
        assert_eq!(
            (slices.slices[0].slice.after.clone(), slices.slices.last().expect("one").slice.until.clone()),
            (None, None)
        );
        for pair in slices.slices.windows(2) {
            assert!(pair[0].slice.until.is_some() && pair[0].slice.until == pair[1].slice.after);
        }
        assert_eq!(Slices::of(&[]).slices.len(), 1, "nothing in the line: still one slice");
    }

    #[test]
    fn what_did_not_change_is_looked_at_once() {
        let mut slices = Slices::of(&lines(10_000));
        assert_eq!(compare(&mut slices, "1"), (1, 313));
        assert!(slices.are_verified("1") && !slices.are_verified("2"));
        assert_eq!(compare(&mut slices, "2"), (1, 0));
    }

    #[test]
    fn a_crowded_slice_is_parted_and_small_ones_are_joined() {
        let mut slices = Slices::of(&[]);
        slices.next("1");
        slices.learn(&[SliceLook { nth: 0, seen: seen(100), lines: lines(100) }], 1);
        slices.end_round();
        assert!(!slices.are_verified("1"), "its parts have not been compared");
        assert_eq!(slices.slices.len(), 4);
        compare(&mut slices, "1");
        slices.next("2");
        let gone = (0..4).map(|nth| SliceLook { nth, seen: seen(0), lines: Vec::new() }).collect::<Vec<_>>();
        assert_eq!(slices.learn(&gone, 4).len(), 100);
        slices.end_round();
        assert_eq!(slices.slices.len(), 2, "two by two");
        compare(&mut slices, "2");
        assert_eq!(slices.slices.len(), 1);
    }

    #[test]
    fn a_line_that_is_too_long_to_compare_counts_as_changed() {
        let mut slices = Slices::of(&lines(1));
        slices.next("1");
        slices.learn(&[SliceLook { nth: 0, seen: seen(JOBS + 1), lines: lines(1) }], 1);
        slices.end_round();
        assert!(slices.are_verified("1"), "nothing changed: it need not be looked at");
        assert!(slices.has_changed(0, seen(JOBS + 1)));
    }
}
