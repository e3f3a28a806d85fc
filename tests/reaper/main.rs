//! The reaper on real stores: one file for each step, and files for outages, slow steps, dead rows, drift and many queues.
//!
//! For each step: the step does its work, a second run changes nothing, and three reapers at the same time do the work once.

mod adopt;
mod batches;
mod cancel;
mod children;
mod counts;
mod dead_rows;
mod drift;
mod endless_tick;
mod expire;
mod extend;
mod head;
mod idle;
mod lapse;
mod leases;
mod locked;
mod many_queues;
mod outages;
mod pauses;
mod promote;
mod reorder;
mod retain;
mod schedules;
mod slow_steps;
mod sweep;
mod world;
