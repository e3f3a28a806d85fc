//! Judges a run by what is left of it. Pure: evidence in, findings out. It knows the promises and nothing of how they are
//! kept.
//!
//! What is promised, and who looks at it. For each there is a broken history in `tests.rs` that must be found.
//!
//! | promise | looked at by |
//! | --- | --- |
//! | what was accepted comes to exactly one end | `ledger` |
//! | every transition is one of the table | `trail`, and the store's own checks |
//! | one result a job, of its last run; a stale write changes nothing | `trail`, `log` |
//! | two workers never hold a lease on one job | `log` |
//! | attempts and crashes keep to their limits; what kills workers is dead | `trail`, the plan's `dead` |
//! | a live unique key has one live job | `keys`; a cron tick is not looked at: there is no cron in the load |
//! | limits on running jobs per key | nobody: nothing enforces a limit yet |
//! | a graceful stop burns no attempt | `trail` (what is given back is not spent), the plan's `most_burned` |
//! | Redis holds live jobs only, and is filled again | what is left in it at the end, doctor, the recovery of each flush |
//! | when faults stop, the line drains and both stores agree | `drained_s`, what is left in Redis, doctor |

mod busy;
mod keys;
mod ledger;
mod log;
mod orphans;
mod rates;
#[cfg(test)]
mod tests;
mod trail;

pub(crate) use busy::Busy;
pub(crate) use orphans::{orphans_back_s, taken_from_the_living};
pub(crate) use rates::Rates;

use crate::{
    evidence::{Evidence, Row},
    moments::Moments,
    plan::{Plan, Recovery},
};
use leasehold_tests::LogLine;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What is wrong. All empty after a good run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    /// Jobs that were accepted and did not come to an end.
    pub(crate) lost: Vec<String>,
    /// Jobs with more than one end, or with a result that is not of their last run.
    pub(crate) twice: Vec<String>,
    /// Everything else that no legal history leaves behind.
    pub(crate) illegal: Vec<String>,
}

/// The rows of each job: one, in any good history.
type Rows<'a> = BTreeMap<Uuid, Vec<&'a Row>>;

/// Checks every invariant that can be seen from outside.
pub(crate) fn check(evidence: &Evidence) -> Findings {
    let mut findings = Findings::default();
    let mut rows = Rows::new();
    for row in &evidence.rows {
        rows.entry(row.id).or_default().push(row);
    }
    ledger::check(evidence, &rows, &mut findings);
    for row in &evidence.rows {
        trail::check(row, &mut findings);
    }
    log::check(evidence, &rows, &mut findings);
    keys::check(&evidence.rows, &mut findings);
    findings.illegal.extend(evidence.violations.iter().cloned());
    findings.illegal.extend(evidence.left_in_redis.iter().map(|left| format!("Redis still holds {left}")));
    findings.illegal.extend(evidence.ended_badly.iter().cloned());
    findings
}

/// How long the fleet took to be as before, as far as that can be told while it works.
pub(crate) fn recovery_s(plan: &Plan, log: &[LogLine], moments: &Moments) -> Option<f64> {
    match plan.recovery {
        Recovery::Rate => Rates::of(log, moments, plan.as_before).back_s,
        Recovery::Busy => Busy::of(log, moments, plan.as_before).back_s,
        Recovery::Orphans => None,
    }
}

#[cfg(test)]
impl Findings {
    fn is_empty(&self) -> bool {
        self.lost.is_empty() && self.twice.is_empty() && self.illegal.is_empty()
    }
}
