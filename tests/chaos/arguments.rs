//! Command-line arguments: which scenarios to run.

use crate::scenarios;
use std::path::PathBuf;

/// Injects faults into a fleet, and checks that nothing is lost
#[derive(Debug, clap::Parser)]
pub(crate) struct Arguments {
    /// Scenarios, separated by commas or spaces [default: all]
    #[arg(long, env = "SCENARIO", value_delimiter = ',')]
    pub(crate) scenario: Vec<String>,
    /// Chooses targets and times of faults [default: a new one for each run]
    #[arg(long, env = "SEED")]
    pub(crate) seed: Option<u64>,
    /// Only a few scenarios, for every change
    #[arg(long)]
    pub(crate) short: bool,
    /// How long the scenario `everything` runs
    #[arg(long, env = "MINUTES", default_value_t = 0.5)]
    pub(crate) minutes: f64,
    /// Where to write the scorecard; the output of the processes is stored next to it
    #[arg(long, default_value = "target/chaos/scorecard.json")]
    pub(crate) scorecard: PathBuf,
}

impl Arguments {
    /// The names of the scenarios to perform, in order.
    pub(crate) fn names(&self) -> anyhow::Result<Vec<&'static str>> {
        let asked: Vec<&str> = self.scenario.iter().flat_map(|text| text.split_whitespace()).collect();
        if asked.is_empty() {
            return Ok(scenarios::NAMES
                .iter()
                .copied()
                .filter(|name| !self.short || scenarios::is_short(name))
                .collect());
        }
        let find = |name: &str| {
            scenarios::NAMES.iter().copied().find(|known| *known == name).ok_or_else(|| {
                anyhow::anyhow!("unknown scenario {name}; the scenarios are: {}", scenarios::NAMES.join(", "))
            })
        };
        asked.into_iter().map(find).collect()
    }
}
