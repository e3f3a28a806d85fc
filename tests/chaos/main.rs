//! `make chaos`: real processes on real servers, a load that never pauses, and every fault there is a promise about.
//!
//! Each file in `scenarios/` is one fault. All of them go the same way: a while without harm, the fault, the time after
//! it, then the load ends, the line must drain, and a checker that knows nothing of the program looks from outside at
//! what is left: the rows, the keys, and a log that the handlers wrote.

mod arguments;
mod checker;
mod dice;
mod evidence;
mod hands;
mod harm;
mod load;
mod members;
mod moments;
mod perform;
mod plan;
mod process;
mod progress;
mod scenarios;
mod score;
mod stage;
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
        // What was started dies with this process.
        _ = tokio::signal::ctrl_c() => ExitCode::from(130),
    }
}
