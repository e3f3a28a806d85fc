//! Dependencies: a job starts after the ends of its parents, and only if these ends let it start. A job that they keep from
//! starting is cancelled.

use super::{Findings, Rows};
use crate::evidence::{Edge, Evidence};
use leasehold_tests::Step;
use std::collections::BTreeMap;
use uuid::Uuid;

/// A tolerance. Databases and handlers use the same clock, but they read it a little before or after they write.
const CLOCK_MS: i64 = 20;

pub(super) fn check(evidence: &Evidence, rows: &Rows<'_>, findings: &mut Findings) {
    let mut begun: BTreeMap<Uuid, i64> = BTreeMap::new();
    for line in evidence.log.iter().filter(|line| line.step == Step::Start) {
        let at_ms = begun.entry(line.id).or_insert(line.at_ms);
        *at_ms = line.at_ms.min(*at_ms);
    }
    let mut edges: BTreeMap<Uuid, Vec<&Edge>> = BTreeMap::new();
    for edge in &evidence.edges {
        edges.entry(edge.child).or_default().push(edge);
    }
    for (child, edges) in edges {
        let ends = edges.iter().map(|edge| (*edge, rows.get(&edge.parent).and_then(|rows| rows.first())));
        let keeps = |edge: &Edge, state: &str| state != "succeeded" && !edge.runs_after_failure;
        let kept = ends.clone().any(|(edge, row)| row.is_some_and(|row| keeps(edge, &row.state)));
        let is_cancelled = rows.get(&child).and_then(|rows| rows.first()).is_some_and(|row| row.state == "cancelled");
        match begun.get(&child) {
            None if kept && !is_cancelled => {
                findings.illegal.push(format!("{child} can never start, and is not cancelled"));
            }
            None if !kept && is_cancelled => {
                findings.illegal.push(format!("{child} is cancelled, although its parents let it start"));
            }
            Some(_) if kept => findings.illegal.push(format!("{child} was run, although one of its parents failed")),
            Some(at_ms) => {
                for (edge, row) in ends {
                    let ended = row.and_then(|row| row.finished_at).map(|at| at.timestamp_millis());
                    if ended.is_none_or(|ended| at_ms + CLOCK_MS < ended) {
                        findings.illegal.push(format!("{child} was run before its parent {} had ended", edge.parent));
                    }
                }
            }
            None => {}
        }
    }
}
