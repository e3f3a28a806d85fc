//! Tests of workers in this process on real stores: which jobs run, what handlers learn, what is written, and what is
//! released.

mod exec;
mod fixture;
mod following;
mod hints;
mod idle;
mod kinds;
mod leases;
mod limits;
mod locks;
mod many_queues;
mod outages;
mod rates;
mod running;
mod shortage;
mod stopping;
mod words;
