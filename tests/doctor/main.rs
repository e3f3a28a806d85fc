//! Doctor on real stores: silent on a healthy system, idle or busy, and not fooled by damage of thirty kinds.

mod damages;
mod healthy;
#[expect(dead_code, reason = "the tests of the reaper use more of it")]
#[path = "../reaper/world.rs"]
mod world;
