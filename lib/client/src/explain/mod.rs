//! Why a job is in its state: the facts from both stores, a pure function that turns them into reasons, and one text for
//! each reason. The command line, HTTP and the dashboard print the same.

mod explanation;
mod reason;
mod reasons;

pub use explanation::Explanation;
pub(crate) use explanation::Facts;
pub(crate) use explanation::POSITION_LIMIT;
pub use reason::{BlockingParent, DeathCause, Process, Reason};
