//! One row checked by itself: its state, its counters and its trail must form one legal history.
//!
//! Every claim takes the next epoch, and every run except the last one has left one entry in the trail. So the trail
//! must hold each epoch once, in order, and the attempts and crashes must add up.

use super::Findings;
use crate::evidence::Row;

/// The store keeps this many entries. Earlier entries cannot be checked.
const ENTRIES_MAX: usize = 20;

/// `may_be_cancelled`: the client cancelled the job, or the job depends on others, which may cancel it; `graph` says whether they
/// did.
pub(super) fn check(row: &Row, may_be_cancelled: bool, findings: &mut Findings) {
    let mut wrong = |what: String| findings.illegal.push(format!("{} ({}): {what}", row.id, row.state));
    if row.attempt > row.max_attempts || row.attempt > row.epoch {
        wrong(format!("{} attempts of {}, in {} claims", row.attempt, row.max_attempts, row.epoch));
    }
    if row.crashes > row.max_crashes {
        wrong(format!("{} crashes of {}", row.crashes, row.max_crashes));
    }
    let trail = &row.trail.0;
    for pair in trail.windows(2) {
        if pair[1].at < pair[0].at {
            wrong(format!("{} of epoch {} is earlier than the entry before it", pair[1].verb, pair[1].epoch));
        }
    }
    // A reaper's repair between runs may happen at any time.
    let runs = || trail.iter().filter(|entry| entry.verb != "repair");
    if let Some(strange) =
        runs().find(|entry| !matches!(entry.verb.as_str(), "retry" | "snooze" | "release" | "expire"))
    {
        wrong(format!("{} in the trail, but nobody requested it", strange.verb));
    }
    if trail.len() >= ENTRIES_MAX {
        return;
    }
    let count = |verb: &str| trail.iter().filter(|entry| entry.verb == verb).count();
    let (expired, given_back) = (count("expire"), count("release") + count("snooze"));
    let epochs: Vec<i32> = runs().map(|entry| entry.epoch).collect();
    // A run that ended with its result, and a run that is still running, leave no entry. Of the dead jobs, those whose
    // last lease ran out have an entry for the last run.
    let last_run_has_entry = match row.state.as_str() {
        "succeeded" | "running" => false,
        "dead" => epochs.last() == Some(&row.epoch),
        _ => true,
    };
    let wanted: Vec<i32> = (1..=if last_run_has_entry { row.epoch } else { row.epoch - 1 }).collect();
    if epochs != wanted {
        wrong(format!("claimed {} times, but its trail has the epochs {epochs:?}", row.epoch));
    }
    if usize::try_from(row.crashes) != Ok(expired) {
        wrong(format!("{} crashes, but {expired} lost leases in its trail", row.crashes));
    }
    if usize::try_from(row.epoch - row.attempt) != Ok(given_back) {
        wrong(format!("{} attempts in {} claims, {given_back} of them given back", row.attempt, row.epoch));
    }
    match row.state.as_str() {
        "dead" if row.crashes < row.max_crashes && row.attempt < row.max_attempts => {
            wrong(format!("dead after {} of {} crashes", row.crashes, row.max_crashes));
        }
        "cancelled" if !may_be_cancelled => wrong("nobody cancelled it".to_owned()),
        "succeeded" if row.result != Some(row.epoch) => {
            findings.twice.push(format!("{}: run {} has the result of run {:?}", row.id, row.epoch, row.result));
        }
        _ => {}
    }
}
