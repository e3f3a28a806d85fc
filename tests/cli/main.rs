//! The command line as people use it: the real program, real servers, and what is seen on the outside.

mod bad_input;
mod bench;
mod each;
mod enqueue;
mod fixture;
mod help;
mod jobs;
mod lacks;
mod process;
mod queues;
mod readme;
mod rights;
mod secrets;
mod servers;
mod settings;
mod stopping;
mod workers;
