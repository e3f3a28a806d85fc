//! The line of a queue in PostgreSQL, and its head in Redis: how the head is filled, where the line begins, and whether
//! the two agree. Workers and reapers use this crate.
//!
//! | question | file |
//! | --- | --- |
//! | what is a head filled with? | `fill`: the whole head, repairs everything; `extend`: only the next ids, costs less
//! |
//! | where does a line begin, and what changed? | `surveys`, by `slices`; shared with other processes by `scan_starts`
//! |
//! | does each hint fit its job? | `audit` |
//!
//! Every function here is safe to call at any time and by many processes at the same time. The callers decide when to
//! call it.

mod audit;
mod error;
mod extend;
mod fill;
mod scan_starts;
mod slices;
mod surveys;

pub use audit::{Fault, QueueHints, audit, hints_of, listed, missing};
pub use error::Error;
pub use extend::extend_head;
pub use fill::{HeadReport, fill_from, fill_head, front_of_line, is_wanted, report_of};
pub use scan_starts::{Ttl, share};
pub use surveys::{Surveys, rest_after};
