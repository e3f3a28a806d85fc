//! `make chaos`: real processes on real servers, a constant load, and every fault that the documentation makes a
//! promise about.
//!
//! Each file in `scenarios/` is one fault. All scenarios have the same phases: normal operation, the fault, the time
//! after the fault. Then the load ends and the line must drain. A checker that knows nothing about the program then
//! judges the evidence from outside: the rows, the keys, and a log that the handlers wrote.

mod arguments;
mod checker;
mod crew;
mod dice;
#[path = "../../examples/extraction/documents.rs"]
mod documents;
mod evidence;
mod harm;
mod held_jobs;
mod insist;
mod limit_watch;
mod load;
mod members;
mod moments;
mod perform;
mod plan;
mod process;
mod progress;
mod scenarios;
#[path = "../../examples/clusters/scheduler.rs"]
mod scheduler;
mod score;
mod stage;
#[path = "../../examples/extraction/stages.rs"]
#[expect(dead_code, reason = "other processes run the stages")]
mod stages;
mod tail;

use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main(flavor = "multi_thread", worker_threads = 4)]
async fn main() -> ExitCode {
    let arguments = arguments::Arguments::parse();
    tokio::select! {
        held = perform::all(&arguments) => match held {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::FAILURE,
            Err(error) => {
                eprintln!("chaos: {error:#}");
                ExitCode::from(2)
            }
        },
        // All child processes end with this process.
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
    }
}
