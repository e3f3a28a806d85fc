//! What to perform.

use crate::scenarios;
use std::path::PathBuf;

/// Does harm to a fleet on purpose, and checks that nothing is lost
#[derive(Debug, clap::Parser)]
pub(crate) struct Arguments {
    /// Scenarios, with commas or spaces between them [default: all]
    #[arg(long, env = "SCENARIO", value_delimiter = ',')]
    pub(crate) scenario: Vec<String>,
    /// Picks targets and moments [default: another one each time]
    #[arg(long, env = "SEED")]
    pub(crate) seed: Option<u64>,
    /// Only a handful of scenarios, for every change
    #[arg(long)]
    pub(crate) short: bool,
    /// How long the scenario `everything` goes on
    #[arg(long, env = "MINUTES", default_value_t = 0.5)]
    pub(crate) minutes: f64,
    /// Where the scorecard is written; what the processes said lies beside it
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
                anyhow::anyhow!("there is no scenario {name}; there are: {}", scenarios::NAMES.join(", "))
            })
        };
        asked.into_iter().map(find).collect()
    }
}
