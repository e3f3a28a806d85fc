//! A process that starts servers and waits to be killed, for the test that no server outlives the process that started
//! it.
//!
//! `server_starter FOLDER` prints the process ids of PostgreSQL and Redis. A thread that ends immediately starts them;
//! the servers must not end with this thread.

use anyhow::{Context as _, Result, anyhow, ensure};
use leasehold_servers::{Folder, Postgres, PostgresOptions, Programs, Redis, RedisOptions};
use std::{
    io::{Write as _, stdout},
    path::{Path, PathBuf},
    process::Command,
    thread,
};

fn main() -> Result<()> {
    let folder: PathBuf = std::env::args_os().nth(1).context("server_starter FOLDER")?.into();
    let starting = thread::spawn(move || start(&folder));
    let (postgres, redis) = starting.join().map_err(|_| anyhow!("the thread has panicked"))??;
    // A signal that the ended thread caused has had time to arrive after another process has run.
    Command::new("/bin/true").status()?;
    ensure!((postgres.exited(), redis.exited()) == (None, None), "a server has ended with the thread that started it");
    println!("running: {} {}", postgres.pid(), redis.pid());
    stdout().flush()?;
    loop {
        thread::park();
    }
}

fn start(folder: &Path) -> Result<(Postgres, Redis)> {
    let (opened, programs) = (Folder::open(folder)?, Programs::find());
    let options = PostgresOptions { fsync: false, ..PostgresOptions::default() };
    let postgres = Postgres::start(&programs, &opened, options)?;
    Ok((postgres, Redis::start(&programs, &opened, RedisOptions::default())?))
}
