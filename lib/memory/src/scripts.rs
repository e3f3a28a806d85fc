//! The scripts of `lua/`. Each function follows the file of the same name.

use crate::keys::QueueKeys;
use leasehold_core::{JobId, Kind};
use leasehold_ports::{Extended, Filled, Pushed, Swept, Taken};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How hints enter the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// New hints, behind the others.
    Back,
    /// New hints, before the others.
    Front,
    /// Hints that a worker gives back.
    Return,
}

fn remove_one(list: &mut VecDeque<JobId>, id: JobId) -> bool {
    let place = list.iter().position(|other| *other == id);
    place.and_then(|place| list.remove(place)).is_some()
}

impl QueueKeys {
    fn waits(&self, id: JobId) -> bool {
        self.leases.get(&id) == Some(&None)
    }

    /// push.lua
    pub fn push(&mut self, bound: u32, mode: Mode, ids: &[JobId]) -> Pushed {
        if self.paused {
            for id in ids.iter().filter(|_| mode == Mode::Return) {
                remove_one(&mut self.claimed, *id);
                self.leases.remove(id);
            }
            return Pushed { paused: true, ..Pushed::default() };
        }
        if mode == Mode::Back && self.overflow {
            return Pushed { overflowed: ids.len() as u32, ..Pushed::default() };
        }
        let bound = bound as usize;
        let room = match mode {
            Mode::Back => bound.saturating_sub(self.ready.len()),
            Mode::Front | Mode::Return => ids.len(),
        };
        let (mut fresh, mut pushed) = (Vec::new(), Pushed::default());
        for &id in ids {
            let is_double = match mode {
                Mode::Return => self.waits(id) && !remove_one(&mut self.claimed, id),
                Mode::Back | Mode::Front => self.leases.contains_key(&id),
            };
            if is_double {
                pushed.doubles += 1;
            } else if fresh.len() < room {
                self.leases.insert(id, None);
                fresh.push(id);
            } else {
                pushed.overflowed += 1;
            }
        }
        pushed.pushed = fresh.len() as u32;
        self.bell |= !fresh.is_empty();
        if mode == Mode::Back {
            self.ready.extend(fresh);
        } else {
            fresh.into_iter().rev().for_each(|id| self.ready.push_front(id));
            for fallen in self.ready.split_off(self.ready.len().min(bound)) {
                self.leases.remove(&fallen);
                pushed.overflowed += 1;
                self.filled = None;
            }
        }
        self.overflow |= pushed.overflowed > 0;
        pushed
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
        let mut limit = limit as usize;
        let mut pop = |list: &mut VecDeque<JobId>| {
            let popped: Vec<JobId> = list.drain(..limit.min(list.len())).collect();
            limit -= popped.len();
            taken.extend(popped);
        };
        for kind in kinds {
            if !self.asides.contains(kind) {
                continue;
            }
            if let Some(list) = self.aside.get_mut(kind) {
                pop(list);
            }
            if self.aside.get(kind).is_none_or(VecDeque::is_empty) {
                self.aside.remove(kind);
                self.asides.remove(kind);
            }
        }
        pop(&mut self.ready);
        for &id in &taken {
            self.leases.insert(id, Some(until));
        }
        self.bell |= !self.ready.is_empty();
        let low = self.overflow && self.ready.len() * 2 < bound as usize;
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
    pub fn set_aside(&mut self, kind: &Kind, bound: u32, ids: &[JobId]) -> (u32, u32) {
        let listed = self.aside.get(kind).map_or(0, VecDeque::len);
        let room = if self.paused { 0 } else { (bound as usize).saturating_sub(listed) };
        let (mut kept, mut forgotten) = (0, 0);
        for &id in ids {
            if !matches!(self.leases.get(&id), Some(Some(_))) {
                continue;
            }
            if (kept as usize) < room {
                self.leases.insert(id, None);
                self.aside.entry(kind.clone()).or_default().push_back(id);
                kept += 1;
            } else {
                self.leases.remove(&id);
                forgotten += 1;
            }
        }
        if kept > 0 {
            self.asides.insert(kind.clone());
        }
        (kept, forgotten)
    }

    /// adopt.lua
    pub fn adopt(&mut self, until: i64, limit: u32) -> u32 {
        let rest = self.claimed.split_off(self.claimed.len().min(limit as usize));
        let adopted = std::mem::replace(&mut self.claimed, rest);
        for &id in &adopted {
            if !matches!(self.leases.get(&id), Some(Some(_))) {
                self.leases.insert(id, Some(until));
            }
        }
        adopted.len() as u32
    }

    /// expired.lua: ordered by the end of the lease.
    pub fn expired(&self, now: i64, limit: u32) -> Vec<JobId> {
        let ran_out =
            self.leases.iter().filter_map(|(id, until)| until.filter(|until| *until <= now).map(|at| (at, *id)));
        let mut ran_out: Vec<(i64, JobId)> = ran_out.collect();
        ran_out.sort_unstable();
        ran_out.into_iter().take(limit as usize).map(|(_, id)| id).collect()
    }

    /// The effect of a pause on the keys.
    pub fn pause(&mut self) {
        (self.paused, self.overflow) = (true, true);
        self.filled = None;
        self.ready.clear();
        self.claimed.clear();
        self.aside.clear();
        self.asides.clear();
        self.leases.retain(|_, until| until.is_some());
    }

    /// fill.lua, with the position of the last id, and how long this position is kept.
    pub fn fill(&mut self, bound: u32, ids: &[JobId], more: bool, to: Option<(&str, i64)>, now: i64) -> Filled {
        if self.paused {
            return Filled::default();
        }
        let bound = bound as usize;
        let missing: Vec<JobId> = ids.iter().copied().filter(|id| !self.leases.contains_key(id)).collect();
        let first_missing = ids.iter().position(|id| !self.leases.contains_key(id)).unwrap_or(ids.len());
        let in_order = !ids[first_missing..].iter().any(|id| self.waits(*id));
        let held = (ids.len() - missing.len()) as u32;
        let (pushed, fell) = if in_order {
            let room = bound.saturating_sub(self.ready.len());
            let fell = self.make_room(missing.len().saturating_sub(room), ids);
            let pushed = missing.len().min(bound.saturating_sub(self.ready.len()));
            self.leases.extend(missing[..pushed].iter().map(|id| (*id, None)));
            self.ready.extend(&missing[..pushed]);
            (pushed, fell)
        } else {
            self.merge(bound, ids, &missing)
        };
        self.bell |= pushed > 0;
        let all_held = pushed == missing.len() && !fell;
        self.overflow = more || !all_held;
        self.filled = match (to.filter(|_| more && all_held), self.filled.take()) {
            // If all hints were already held, the head may reach further than these ids.
            (Some((_, until)), Some((further, still))) if pushed == 0 && still > now => Some((further, until)),
            (Some((place, until)), _) => Some((place.to_owned(), until)),
            (None, _) => None,
        };
        Filled { pushed: pushed as u32, held, swept: Swept::default() }
    }

    /// extend.lua
    pub fn extend(&mut self, bound: u32, from: &str, to: &str, ids: &[JobId], now: i64) -> Extended {
        let filled = self.filled.as_mut().filter(|(place, until)| !self.paused && place == from && *until > now);
        let Some((place, _)) = filled else { return Extended { changed: true, ..Extended::default() } };
        let room = (bound as usize).saturating_sub(self.ready.len());
        let missing: Vec<JobId> = ids.iter().copied().filter(|id| !self.leases.contains_key(id)).collect();
        let pushed = missing.len().min(room);
        if pushed == missing.len() {
            to.clone_into(place);
        }
        self.leases.extend(missing[..pushed].iter().map(|id| (*id, None)));
        self.ready.extend(&missing[..pushed]);
        self.bell |= pushed > 0;
        self.overflow = true;
        Extended { pushed: pushed as u32, held: (ids.len() - missing.len()) as u32, changed: false }
    }

    /// Removes hints of jobs further back in the line from the end, to make room. Returns whether any was removed.
    fn make_room(&mut self, wanted: usize, ids: &[JobId]) -> bool {
        let beyond = self.ready.iter().rev().filter(|id| !ids.contains(id)).take(wanted);
        let dropped: BTreeSet<JobId> = beyond.copied().collect();
        self.ready.retain(|id| !dropped.contains(id));
        self.leases.retain(|id, _| !dropped.contains(id));
        !dropped.is_empty()
    }

    /// Inserts each missing hint before the hint that follows it in the line; waiting hints keep their order. Returns
    /// how many hints have room, and whether waiting hints lost their room.
    fn merge(&mut self, bound: usize, ids: &[JobId], missing: &[JobId]) -> (usize, bool) {
        let missing: BTreeSet<JobId> = missing.iter().copied().collect();
        let (mut before, mut group) = (BTreeMap::<JobId, Vec<JobId>>::new(), Vec::new());
        for &id in ids {
            if missing.contains(&id) {
                group.push(id);
            } else if self.ready.contains(&id) && !group.is_empty() {
                before.insert(id, std::mem::take(&mut group));
            }
        }
        let mut merged = Vec::new();
        for &id in &self.ready {
            merged.extend(before.remove(&id).unwrap_or_default());
            merged.push(id);
        }
        merged.extend(group);
        let (mut pushed, mut fell) = (0, false);
        for (nth, id) in merged.iter().enumerate() {
            if nth < bound && missing.contains(id) {
                self.leases.insert(*id, None);
                pushed += 1;
            } else if nth >= bound && !missing.contains(id) {
                self.leases.remove(id);
                fell = true;
            }
        }
        merged.truncate(bound);
        self.ready = merged.into();
        (pushed, fell)
    }

    /// sweep.lua
    pub fn sweep(&mut self, force: bool) -> Swept {
        self.asides.retain(|kind| self.aside.contains_key(kind));
        let asides = &self.asides;
        let aside: usize =
            self.aside.iter().filter(|(kind, _)| asides.contains(*kind)).map(|(_, list)| list.len()).sum();
        let listed = self.claimed.len() + self.ready.len() + aside;
        let waiting = self.leases.values().filter(|until| until.is_none()).count();
        let mut swept = Swept::default();
        if !force && listed == waiting {
            return swept;
        }
        let mut seen = BTreeSet::new();
        let leases = &mut self.leases;
        let lists = [(true, &mut self.claimed), (false, &mut self.ready)];
        let named = self.aside.iter_mut().filter(|(kind, _)| asides.contains(*kind)).map(|(_, list)| (false, list));
        for (is_claimed, list) in lists.into_iter().chain(named) {
            list.retain(|id| {
                let score = leases.get(id).copied();
                // A hint in `claimed` that has a lease is left for `adopt`.
                let kept = !seen.contains(id) && (!matches!(score, Some(Some(_))) || is_claimed);
                if kept {
                    seen.insert(*id);
                    swept.readmitted += u32::from(score.is_none());
                    leases.entry(*id).or_insert(None);
                } else {
                    swept.dropped += 1;
                }
                kept
            });
        }
        self.aside.retain(|_, list| !list.is_empty());
        let before = leases.len();
        leases.retain(|id, until| until.is_some() || seen.contains(id));
        swept.orphans = (before - leases.len()) as u32;
        swept
    }
}
