//! The reconcilers: each puts right what others left, takes no hints about what to do, and can be
//! run twice, at any time, by any number of reapers.
//!
//! [`Reaper`] runs them on its tick. [`fill_head`] is also what a worker runs that finds the head of
//! a long line low, and in between [`extend_head`]. [`examine`] looks for what should not be, in both stores, and changes nothing; [`repair`] has the steps
//! done about it. What can come apart has one name each, in [`Drift`].
//!
//! What is not here: claims, results, and anything that needs to know why a job exists.

mod adopt;
mod by_queue;
mod cancel;
mod conditions;
mod deferred;
mod doctor;
mod error;
mod expire;
mod expiry_guard;
mod head;
mod heads;
mod leases;
mod locked;
mod note;
mod pauses;
mod promote;
mod reads;
mod reaper;
mod report;
mod retain;
mod schedules;
mod settings;
mod shared;
mod sides;
mod step;
mod survey;
mod sweep;
mod tick;
mod watch;

pub use doctor::{Examination, Finding, examine, examine_for, repair};
pub use error::Error;
pub use leasehold_core::{Drift, Drifted, HANDOFF_LEASE};
pub use leasehold_line::{HeadReport, extend_head, fill_head};
pub use reaper::Reaper;
pub use report::StepReport;
pub use settings::Settings;
pub use watch::{StepTotals, Totals, Watch};
