//! Judges the evidence of a run. Pure: evidence in, findings out. The checker knows the promises, but not how the
//! program keeps them.
//!
//! The promises, and the part of the checker that checks each one. For each promise `tests.rs` has a broken history
//! that the checker must find.
//!
//! | promise | checked by |
//! | --- | --- |
//! | an accepted job ends exactly once | `ledger` |
//! | every transition is in the table | `trail`, and the store's own checks |
//! | one result for each job, from its last run; a stale write changes nothing | `trail`, `log` |
//! | two workers never hold a lease on one job | `log` |
//! | attempts and crashes stay within their limits; a job that kills workers is dead | `trail`, the plan's `dead` |
//! | a live unique key has one live job | `keys`; the scenario `cron` checks that each tick has one job |
//! | a blocked job starts if and only if the ends of its parents say so | `graph` |
//! | each callback of a batch is made once, with the right numbers | `batches` |
//! | limits on running jobs per key | the scenario `limits` asks PostgreSQL for the runs of each key all the time |
//! | a graceful stop burns no attempt | `trail` (an attempt that is given back is not spent), the plan's `burned_max` |
//! | Redis holds only live jobs, and is filled again | what Redis holds at the end, doctor, the recovery of each flush |
//! | when faults stop, the line drains and both stores agree | `drained_s`, what is left in Redis, doctor |

mod batches;
mod busy;
mod graph;
mod keys;
mod ledger;
mod log;
mod orphans;
mod rates;
#[cfg(test)]
mod tests;
mod trail;

pub(crate) use busy::Busy;
pub(crate) use orphans::{leases_lost_by_live_workers, orphans_back_s};
pub(crate) use rates::Rates;

use crate::{
    evidence::{Evidence, Row},
    moments::Moments,
    plan::{Plan, Recovery},
};
use leasehold_tests::LogLine;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The findings. All lists are empty after a good run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// Accepted jobs that did not end.
    pub(crate) lost: Vec<String>,
    /// Jobs that ended more than once, or with a result that is not from their last run.
    pub(crate) twice: Vec<String>,
    /// Everything else that a legal history cannot produce.
    pub(crate) illegal: Vec<String>,
}

/// The rows of each job: one row in a good history.
type Rows<'a> = BTreeMap<Uuid, Vec<&'a Row>>;

/// Checks every invariant that is visible from outside.
pub(crate) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    let mut rows = Rows::new();
    for row in &evidence.rows {
        rows.entry(row.id).or_default().push(row);
    }
    ledger::check(evidence, &rows, &mut findings);
    let children: BTreeSet<Uuid> = evidence.edges.iter().map(|edge| edge.child).collect();
    for row in &evidence.rows {
        let may_be_cancelled = children.contains(&row.id) || evidence.ledger.cancelled.contains(&row.id);
        trail::check(row, may_be_cancelled, &mut findings);
    }
    log::check(evidence, &rows, &mut findings);
    keys::check(&evidence.rows, &mut findings);
    graph::check(evidence, &rows, &mut findings);
    batches::check(evidence, &mut findings);
    findings.illegal.extend(evidence.violations.iter().cloned());
    findings.illegal.extend(evidence.left_in_redis.iter().map(|left| format!("Redis still holds {left}")));
    findings.illegal.extend(evidence.ended_badly.iter().cloned());
    findings
}

/// The recovery time, as far as it can be measured while the fleet runs.
pub(crate) fn recovery_s(plan: &Plan, log: &[LogLine], moments: &Moments) -> Option<f64> {
    match plan.recovery {
        Recovery::Rate => Rates::of(log, moments, plan.recovery_threshold).back_s,
        Recovery::Busy => Busy::of(log, moments, plan.recovery_threshold).back_s,
        Recovery::Orphans => None,
    }
}

#[cfg(test)]
impl Findings {
    fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.twice.is_empty() && self.illegal.is_empty()
    }
}
