//! The scripts of `lua/`. Each function follows the file of the same name. `filling` has fill.lua and extend.lua.

use crate::keys::{NOWHERE, QueueKeys, Score};
use chrono::{DateTime, Utc};
use leasehold_core::{JobId, Kind};
use leasehold_ports::{FrontHeld, Hint, Pushed, Swept, Taken};
use std::collections::{BTreeSet, VecDeque};

/// How hints enter the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Hints of jobs that came into the line.
    New,
    /// Hints of jobs whose position in the line was changed.
    Place,
    /// Hints that a worker gives back.
    Return,
}

/// A hint and its position, in units of [`position_of`]; `None`: not known, before all others.
pub type Positioned = (JobId, Option<i64>);

/// The position as the head stores it: in 0.1 ms since 1970.
#[must_use]
pub fn position_of(line_at: DateTime<Utc>) -> i64 {
    line_at.timestamp_micros().div_euclid(100)
}

/// Hints in the order of their positions, as the scripts expect them.
pub(crate) fn in_order(hints: &[Hint]) -> Vec<Positioned> {
    let position = |hint: &Hint| (hint.id, hint.line_at.map(position_of));
    let mut hints: Vec<Positioned> = hints.iter().map(position).collect();
    hints.sort_by_key(|(_, at)| *at);
    hints
}

fn remove_one(list: &mut VecDeque<JobId>, id: JobId) -> bool {
    let place = list.iter().position(|other| *other == id);
    place.and_then(|place| list.remove(place)).is_some()
}

impl QueueKeys {
    pub(crate) fn waits(&self, id: JobId) -> bool {
        matches!(self.leases.get(&id), Some(Score::Waits(_)))
    }

    /// The position of a waiting hint. A hint without a known position counts as the first.
    pub(crate) fn position(&self, id: JobId) -> i64 {
        match self.leases.get(&id) {
            Some(Score::Waits(at)) => *at,
            _ => NOWHERE,
        }
    }

    fn note_refused(&mut self, at: i64) {
        let readings = &mut self.readings;
        if readings.n > 0 {
            let lowest = readings.refused.entry(readings.n).or_insert(at);
            *lowest = at.min(*lowest);
        }
    }

    fn note_kept(&mut self, ids: &[JobId]) {
        let readings = &mut self.readings;
        if readings.n > 0 && !ids.is_empty() {
            readings.kept.entry(readings.n).or_default().extend(ids);
        }
    }

    /// push.lua
    pub fn push(&mut self, bound: u32, mode: Mode, hints: &[Positioned]) -> Pushed {
        if self.paused {
            for (id, _) in hints.iter().filter(|_| mode == Mode::Return) {
                remove_one(&mut self.claimed, *id);
                self.leases.remove(id);
            }
            return Pushed { paused: true, ..Pushed::default() };
        }
        let reach = self.overflow.unwrap_or(i64::MAX);
        if let Some((_, at)) = hints.first().filter(|(_, at)| mode == Mode::New && at.unwrap_or(NOWHERE) >= reach) {
            self.note_refused(at.unwrap_or(NOWHERE));
            return Pushed { overflowed: hints.len() as u32, ..Pushed::default() };
        }
        // Hints without a position get the lowest position of the other hints, which they precede.
        let waiting = self.ready.front().map(|id| self.position(*id));
        let first = waiting.into_iter().chain(hints.iter().find_map(|(_, at)| *at)).min().unwrap_or(NOWHERE);
        let mut taken = BTreeSet::new();
        if mode == Mode::Place {
            let given: BTreeSet<JobId> = hints.iter().map(|(id, _)| *id).collect();
            taken.extend(self.ready.iter().copied().filter(|id| given.contains(id)));
            self.ready.retain(|id| !given.contains(id));
            self.readings.placed = self.readings.n;
        }
        let (mut front, mut fresh, mut pushed) = (Vec::new(), Vec::new(), Pushed::default());
        for &(id, at) in hints {
            // Leased, in `claimed` or set aside.
            if mode == Mode::Place && self.leases.contains_key(&id) && !taken.contains(&id) {
                pushed.doubles += 1;
                continue;
            }
            if let Some(at) = at.filter(|at| *at >= reach) {
                self.note_refused(at);
                pushed.overflowed += 1;
                if taken.contains(&id) {
                    self.leases.remove(&id);
                }
                if mode == Mode::Return {
                    remove_one(&mut self.claimed, id);
                    self.leases.remove(&id);
                }
                continue;
            }
            let is_double = match mode {
                Mode::Return => self.waits(id) && !remove_one(&mut self.claimed, id),
                Mode::New => self.leases.contains_key(&id),
                Mode::Place => false,
            };
            if is_double {
                pushed.doubles += 1;
                continue;
            }
            self.leases.insert(id, Score::Waits(at.unwrap_or(first)));
            taken.remove(&id);
            if at.is_some() { fresh.push(id) } else { front.push(id) }
        }
        pushed.pushed = (front.len() + fresh.len()) as u32;
        self.bell |= pushed.pushed > 0;
        // At the same position, a hint that is given back comes first: it has waited before.
        if mode == Mode::Return {
            fresh.reverse();
        }
        let last = self.ready.back().map(|id| self.position(*id));
        let are_last = fresh.iter().all(|id| last.is_none_or(|last| self.position(*id) >= last));
        if !are_last || self.overflow.is_some() {
            self.note_kept(&fresh);
        }
        self.note_kept(&front);
        for id in fresh {
            let at = self.position(id);
            let is_before = |other: &JobId| match mode {
                Mode::New | Mode::Place => self.position(*other) <= at,
                Mode::Return => self.position(*other) < at,
            };
            let place = self.ready.partition_point(is_before);
            self.ready.insert(place, id);
        }
        front.into_iter().rev().for_each(|id| self.ready.push_front(id));
        if pushed.pushed > 0 && self.ready.len() > bound as usize {
            let fallen = self.ready.split_off(bound as usize);
            let first_fallen = fallen.front().map_or(reach, |id| self.position(*id));
            self.note_refused(reach.min(first_fallen));
            self.overflow = Some(reach.min(first_fallen));
            self.filled = None;
            for id in fallen {
                self.leases.remove(&id);
                pushed.overflowed += 1;
            }
        }
        pushed
    }

    /// How the keys hold the front of a line.
    pub(crate) fn compare(&self, front: &[Positioned]) -> FrontHeld {
        let missing = front.iter().map(|(id, _)| *id).filter(|id| !self.leases.contains_key(id)).collect();
        let is_moved = |(id, at): &Positioned| self.waits(*id) && Some(self.position(*id)) != *at;
        let positions: Vec<i64> = self.ready.iter().take(front.len()).map(|id| self.position(*id)).collect();
        FrontHeld { missing, in_order: !front.iter().any(is_moved) && positions.is_sorted() }
    }

    /// take.lua
    pub fn take(&mut self, bound: u32, adopt: &[JobId], kinds: &[Kind], limit: u32, until: i64) -> Taken {
        let mut taken: Vec<JobId> = adopt.iter().copied().filter(|id| remove_one(&mut self.claimed, *id)).collect();
        if self.paused {
            for id in &taken {
                self.leases.remove(id);
            }
            return Taken { paused: true, ..Taken::default() };
        }
        for _ in 0..limit {
            // At the same position, a hint aside comes first.
            let served = kinds.iter().filter(|kind| self.asides.contains(*kind));
            let first = served.filter_map(|kind| Some((self.position(*self.aside.get(kind)?.front()?), kind)));
            let aside = first.min_by_key(|(at, _)| *at);
            let ready = self.ready.front().map(|id| self.position(*id));
            let list = match aside {
                Some((at, kind)) if ready.is_none_or(|ready| at <= ready) => self.aside.get_mut(kind),
                _ => Some(&mut self.ready),
            };
            let Some(id) = list.and_then(VecDeque::pop_front) else { break };
            taken.push(id);
        }
        for kind in kinds {
            if self.aside.get(kind).is_none_or(VecDeque::is_empty) {
                self.aside.remove(kind);
                self.asides.remove(kind);
            }
        }
        for &id in &taken {
            self.leases.insert(id, Score::Leased(until));
        }
        self.bell |= !self.ready.is_empty();
        let low = self.overflow.is_some() && self.ready.len() * 2 < bound as usize;
        Taken { ids: taken, aside: self.asides.iter().cloned().collect(), low, paused: false }
    }

    /// ack.lua, for `claimed` only. Returns how many hints were known.
    pub fn ack(&mut self, ids: &[JobId]) -> u32 {
        let known = ids.iter().filter(|id| self.leases.remove(id).is_some()).count();
        self.claimed.retain(|id| !ids.contains(id));
        known as u32
    }

    /// ack.lua, for every list.
    pub fn forget(&mut self, ids: &[JobId]) -> u32 {
        self.ready.retain(|id| !ids.contains(id));
        for (_, list) in self.aside.iter_mut().filter(|(kind, _)| self.asides.contains(*kind)) {
            list.retain(|id| !ids.contains(id));
        }
        self.aside.retain(|_, list| !list.is_empty());
        self.ack(ids)
    }

    /// aside.lua. Returns how many hints were kept, and how many were deleted.
    pub fn set_aside(&mut self, kind: &Kind, bound: u32, hints: &[Positioned]) -> (u32, u32) {
        let listed = self.aside.get(kind).map_or(0, VecDeque::len);
        let room = if self.paused { 0 } else { (bound as usize).saturating_sub(listed) };
        let (mut kept, mut forgotten) = (0, 0);
        for &(id, at) in hints {
            if !matches!(self.leases.get(&id), Some(Score::Leased(_))) {
                continue;
            }
            if (kept as usize) < room {
                self.leases.insert(id, Score::Waits(at.unwrap_or(NOWHERE)));
                self.aside.entry(kind.clone()).or_default().push_back(id);
                kept += 1;
            } else {
                self.leases.remove(&id);
                forgotten += 1;
            }
        }
        if kept > 0 {
            self.asides.insert(kind.clone());
            let mut list = self.aside.remove(kind).unwrap_or_default();
            list.make_contiguous().sort_by_key(|id| self.position(*id));
            self.aside.insert(kind.clone(), list);
        }
        (kept, forgotten)
    }

    /// adopt.lua
    pub fn adopt(&mut self, until: i64, limit: u32) -> u32 {
        let rest = self.claimed.split_off(self.claimed.len().min(limit as usize));
        let adopted = std::mem::replace(&mut self.claimed, rest);
        for &id in &adopted {
            if !matches!(self.leases.get(&id), Some(Score::Leased(_))) {
                self.leases.insert(id, Score::Leased(until));
            }
        }
        adopted.len() as u32
    }

    /// expired.lua: ordered by the end of the lease.
    pub fn expired(&self, now: i64, limit: u32) -> Vec<JobId> {
        let ran_out = self.leases.iter().filter_map(|(id, score)| match score {
            Score::Leased(until) if *until <= now => Some((*until, *id)),
            _ => None,
        });
        let mut ran_out: Vec<(i64, JobId)> = ran_out.collect();
        ran_out.sort_unstable();
        ran_out.into_iter().take(limit as usize).map(|(_, id)| id).collect()
    }

    /// The effect of a pause on the keys.
    pub fn pause(&mut self) {
        self.clear();
        self.paused = true;
    }

    /// The keys without their waiting hints.
    pub fn clear(&mut self) {
        self.overflow = Some(NOWHERE);
        self.filled = None;
        self.scan_start = None;
        self.ready.clear();
        self.claimed.clear();
        self.aside.clear();
        self.asides.clear();
        self.leases.retain(|_, score| matches!(score, Score::Leased(_)));
    }

    /// sweep.lua
    pub fn sweep(&mut self, force: bool) -> Swept {
        self.asides.retain(|kind| self.aside.contains_key(kind));
        let asides = &self.asides;
        let aside: usize =
            self.aside.iter().filter(|(kind, _)| asides.contains(*kind)).map(|(_, list)| list.len()).sum();
        let listed = self.claimed.len() + self.ready.len() + aside;
        let waiting = self.leases.values().filter(|score| matches!(score, Score::Waits(_))).count();
        let mut swept = Swept::default();
        if !force && listed == waiting {
            return swept;
        }
        let mut seen = BTreeSet::new();
        let leases = &mut self.leases;
        let lists = [(true, &mut self.claimed), (false, &mut self.ready)];
        let named = self.aside.iter_mut().filter(|(kind, _)| asides.contains(*kind)).map(|(_, list)| (false, list));
        for (is_claimed, list) in lists.into_iter().chain(named) {
            let mut before = NOWHERE;
            list.retain(|id| {
                let score = leases.get(id).copied();
                // A hint in `claimed` that has a lease is left for `adopt`.
                let kept = !seen.contains(id) && (!matches!(score, Some(Score::Leased(_))) || is_claimed);
                if kept {
                    seen.insert(*id);
                    swept.readmitted += u32::from(score.is_none());
                    if let Score::Waits(at) = leases.entry(*id).or_insert(Score::Waits(before)) {
                        before = *at;
                    }
                } else {
                    swept.dropped += 1;
                }
                kept
            });
        }
        self.aside.retain(|_, list| !list.is_empty());
        let before = leases.len();
        leases.retain(|id, score| matches!(score, Score::Leased(_)) || seen.contains(id));
        swept.orphans = (before - leases.len()) as u32;
        swept
    }
}
