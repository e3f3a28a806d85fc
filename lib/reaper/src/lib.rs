//! The reaper and its steps. Each step repairs what other processes left incomplete. The only input of a step is the state of
//! the stores. It is safe to run a step twice, at any time, and in any number of reapers.
//!
//! [`Reaper`] runs the steps on its tick. A worker that finds the head of a long line low runs [`fill_head`] or [`extend_head`]
//! too. [`examine`] looks for damage in both stores and changes nothing. [`repair`] runs the steps immediately. Each kind of
//! damage has one name, in [`Drift`].
//!
//! This crate does not claim jobs, does not write results of handlers, and does not know why a job exists.

mod adopt;
mod batches;
mod by_queue;
mod cancel;
mod children;
mod conditions;
mod counts;
mod deferred;
mod doctor;
mod due;
mod error;
mod expire;
mod expiry_guard;
mod fair;
mod fold_counts;
mod head;
mod heads;
mod lapse;
mod leases;
mod limits;
mod locked;
mod note;
mod pauses;
mod pods;
mod promote;
mod reads;
mod reaper;
mod reorder;
mod report;
mod retain;
mod roll_up;
mod schedules;
mod settings;
mod shared;
mod sides;
mod step;
mod survey;
mod sweep;
mod tick;
mod undelivered;
mod watch;

pub use doctor::{Examination, Finding, examine, examine_for, repair};
pub use error::Error;
pub use leasehold_core::{Drift, Drifted, HANDOFF_LEASE};
pub use leasehold_line::{HeadReport, extend_head, fill_head};
pub use pods::PodCosts;
pub use reaper::Reaper;
pub use report::StepReport;
pub use settings::Settings;
pub use watch::{Lateness, StepTotals, Totals, Watch};
