//! `make bench`: measures Leasehold on private servers, and the physical floor of the same servers.
//!
//! Each command answers one question and keeps its results in `target/bench/<command>.json`. `write` generates tables
//! and plots from all results. Runs are real: `leasehold bench` with worker processes, on servers with durable commits.
//! Subjects that are compared are measured alternately, because the speed of machines varies. A run during which other
//! processes used the machine is repeated, and marked if repeating does not help.

mod arguments;
mod backlog;
mod claimers;
mod crowd;
mod document;
mod exec;
mod growth;
mod guard;
mod history;
mod http;
mod http_client;
mod idle;
mod lab;
mod limits;
mod machine;
mod peers;
mod pinned;
mod plots;
mod ranking;
mod results;
mod servers;
mod short;
mod soak;
mod table;

use arguments::{Arguments, Question};
use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tokio::select! {
        answered = answer(&arguments) => match answered {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("bench: {error:#}");
                ExitCode::from(2)
            }
        },
        // All child processes end with this process.
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
    }
}

/// Runs one question. The result is false only if the guard found a figure out of bounds.
async fn answer(arguments: &Arguments) -> anyhow::Result<bool> {
    let results = match &arguments.question {
        Question::Short(size) => short::measure(arguments, size).await?,
        Question::Growth(size) => growth::measure(arguments, size).await?,
        Question::Claimers(size) => claimers::measure(arguments, size).await?,
        Question::Limits(size) => limits::measure(arguments, size).await?,
        Question::Backlog(size) => backlog::measure(arguments, size).await?,
        Question::History(size) => history::measure(arguments, size).await?,
        Question::Pinned(size) => pinned::measure(arguments, size).await?,
        Question::Exec(size) => exec::measure(arguments, size).await?,
        Question::Http(size) => http::measure(arguments, size).await?,
        Question::Idle(size) => idle::measure(arguments, size).await?,
        Question::Soak(size) => soak::measure(arguments, size).await?,
        Question::Guard(size) => {
            let results = guard::measure(arguments, size).await?;
            results.save(&arguments.out)?;
            return Ok(guard::judge(&results));
        }
        Question::Peers(size) => {
            peers::run(arguments, size)?;
            return Ok(true);
        }
        Question::Write { document, plots } => {
            document::write(&arguments.out, document, plots.as_deref())?;
            return Ok(true);
        }
    };
    results.save(&arguments.out)?;
    println!("{}", document::section(&results));
    Ok(true)
}
