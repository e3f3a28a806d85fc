//! Why a job is where it is: facts of both stores, a pure function that makes reasons of them, and one text for each reason.
//! The command line, HTTP and the dashboard print the same.

mod explanation;
mod reason;
mod reasons;

pub use explanation::Explanation;
pub(crate) use explanation::Facts;
pub(crate) use explanation::POSITION_LIMIT;
pub use reason::{BlockingParent, DeathCause, Process, Reason};
