//! Every place between two writes at which a process can die: what it leaves behind, who puts it right, and that the job
//! comes to its one end all the same.
//!
//! The processes are real and end by KILL exactly at the place (`FailPoint`). The mending is done tick by tick by a
//! reaper of the test's own, so that a test sees which step did it. What becomes of a settle whose answer is lost is
//! tested where connections are cut: `tests/worker/outages.rs`.

mod client;
mod reaper;
mod scene;
mod worker;
