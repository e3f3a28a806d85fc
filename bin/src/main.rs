//! The command line of Leasehold: one binary, one file per command in `commands/`. `output/` formats what is printed;
//! the crates in `lib/` do the work.

mod addresses;
mod cli;
#[cfg(test)]
mod cli_tests;
mod commands;
mod context;
mod dev;
mod failure;
mod globals;
mod job_flags;
mod job_line;
mod known;
mod lines;
mod locked;
mod logging;
mod numbers;
mod output;
mod secret_arguments;
mod signals;
mod stdin_jobs;
mod times;
mod word_flags;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = match cli::parse(secret_arguments::given()) {
        Ok(cli) => cli,
        Err(error) => return cli::refuse(&error),
    };
    let ended = tokio::runtime::Runtime::new()
        .map_err(|error| failure::Failure::new(format!("cannot start: {error}")))
        .and_then(|runtime| {
            let ended = runtime.block_on(cli::run(cli));
            // A read of standard input cannot be interrupted: do not wait for its thread.
            runtime.shutdown_background();
            ended
        });
    match ended {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
