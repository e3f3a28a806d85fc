//! Autoscaling without a cluster: `make scale-sim`.
//!
//! The algorithm of the HorizontalPodAutoscaler (`hpa`) and a model of KEDA (`keda`) run on a clock that is faster than the wall. They read
//! the real signal of a real `leasehold api` over gRPC, as KEDA does, and their decisions start and stop real workers (`fleet`). A load rises
//! and falls. At the end no job has failed, no attempt is burned, and the fleet is as small as at the start, without flapping.
//!
//! Not covered: the time that a cluster takes to find a node and to pull an image, and the resolution of Prometheus.

mod fleet;
mod hpa;
mod keda;
mod plot;
mod run;

use anyhow::{Result, ensure};
use clap::Parser;
use keda::ScaledObject;
use run::{Outcome, Plan, autoscaler, rules};
use std::{path::PathBuf, time::Duration};

/// Scale real workers by the real signal, with models of KEDA and of the HorizontalPodAutoscaler
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to draw the plot
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// The manifests' own numbers, twenty times as fast: an hour and a quarter in less than four minutes.
fn long() -> Plan {
    Plan {
        speed: 20.0,
        job: 1.0,
        load: vec![(120.0, 0.0), (600.0, 2.0), (1200.0, 12.0), (1500.0, 30.0), (2100.0, 12.0), (2700.0, 2.0)],
        polling: 15.0,
        object: ScaledObject { min: 0, cooldown: 300.0 },
        hpa: autoscaler(12, rules(300.0, 25, 60.0)),
        within: Duration::from_secs(600),
    }
}

/// What must hold for every run.
fn judge(outcome: &Outcome) -> Result<()> {
    let jobs = i64::try_from(outcome.jobs)?;
    ensure!(jobs > 0 && outcome.succeeded == jobs, "{} of {jobs} jobs have succeeded", outcome.succeeded);
    ensure!(
        outcome.burned == 0 && outcome.crashes == 0,
        "{} attempts are burned, {} crashes",
        outcome.burned,
        outcome.crashes
    );
    ensure!(outcome.last_replicas == 0, "{} workers are left", outcome.last_replicas);
    ensure!(outcome.most_replicas() > 2, "the fleet has grown to {} workers only", outcome.most_replicas());
    // A fleet that goes up once and down once starts each worker once. A quarter more is the noise of a load of whole jobs.
    let (most, starts) = (outcome.most_replicas(), outcome.starts());
    ensure!(
        starts <= most + most.div_ceil(4),
        "flapping: {starts} workers were started, and {most} were there at once"
    );
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let program = std::env::current_exe()?.with_file_name("leasehold");
    let outcome = run::run(&program, &long()).await?;
    let worst = outcome.samples.iter().map(|sample| sample.oldest).fold(0.0, f64::max);
    println!(
        "{} jobs: {} succeeded, {} attempts burned, {} crashes; up to {} workers at once, {} started, {} left; the first worker was started {} ms \
         after the first job; the oldest job waited {worst:.1} s",
        outcome.jobs,
        outcome.succeeded,
        outcome.burned,
        outcome.crashes,
        outcome.most_replicas(),
        outcome.starts(),
        outcome.last_replicas,
        outcome.first_worker.as_millis(),
    );
    if let Some(path) = arguments.plot {
        plot::draw(&path, "A load that rises and falls, and the workers that KEDA gives it", &outcome.samples)?;
    }
    judge(&outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Sample;

    /// A hill of a load, within half a minute.
    fn short() -> Plan {
        Plan {
            speed: 30.0,
            load: vec![(15.0, 0.0), (240.0, 8.0)],
            object: ScaledObject { min: 0, cooldown: 60.0 },
            hpa: autoscaler(4, rules(150.0, 100, 15.0)),
            within: Duration::from_secs(180),
            ..long()
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_fleet_grows_and_shrinks_with_the_load_and_hurts_no_job() {
        let outcome = run::run(&leasehold_tests::leasehold_program(), &short()).await.expect("a run");
        judge(&outcome).unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
        let folder = leasehold_tests::private_folder();
        let path = folder.path().join("plot.svg");
        plot::draw(&path, "a title", &outcome.samples).expect("a plot");
        let text = std::fs::read_to_string(&path).expect("the picture");
        for part in ["<svg", "<polyline", "a title", "demand", "slots of the workers"] {
            assert!(text.contains(part), "no {part}");
        }
    }

    #[test]
    fn the_judge_finds_what_is_wrong() {
        let samples = |replicas: &[u32]| {
            let sample = |replicas: &u32| Sample { at: 0.0, demand: 0.0, replicas: *replicas, oldest: 0.0 };
            replicas.iter().map(sample).collect::<Vec<_>>()
        };
        let good = Outcome { samples: samples(&[0, 1, 5, 5, 2, 0]), jobs: 9, succeeded: 9, ..Outcome::default() };
        judge(&good).expect("a good run");
        for bad in [
            Outcome { succeeded: 8, ..good.clone() },
            Outcome { burned: 1, ..good.clone() },
            Outcome { crashes: 1, ..good.clone() },
            Outcome { last_replicas: 1, ..good.clone() },
            Outcome { samples: samples(&[0, 1, 2, 1, 0]), ..good.clone() },
            Outcome { samples: samples(&[0, 1, 5, 1, 5, 0]), ..good },
        ] {
            judge(&bad).expect_err(&format!("{bad:?}"));
        }
    }
}
