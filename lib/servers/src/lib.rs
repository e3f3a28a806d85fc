//! Private PostgreSQL and Redis servers as child processes, for `leasehold dev` and for tests. Private PgBouncers, for
//! tests only.
//!
//! Each server listens on 127.0.0.1 only, keeps all its files in one folder, and ends with the process that started it,
//! even when that process is killed. All functions block and need no runtime, so tests with separate runtimes can share
//! a server.
//!
//! This crate does not depend on the use of the servers: it has no schema, no keys and no client library.

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
