//! Limits: all jobs have the same limit key, and each has a different kind. A run holds a numbered slot of the key for as long as
//! its job runs with its epoch. A job without room waits behind the line.

use crate::{
    protocol::{Broken, Protocol},
    world::{Job, World},
};
use leasehold_core::State;

impl World {
    /// The runs of the key. A run counts until its row says that it has ended, also when its lease has run out.
    pub(crate) fn runs(&self) -> usize {
        self.jobs().filter(|(_, row)| row.life.state == State::Running).count()
    }

    /// The jobs that workers may claim: queued jobs that are not behind the line.
    pub(crate) fn line(&self) -> impl Iterator<Item = Job> + '_ {
        let queued = self.jobs().filter(|(_, row)| row.life.state == State::Queued).map(|(job, _)| job);
        queued.filter(|job| !self.behind.contains(job))
    }
}

impl Protocol {
    /// The lowest free slot. No statement frees a slot: a slot is free when its job no longer runs with the epoch of the slot.
    pub(crate) fn free_slot(&self, world: &World) -> Option<u8> {
        let is_held = |slot: &u8| {
            world.slots.get(slot).is_some_and(|&(job, epoch)| {
                let runs = |life: leasehold_core::Lifecycle| life.state == State::Running && life.epoch == epoch;
                self.is(Broken::SettleFreesSlots) || world.row(job).is_some_and(|row| runs(row.life))
            })
        };
        (0..self.limit?).find(|slot| !is_held(slot))
    }

    /// Whether one more job may come into the line. Jobs that are there and have not started count only within their kind. So the
    /// line can have more jobs than there are free slots, and the claim decides.
    pub(crate) fn has_room_in_line(&self, world: &World) -> bool {
        self.limit.is_none_or(|limit| world.runs() < usize::from(limit))
    }

    /// The slot of a run that a worker is about to start; `None`: the key is full. `Some(None)`: jobs have no limit.
    pub(crate) fn slot_for(&self, world: &mut World, number: u8) -> Option<Option<u8>> {
        let Some(limit) = self.limit else { return Some(None) };
        let free = self.free_slot(world);
        if self.is(Broken::LimitIsIgnored) || world.counted.remove(&number) == Some(true) {
            return Some(Some(free.unwrap_or(limit)));
        }
        free.map(Some)
    }
}
