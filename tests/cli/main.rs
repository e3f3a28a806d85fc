//! The command line as people use it: the real program, real servers, and what is seen on the outside.

mod bad_input;
mod enqueue;
mod fixture;
mod help;
mod jobs;
mod queues;
mod servers;
mod settings;
