//! The usual figures, compared with the floor.

use crate::{
    arguments::{Arguments, Short},
    lab::{Lab, RunSpec},
    results::Results,
};
use anyhow::Result;

/// The floor is much faster, so it needs more jobs for a measurable time.
const FLOOR_SCALE: u64 = 2;
/// Processes and slots: of the usual run, and of a fleet of small processes.
const USUAL: (u32, u32) = (2, 50);
const FLEET: (u32, u32) = (32, 4);

pub(crate) async fn measure(arguments: &Arguments, size: &Short) -> Result<Results> {
    let mut lab = Lab::open("short", arguments).await?;
    let (usual, fleet) = (USUAL, FLEET);
    for _ in 0..size.rounds {
        for (subject, setting, spec) in [
            ("floor", "floor", RunSpec::new("floor", size.n * FLOOR_SCALE).processes(usual.0, usual.1)),
            ("leasehold", "drain", RunSpec::new("drain", size.n).processes(usual.0, usual.1)),
            ("leasehold", "flow", RunSpec::new("flow", size.n).processes(usual.0, usual.1)),
            ("leasehold", "fleet", RunSpec::new("drain", size.n).processes(fleet.0, fleet.1)),
            ("leasehold", "latency", RunSpec::new("latency", size.latency_n).processes(usual.0, usual.1)),
        ] {
            lab.bench(subject, setting, &spec).await?;
        }
    }
    Ok(lab.results)
}
