//! Doctor on real stores: no findings on a healthy system, idle or busy, and a finding for each of thirty kinds of
//! damage.

mod damages;
mod healthy;
mod locked;
#[expect(dead_code, reason = "the tests of the reaper use more of it")]
#[path = "../reaper/world.rs"]
mod world;
