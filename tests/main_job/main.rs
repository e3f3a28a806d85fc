//! The main job, `make run`: a fleet does real work on real files. One worker is killed and one is frozen. Every result
//! is compared with the result computed here.

mod files;
mod fleet;
mod verdict;

use anyhow::{Context, Result, ensure};
use fleet::Fleet;
use std::{process::ExitCode, time::Instant};

/// How many files the fleet processes.
const FILES: usize = 4_000;
/// Worker processes.
const WORKERS: usize = 4;
/// A short lease, so that the frozen worker loses its leases during the run.
const LEASE_MS: u64 = 3_000;

fn main() -> ExitCode {
    match run() {
        Ok(verdict) => {
            println!("{verdict}");
            if verdict.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Err(error) => {
            eprintln!("main job: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<verdict::Verdict> {
    let paths = files::choose(FILES)?;
    eprintln!("{} files from /usr/include and /usr/share; computing the expected results …", paths.len());
    let expected = files::expected(&paths)?;

    let mut fleet = Fleet::start(WORKERS, LEASE_MS)?;
    let begun = Instant::now();
    let mut each = fleet.each(&paths)?;

    fleet.wait_until_finished(paths.len() / 4, &mut each)?;
    let lost = fleet.counts()?.leases_lost;
    let killed = fleet.kill_a_busy_worker().context("killing a worker")?;
    eprintln!("\nworker {killed} killed (SIGKILL) after a quarter of the work");
    fleet.wait_until_finished(paths.len() / 2, &mut each)?;
    fleet.wait_until_leases_lost_pass(lost, None)?;
    fleet.wait_until_no_run_is_left()?;
    let lost = fleet.counts()?.leases_lost;
    let frozen = fleet.freeze_a_busy_worker().context("freezing a worker")?;
    eprintln!("\nworker {frozen} frozen (SIGSTOP) after half of the work");
    fleet.wait_until_leases_lost_pass(lost, Some(frozen))?;
    fleet.thaw(frozen)?;
    eprintln!("\nworker {frozen} thawed after its leases had run out");

    let output = each.finish()?;
    let seconds = begun.elapsed().as_secs_f64();
    let counts = fleet.counts()?;
    let log = fleet.stop()?;
    ensure!(fleet::nothing_runs(&log.pids), "processes of the fleet are still running: {:?}", log.pids);
    Ok(verdict::Verdict::new(&paths, &expected, &output, seconds, counts, log))
}
