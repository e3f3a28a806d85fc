//! Private PostgreSQL and Redis servers as child processes, for `leasehold dev` and for the tests; and PgBouncer, for the
//! tests alone.
//!
//! A server here listens on 127.0.0.1 only, keeps everything in one folder, and dies with the process that
//! started it, even when that one is killed. All calls block for as long as they say and need no runtime, so
//! a server can be shared by tests that each have their own.
//!
//! Nothing here knows what the servers are used for: no schema, no keys, no client library.

mod account;
mod error;
mod folder;
mod keeper;
mod pgbouncer;
mod port;
mod postgres;
mod process;
mod programs;
mod redis;

pub use error::Error;
pub use folder::Folder;
pub use keeper::spawn;
pub use pgbouncer::{PgBouncer, PgBouncerOptions};
pub use postgres::{Postgres, PostgresOptions};
pub use programs::Programs;
pub use redis::{Redis, RedisOptions};
