//! `leasehold each`: a durable `xargs`.
//!
//! [`plan`] turns lines into jobs with ids that are computed from the batch. [`send`] enqueues the jobs. [`collect`]
//! prints their results in order. [`local`] runs some of the jobs in this process. [`declined`] keeps
//! the jobs from workers that would do something else.

mod collect;
mod declined;
mod local;
mod plan;
mod run;
mod send;

pub(crate) use declined::ButNotOfEach;
pub(crate) use plan::KIND;
pub(crate) use run::{Args, run};
