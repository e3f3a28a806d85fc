//! The handlers' log compared with the rows: each claim was run by one worker, once, after the run before it was over,
//! and each result belongs to a run that ended.

use super::{Findings, Rows};
use crate::evidence::Evidence;
use leasehold_tests::{LogLine, Step};
use std::collections::BTreeMap;
use uuid::Uuid;

/// A tolerance. Databases and handlers use the same clock, but they read it a little before or after they write.
const CLOCK_MS: i64 = 20;

pub(super) fn check(evidence: &Evidence, rows: &Rows<'_>, findings: &mut Findings) {
    let mut started: BTreeMap<(Uuid, i32), &LogLine> = BTreeMap::new();
    let mut ended: BTreeMap<(Uuid, i32), &LogLine> = BTreeMap::new();
    for line in &evidence.log {
        let seen = match line.step {
            Step::Start => started.insert((line.id, line.epoch), line),
            Step::End => ended.insert((line.id, line.epoch), line),
            Step::LeaseLost | Step::Cancelled | Step::Stopped => None,
        };
        if let Some(seen) = seen {
            findings.illegal.push(format!(
                "run {} of {} has two lines {:?}: from worker {} and from worker {}",
                line.epoch, line.id, line.step, seen.worker, line.worker
            ));
        }
    }
    for ((id, epoch), start) in &started {
        let Some(row) = rows.get(id).and_then(|rows| rows.first()) else {
            findings.illegal.push(format!("{id} was run but does not exist"));
            continue;
        };
        if *epoch > row.epoch {
            findings.illegal.push(format!("{id} was run as claim {epoch}, but its row has {} claims", row.epoch));
        }
        // The worker of a repair entry is the process that made the repair, not the worker that ran the job.
        for entry in row.trail.0.iter().filter(|entry| entry.verb != "repair") {
            if entry.epoch == *epoch && entry.worker.is_some_and(|worker| worker.0 != start.worker) {
                findings.illegal.push(format!("run {epoch} of {id} was made by another worker than its trail says"));
            }
            if entry.epoch + 1 == *epoch && start.at_ms + CLOCK_MS < entry.at.timestamp_millis() {
                findings.illegal.push(format!("run {epoch} of {id} started while the run before it held its lease"));
            }
        }
    }
    for row in rows.values().flatten().filter(|row| row.state == "succeeded") {
        match ended.get(&(row.id, row.epoch)) {
            None => findings.illegal.push(format!("{} has a result, but no handler ran to its end", row.id)),
            Some(line) if Some(line.worker) != row.worker => {
                findings.twice.push(format!("the result of {} is from another worker than its run", row.id));
            }
            Some(_) => {}
        }
    }
}
