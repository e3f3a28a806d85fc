//! fill.lua and extend.lua: the scripts that bring the line into the head.

use crate::{
    keys::{NOWHERE, QueueKeys, Readings, Score},
    scripts::Positioned,
};
use leasehold_core::JobId;
use leasehold_ports::{Extended, Filled, Swept};
use std::collections::{BTreeMap, BTreeSet};

/// As in `fill.lua`.
const NOTES_KEPT: u64 = 100;

impl QueueKeys {
    /// The notes since this reading began: the lowest position of a hint that was refused, and the hints that came into the
    /// head (`None` if they are not known). Deletes old notes.
    fn noted(&mut self, reading: Option<u64>) -> (i64, Option<BTreeSet<JobId>>) {
        let Some(reading) = reading else { return (i64::MAX, None) };
        let Readings { n, refused, kept, .. } = &mut self.readings;
        if *n >= reading + NOTES_KEPT {
            return (self.overflow.unwrap_or(i64::MAX), None);
        }
        let lowest = refused.range(reading..).map(|(_, at)| *at).min().unwrap_or(i64::MAX);
        let came = kept.range(reading..).flat_map(|(_, ids)| ids).copied().collect();
        if let Some(old) = reading.checked_sub(NOTES_KEPT) {
            refused.remove(&old);
            kept.remove(&old);
        }
        (lowest, Some(came))
    }

    /// fill.lua, with the position of the last id, and how long this position is kept.
    pub fn fill(
        &mut self,
        bound: u32,
        reading: Option<u64>,
        front: &[Positioned],
        more: bool,
        to: Option<(&str, i64)>,
        now: i64,
    ) -> Filled {
        if self.paused {
            return Filled::default();
        }
        let line: BTreeMap<JobId, usize> = front.iter().zip(0..).map(|((id, _), nth)| (*id, nth)).collect();
        let (cut, came) = self.noted(reading);
        let is_late = |(_, at): &Positioned| at.unwrap_or(NOWHERE) >= cut;
        let missing: Vec<Positioned> = front.iter().copied().filter(|(id, _)| !self.leases.contains_key(id)).collect();
        let held = (front.len() - missing.len()) as u32;
        let missing: Vec<Positioned> = missing.into_iter().filter(|hint| !is_late(hint)).collect();
        let waiting: Vec<JobId> = self.ready.iter().copied().collect();
        // A reading that began before hints were moved has old positions.
        let has_old_positions = reading.is_some_and(|reading| reading <= self.readings.placed);
        let moved = front.iter().filter(|(id, _)| !has_old_positions && self.waits(*id));
        let scored: Vec<Positioned> = moved.chain(&missing).copied().collect();
        for (id, at) in scored {
            self.leases.insert(id, Score::Waits(at.unwrap_or(NOWHERE)));
        }
        let mut hints: Vec<JobId> = waiting.iter().copied().chain(missing.iter().map(|(id, _)| *id)).collect();
        hints.sort_by_key(|id| (self.position(*id), line.get(id).copied().unwrap_or(usize::MAX)));
        let is_old = |id: &JobId| !line.contains_key(id) && came.as_ref().is_none_or(|came| !came.contains(id));
        let dropped = if missing.is_empty() { BTreeSet::new() } else { excess(&hints, bound as usize, is_old) };
        let last = front.last().map(|(_, at)| at.unwrap_or(NOWHERE));
        // The line was read up to this position, and these jobs were not in it.
        let is_stale = |id: &JobId| {
            let is_read = last.is_some_and(|last| self.position(*id) <= last);
            is_old(id) && is_read && came.is_some() && self.overflow.is_some()
        };
        let refused = (cut < i64::MAX && (!more || last.is_some_and(|last| cut <= last))).then_some(cut);
        let dropped_ids = dropped.iter().map(|nth| hints[*nth]).filter(|id| !is_stale(id));
        let dropped_from = dropped_ids.map(|id| self.position(id)).chain(refused).min();
        let is_new = |id: &JobId| missing.iter().any(|(missing, _)| missing == id);
        let mut pushed = 0;
        self.ready.clear();
        for (nth, id) in hints.into_iter().enumerate() {
            if dropped.contains(&nth) {
                self.leases.remove(&id);
            } else {
                pushed += u32::from(is_new(&id));
                self.ready.push_back(id);
            }
        }
        self.bell |= pushed > 0;
        self.overflow = match (dropped_from, last) {
            (Some(dropped), Some(last)) if more => Some(dropped.min(last)),
            (Some(dropped), _) => Some(dropped),
            // If no hint was missing, the head may reach further than these.
            (None, Some(last)) if more && pushed == 0 => Some(last.max(self.overflow.unwrap_or(NOWHERE))),
            (None, last) => more.then(|| last.unwrap_or(NOWHERE)),
        };
        self.filled = match (to.filter(|_| more && dropped_from.is_none()), self.filled.take()) {
            (Some((_, until)), Some((further, still))) if pushed == 0 && still > now => Some((further, until)),
            (Some((place, until)), _) => Some((place.to_owned(), until)),
            (None, _) => None,
        };
        Filled { pushed, held, swept: Swept::default() }
    }

    /// extend.lua
    pub fn extend(
        &mut self,
        bound: u32,
        reading: Option<u64>,
        (from, to): (&str, &str),
        hints: &[Positioned],
        now: i64,
    ) -> Extended {
        let changed = Extended { changed: true, ..Extended::default() };
        let is_same = self.filled.as_ref().is_some_and(|(place, until)| place == from && *until > now);
        if self.paused || !is_same {
            return changed;
        }
        let (cut, _) = self.noted(reading);
        let last_waiting = self.ready.back().map(|id| self.position(*id));
        let missing: Vec<Positioned> = hints.iter().copied().filter(|(id, _)| !self.leases.contains_key(id)).collect();
        let in_time = missing.iter().filter(|(_, at)| at.is_none_or(|at| at < cut)).count();
        let pushed = in_time.min((bound as usize).saturating_sub(self.ready.len()));
        if pushed > 0 && missing[0].1 < last_waiting {
            return changed;
        }
        let reach = missing.get(pushed).or(hints.last()).and_then(|(_, at)| *at);
        let reach = reach.or(self.overflow).unwrap_or(NOWHERE);
        if let Some((place, _)) = self.filled.as_mut().filter(|_| pushed == missing.len() && cut > reach) {
            to.clone_into(place);
        }
        for &(id, at) in &missing[..pushed] {
            self.leases.insert(id, Score::Waits(at.unwrap_or(NOWHERE)));
            self.ready.push_back(id);
        }
        self.bell |= pushed > 0;
        self.overflow = Some(reach.min(cut));
        Extended { pushed: pushed as u32, held: (hints.len() - missing.len()) as u32, changed: false }
    }
}

/// The hints that exceed the bound: first hints that do not belong to the front of the line and are older than its reading,
/// from the last to the first.
fn excess(hints: &[JobId], bound: usize, is_old: impl Fn(&JobId) -> bool) -> BTreeSet<usize> {
    let (old, others): (Vec<usize>, Vec<usize>) = (0..hints.len()).rev().partition(|nth| is_old(&hints[*nth]));
    old.into_iter().chain(others).take(hints.len().saturating_sub(bound)).collect()
}
