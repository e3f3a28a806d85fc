//! `leasehold watch`: a job for each file that appears in a folder.
//!
//! [`folder`] reads the folder, and moves files. [`file`] says which job belongs to a file. [`changes`] listens to the kernel.
//! [`tracker`] knows the state of each file, without a clock and without a server. [`run`] connects them with the stores.
//!
//! Nothing is kept on disk except the files themselves. After a crash the watcher reads the folder again, and computes the same
//! ids: so a file has one job, no matter how often it is seen and by how many watchers.

mod changes;
mod conditions;
mod counts;
mod file;
mod folder;
mod pattern;
mod run;
mod tracker;
mod watcher;

pub(crate) use run::{Args, run};
