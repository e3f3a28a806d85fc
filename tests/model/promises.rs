//! The properties that must hold in every state, and the events that must happen in some state.

use crate::{
    protocol::{MAX_ATTEMPTS, MAX_CRASHES, Protocol},
    world::{Doing, Row, Worker, World, worker_id},
};
use leasehold_core::State;
use stateright::Property;

/// The properties of every state.
pub(crate) fn promises() -> Vec<Property<Protocol>> {
    vec![
        Property::always("every transition is legal", |_, world: &World| !world.seen.illegal),
        Property::always("a stale write changes nothing", |_, world: &World| !world.seen.stale_write_accepted),
        Property::always("a standing lease is never expired", |_, world: &World| !world.seen.standing_lease_expired),
        Property::always("at most one result is accepted", |_, world: &World| {
            world.jobs().all(|(job, _)| world.seen.accepted.iter().filter(|(of, _)| *of == job).count() <= 1)
        }),
        Property::always("no two workers hold a live lease", |_, world: &World| {
            world.jobs().all(|(job, row)| {
                let holds = |(number, worker): (u8, &Worker)| {
                    row.life.fence().is_some_and(|fence| {
                        worker.doing == Doing::Running(job, fence.epoch)
                            && fence.worker == worker_id(number, worker.start)
                    })
                };
                (0u8..).zip(&world.workers).filter(|&worker| holds(worker)).count() <= 1
            })
        }),
        Property::always("no limit is exceeded", |model: &Protocol, world: &World| {
            let numbers_fit = |limit: u8| world.slots.keys().all(|slot| *slot < limit);
            model.limit.is_none_or(|limit| world.runs() <= usize::from(limit) && numbers_fit(limit))
        }),
        Property::always("attempts and crashes keep to their limits", |_, world: &World| {
            world.jobs().all(|(_, Row { life, .. })| {
                (0..=MAX_ATTEMPTS).contains(&life.attempt)
                    && (0..=MAX_CRASHES).contains(&life.crashes)
                    && life.attempt <= life.epoch
            })
        }),
        Property::always("an unsettled run is covered in Redis", |_, world: &World| {
            world.seen.redis_harmed
                || world
                    .jobs()
                    .all(|(job, row)| !world.is_run_alive(&row.life) || world.redis.leases.contains_key(&job))
        }),
        Property::always("when faults stop, the line drains", |model: &Protocol, world: &World| model.heals(world)),
    ]
}

impl Protocol {
    /// Events that must happen in some state. Without them, a model that does nothing would keep every promise.
    pub(crate) fn witnesses(&self) -> Vec<Property<Self>> {
        let mut witnesses = vec![
            Property::sometimes("every job succeeds", |_, world: &World| {
                world.rows.iter().all(|row| row.is_some_and(|row| row.life.state == State::Succeeded))
            }),
            Property::sometimes("a hint is adopted", |_, world: &World| world.seen.adopted),
            Property::sometimes("a job runs twice", |_, world: &World| world.jobs().any(|(_, row)| row.life.epoch > 1)),
        ];
        if self.limit.is_some() {
            witnesses.push(Property::sometimes("a job waits behind the line", |model: &Self, world: &World| {
                !world.behind.is_empty() && !model.has_room_in_line(world)
            }));
        }
        if self.faults.pauses > 0 {
            witnesses.push(Property::sometimes("a stale write is refused", |_, world: &World| {
                world.seen.stale_write_refused
            }));
        }
        if self.faults.doubles > 0 {
            witnesses
                .push(Property::sometimes("a settle is found already written", |_, world: &World| world.seen.already));
        }
        if self.faults.cancels > 0 {
            witnesses.push(Property::sometimes("a job is cancelled", |_, world: &World| {
                world.jobs().any(|(_, row)| row.life.state == State::Cancelled)
            }));
        }
        if self.faults.crashes >= u8::try_from(MAX_CRASHES).unwrap_or(u8::MAX) {
            witnesses.push(Property::sometimes("a job dies of its crashes", |_, world: &World| {
                world.jobs().any(|(_, row)| row.life.state == State::Dead)
            }));
        }
        witnesses
    }
}
