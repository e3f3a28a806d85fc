//! The jobs that killed workers held, and runs whose lease ran out although their worker was alive.

use crate::{evidence::Evidence, moments::now_ms};
use leasehold_tests::Step;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// For the jobs that killed workers held: the longest time from a kill until another worker started the job, or until
/// the hint of a finished job was gone. `None` if the killed workers held nothing, which proves nothing.
pub(crate) fn orphans_back_s(evidence: &Evidence) -> Option<f64> {
    let workers: BTreeMap<u32, Uuid> = evidence.log.iter().map(|line| (line.pid, line.worker)).collect();
    let mut begun: BTreeMap<Uuid, Vec<(i32, i64)>> = BTreeMap::new();
    for line in evidence.log.iter().filter(|line| line.step == Step::Start) {
        begun.entry(line.id).or_default().push((line.epoch, line.at_ms));
    }
    let mut slowest = None;
    for kill in &evidence.moments.kills {
        slowest = slowest.max(kill.hints_gone_ms.map(|gone_ms| gone_ms - kill.at_ms));
        let Some(worker) = workers.get(&kill.pid) else { continue };
        for row in &evidence.rows {
            let lost = row.trail.iter().find(|entry| {
                entry.verb == "expire"
                    && entry.worker.is_some_and(|of| of.0 == *worker)
                    && entry.at.timestamp_millis() >= kill.at_ms
            });
            // A dead job is not started again.
            let Some(lost) = lost.filter(|lost| lost.epoch < row.epoch) else { continue };
            let again = begun.get(&row.id).into_iter().flatten().filter(|(epoch, _)| *epoch > lost.epoch);
            let begun_ms = again.map(|(_, at_ms)| *at_ms).min();
            // The next worker that claimed the job may have been killed before it started the job. From then on the job
            // counts for that kill.
            let lost_again = row.trail.iter().find(|entry| entry.verb == "expire" && entry.epoch == lost.epoch + 1);
            let next = lost_again.and_then(|entry| entry.worker);
            let killed_ms = next.and_then(|next| {
                evidence
                    .moments
                    .kills
                    .iter()
                    .find(|kill| workers.get(&kill.pid) == Some(&next.0))
                    .map(|kill| kill.at_ms)
            });
            let again_ms = begun_ms.into_iter().chain(killed_ms).min().unwrap_or_else(now_ms);
            slowest = slowest.max(Some(again_ms - kill.at_ms));
        }
    }
    slowest.map(|ms| ms as f64 / 1000.0)
}

/// Runs whose lease ran out although their handler had started and their worker was neither killed nor frozen.
pub(crate) fn leases_lost_by_live_workers(evidence: &Evidence) -> usize {
    let moments = &evidence.moments;
    let harmed: BTreeSet<u32> =
        moments.kills.iter().map(|kill| kill.pid).chain(moments.frozen.iter().copied()).collect();
    let alive: BTreeSet<(Uuid, i32)> = evidence
        .log
        .iter()
        .filter(|line| line.step == Step::Start && !harmed.contains(&line.pid))
        .map(|line| (line.id, line.epoch))
        .collect();
    let expired = |row: &crate::evidence::Row| {
        let lost = row.trail.iter().filter(|entry| entry.verb == "expire");
        lost.filter(|entry| alive.contains(&(row.id, entry.epoch))).count()
    };
    evidence.rows.iter().map(expired).sum()
}
