//! The queues that are faster than Leasehold, and by how much. The document shows this first, before the tables.

use crate::results::Spread;
use anyhow::{Context as _, Result};
use serde_json::Value;

const US: &str = "leasehold";
/// The figure by which each mode is ranked, and whether more is better.
const FIGURES: [(&str, &str, bool); 4] = [
    ("drain", "drain_per_s", true),
    ("flow", "flow_per_s", true),
    ("latency", "p50_ms", false),
    ("fleet", "drain_per_s", true),
];

/// One line for each mode. `json`: results by mode and by peer, each a list of runs.
pub(crate) fn of(json: &str) -> Result<String> {
    let results: Value = serde_json::from_str(json).context("reading the results of peers")?;
    let lines = FIGURES.iter().filter_map(|(mode, figure, more_is_better)| {
        let peers = results.get(mode)?.as_object()?;
        let ours = middle(peers.get(US)?, figure)?;
        let mut others: Vec<(f64, &str)> = peers
            .iter()
            .filter(|(name, _)| *name != US && !name.starts_with("floor"))
            .filter_map(|(name, runs)| {
                let theirs = middle(runs, figure)?;
                Some((if *more_is_better { theirs / ours } else { ours / theirs }, name.as_str()))
            })
            .collect();
        others.sort_by(|one, other| other.0.total_cmp(&one.0));
        let told = |others: &[(f64, &str)]| {
            others.iter().map(|(ratio, name)| format!("{name} ({ratio:.2} ×)")).collect::<Vec<_>>().join(", ")
        };
        let ahead = others.partition_point(|(ratio, _)| *ratio > 1.0);
        let (better, rest) = others.split_at(ahead);
        let next = rest.first().map_or_else(String::new, |next| format!(" Next behind it: {}.", told(&[*next])));
        Some(match better {
            [] => format!("- **{mode}**: no peer is ahead of Leasehold.{next}"),
            better => format!("- **{mode}**: ahead of Leasehold: {}.{next}", told(better)),
        })
    });
    let lines: Vec<String> = lines.collect();
    Ok(format!("As multiples of Leasehold, medians; above 1 is better than Leasehold:\n\n{}\n", lines.join("\n")))
}

fn middle(runs: &Value, figure: &str) -> Option<f64> {
    let runs = runs.as_array()?.iter().filter_map(|run| run.get(figure)?.as_f64());
    Some(Spread::of(runs.collect())?.median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_peer_is_named() {
        let json = r#"{
            "drain": {"leasehold": [{"drain_per_s": 100}], "fast": [{"drain_per_s": 150}, {"error": "x"}],
                      "slow": [{"drain_per_s": 50}], "floor-pg": [{"drain_per_s": 900}]},
            "latency": {"leasehold": [{"p50_ms": 2}], "fast": [{"p50_ms": 4}]}
        }"#;
        let text = of(json).expect("results");
        assert!(
            text.contains("- **drain**: ahead of Leasehold: fast (1.50 ×). Next behind it: slow (0.50 ×)."),
            "{text}"
        );
        assert!(
            text.contains("- **latency**: no peer is ahead of Leasehold. Next behind it: fast (0.50 ×)."),
            "{text}"
        );
        assert!(!text.contains("floor") && !text.contains("fleet"), "{text}");
    }
}
