//! `leasehold each`: a durable `xargs`.
//!
//! [`plan`] turns lines into jobs whose ids follow from the batch, [`send`] enqueues them, [`collect`] prints their
//! ends in order, [`local`] runs some of them in this process.

mod collect;
mod local;
mod plan;
mod run;
mod send;

pub(crate) use plan::KIND;
pub(crate) use run::{Args, run};
