//! Looks for what should not be, in both stores of a live system. It changes nothing: the reaper mends.
//!
//! `evidence` reads, `fleet`, `hints` and `lines` judge what was read and know nothing of a store, `examination`
//! looks again at what they suspect before it calls anything wrong.

mod evidence;
mod examination;
mod fleet;
mod hints;
mod lines;
mod notebook;

pub use examination::{Examination, Finding, examine, examine_for};
