//! Finds damage in both stores of a live system. Changes nothing. Only the steps of a reaper repair damage; `repair` runs these
//! steps immediately, and the trails name doctor.
//!
//! `evidence` reads the stores. `fleet`, `hints`, `lines` and `schedules` judge this evidence, and call no store. `examination`
//! checks every suspicion again before it becomes a finding.

mod evidence;
mod examination;
mod fleet;
mod hints;
mod lines;
mod notebook;
mod repair;
mod schedules;

pub use examination::{Examination, examine, examine_for};
pub use notebook::Finding;
pub use repair::repair;
