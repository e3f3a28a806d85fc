//! Looks for what should not be, in both stores of a live system. It changes nothing: the reaper's steps mend, also for
//! `repair`, which has them done now and signs for them.
//!
//! `evidence` reads, `fleet`, `hints` and `lines` judge what was read and know nothing of a store, `examination`
//! looks again at what they suspect before it calls anything wrong.

mod evidence;
mod examination;
mod fleet;
mod hints;
mod lines;
mod notebook;
mod repair;

pub use examination::{Examination, Finding, examine, examine_for};
pub use repair::repair;
