//! A file a fault. Each says at its top: fault · window · heal · must hold · converges within · not covered.
//!
//! What must hold is always this too: nothing accepted is lost or accepted twice, no transition is illegal, the line
//! drains, and Redis agrees with PostgreSQL after that.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*

        /// All scenarios, in the order in which they are played.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// What a scenario is played on. `name` is one of [`NAMES`].
        pub(crate) fn plan(name: &str) -> Plan {
            match name {
                $(stringify!($name) => $name::PLAN,)*
                _ => Plan::USUAL,
            }
        }

        /// Does the harm, and heals it.
        pub(crate) async fn play(name: &str, stage: &mut Stage, dice: &mut Dice) -> Result<()> {
            match name {
                $(stringify!($name) => $name::play(stage, dice).await,)*
                _ => Ok(()),
            }
        }
    };
}

scenarios! {
    worker_kill,
    worker_freeze,
    redis_flush,
    redis_flush_backlog,
    redis_down,
    redis_down_64,
    redis_restart_empty,
    postgres_restart_fast,
    postgres_restart_immediate,
    postgres_backends_killed,
    poison_job,
    rolling_restart,
    reaper_kill,
    reapers_many,
    redis_random_keys,
    redis_stale,
    redis_stall,
    redis_half_open,
    redis_unfit,
    script_flush,
    postgres_away,
    postgres_readonly,
    postgres_half_open,
    postgres_pinned,
    rows_locked,
    worker_kill_repeated,
    clock_skew,
    everything,
}

/// Those that are played for every change: one of each kind, within a few minutes.
const SHORT: &[&str] = &[
    "worker_kill",
    "worker_freeze",
    "redis_flush",
    "redis_down",
    "postgres_restart_immediate",
    "postgres_backends_killed",
    "poison_job",
    "rolling_restart",
    "rows_locked",
];

pub(crate) fn is_short(name: &str) -> bool {
    SHORT.contains(&name)
}
