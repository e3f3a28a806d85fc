//! Every point between two writes at which a process can die: what it leaves behind, which step repairs it, and that
//! the job still ends exactly once.
//!
//! The processes are real, and SIGKILL ends them exactly at the point (`FailPoint`). The test's own reaper does the
//! repair tick by tick, so that the test sees which step did it. A settle whose answer is lost is tested where
//! connections are cut: `tests/worker/outages.rs`.

mod client;
mod reaper;
mod scene;
mod worker;
