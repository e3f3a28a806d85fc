//! A whole fleet of real processes on real servers: what must be seen from outside.

mod cancel_against_claim;
mod clocks;
mod fleet;
mod freeze;
mod idle;
mod kill;
mod new_self;
mod pgbouncer;
mod plain_sql;
mod shared_redis;
