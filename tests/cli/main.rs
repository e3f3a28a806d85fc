//! The command line from its users' view: the real program, real servers, and only what is visible from outside.

mod bad_input;
mod batches;
mod bench;
mod bulk;
mod each;
mod enqueue;
mod fair;
mod fixture;
mod following;
mod fraud_pipeline;
mod graphs;
mod help;
mod jobs;
mod limits;
mod process;
mod queues;
mod readme;
mod rights;
mod schedules;
mod secrets;
mod servers;
mod settings;
mod shortages;
mod stopping;
mod watch;
mod workers;
