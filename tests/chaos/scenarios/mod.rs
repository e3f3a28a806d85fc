//! One file for each fault. The header of each file says: fault, window, heal, must hold, converges within, not
//! covered.
//!
//! In each scenario this must hold too: no accepted job is lost or accepted twice, no transition is illegal, the line
//! drains, and after that Redis agrees with PostgreSQL.

use crate::{dice::Dice, plan::Plan, stage::Stage};
use anyhow::Result;

macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        $(mod $name;)*

        /// All scenarios, in the order in which they run.
        pub(crate) const NAMES: &[&str] = &[$(stringify!($name)),*];

        /// The plan of a scenario. `name` is one of [`NAMES`].
        pub(crate) fn plan(name: &str) -> Plan {
            match name {
                $(stringify!($name) => $name::PLAN,)*
                _ => Plan::USUAL,
            }
        }

        /// Injects the fault and ends it.
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
    batch,
    cron,
    graph,
    limits,
    fair,
    clusters,
    extraction,
    fraud_pipeline,
    everything,
}

/// The scenarios that run for every change: one of each kind, in a few minutes.
const SHORT: &[&str] =
    &["worker_kill", "worker_freeze", "redis_flush", "postgres_restart_immediate", "rolling_restart", "rows_locked"];

pub(crate) fn is_short(name: &str) -> bool {
    SHORT.contains(&name)
}
