//! The reaper on real stores: one file a step, and one for stores that go away.
//!
//! Each step: it works, a second time changes nothing more, and three reapers at once do it once.

mod adopt;
mod cancel;
mod dead_rows;
mod drift;
mod expire;
mod extend;
mod head;
mod idle;
mod leases;
mod locked;
mod many_queues;
mod outages;
mod pauses;
mod promote;
mod retain;
mod schedules;
mod slow_steps;
mod sweep;
mod world;
