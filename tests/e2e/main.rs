//! A whole fleet of real processes on real servers, observed from outside.

mod cancel_against_claim;
mod clocks;
mod fair;
mod fleet;
mod freeze;
mod idle;
mod kill;
mod order;
mod pause_kind;
mod pgbouncer;
mod plain_sql;
mod restarted_worker;
mod restore;
mod shared_redis;
