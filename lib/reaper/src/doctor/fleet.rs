//! Checks the system as a whole, or one store alone: rows, expired leases, the generation, live reapers.

use super::{
    evidence::Evidence,
    notebook::{About, Check, Notebook},
};
use leasehold_core::{Drift, JobId};
use leasehold_ports::RowLocker;

/// A reaper ends an expired lease within a few ticks. If a lease is overdue for this time, no reaper has ended it.
const OVERDUE_MS: i64 = 3_000;

const ROWS: Check = Check {
    name: "rows keep the invariants",
    store: "postgres",
    advice: "no statement of Leasehold writes such a row: find out who wrote to the tables by hand, \
             and compare with the CHECK constraints of the migrations",
};
/// The same for rows that wait for a reaper.
const UNTENDED: Check = Check {
    name: "no row waits for a reaper",
    store: "postgres",
    advice: "if a session has locked the row, end its transaction; else check that a reaper runs and reaches PostgreSQL: its log \
             says which actions failed",
};
/// The checks of the store for which a reaper is responsible.
const OF_THE_REAPER: [&str; 7] = [
    "lease_long_expired",
    "scheduled_long_due",
    "schedule_long_due",
    "overdue_and_waiting",
    "partition_missing",
    "default_partition_used",
    "blocked_without_cause",
];
const SCHEDULES: Check = Check {
    name: "schedules make their jobs",
    store: "postgres",
    advice: "correct the schedule with `leasehold schedule set`; `leasehold schedule show` has the reason",
};
/// The checks of the store that an operator's schedule can fail.
const OF_SCHEDULES: [&str; 1] = ["schedule_makes_no_job"];
const COUNTS: Check = Check {
    name: "the counts of jobs are those of the rows",
    store: "postgres",
    advice: "`leasehold doctor --repair` counts all jobs anew, while the fleet works; find out who has switched off the triggers of \
             leasehold.job or changed the counts by hand",
};
/// The checks of the store that compare counts.
const OF_COUNTS: [&str; 1] = ["counts_differ"];
const INDEXES: Check = Check {
    name: "all indexes are there",
    store: "postgres",
    advice: "make the index again: `leasehold migrate sql` prints its statement. Until then some statements read whole tables, and of a \
             unique index the key may exist twice",
};
/// The checks of the store that look at indexes.
const OF_INDEXES: [&str; 1] = ["index_missing"];
const OVERDUE: Check = Check {
    name: "expired leases are ended",
    store: "postgres",
    advice: "if a session has locked the row, end its transaction; else check that a reaper runs and reaches PostgreSQL: after an \
             outage of PostgreSQL, a reaper first waits for one lease",
};
const GENERATION: Check = Check {
    name: "Redis knows its generation",
    store: "redis",
    advice: "Redis was emptied; the next tick of a reaper fills it from PostgreSQL",
};
const REAPER: Check = Check {
    name: "a reaper is alive",
    store: "redis",
    advice: "start one with `leasehold reaper`: without it nothing expires, no scheduled job comes due \
             and a long line does not flow",
};
const EVICTION: Check = Check {
    name: "Redis evicts nothing",
    store: "redis",
    advice: "set maxmemory-policy to noeviction: each evicted key loses hints or leases",
};

/// The session that keeps a reaper from the job, as the end of a sentence.
fn locked_by(evidence: &Evidence, id: JobId) -> String {
    let Some(RowLocker { pid, application, since }) = evidence.lockers.get(&id) else { return String::new() };
    let name = application.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    let since = since.format("%Y-%m-%d %H:%M:%S UTC");
    format!("; the session of pid {pid}{name} has locked its row, in a transaction that is open since {since}")
}

pub(super) fn check(evidence: &Evidence, notebook: &mut Notebook) {
    let others = [OF_THE_REAPER.len(), OF_SCHEDULES.len(), OF_COUNTS.len(), OF_INDEXES.len()];
    notebook.looked(&ROWS, evidence.checks.len() - others.iter().sum::<usize>());
    notebook.looked(&UNTENDED, OF_THE_REAPER.len());
    notebook.looked(&SCHEDULES, OF_SCHEDULES.len());
    notebook.looked(&COUNTS, OF_COUNTS.len());
    notebook.looked(&INDEXES, OF_INDEXES.len());
    for violation in &evidence.violations {
        let about = violation.id.map_or_else(String::new, |id| format!("job {id}: "));
        let subject = format!("{}/{:?}", violation.check, violation.id);
        let (check, kind) = if OF_THE_REAPER.contains(&violation.check.as_str()) {
            (&UNTENDED, Drift::RowUntended)
        } else if OF_SCHEDULES.contains(&violation.check.as_str()) {
            (&SCHEDULES, Drift::RowBroken)
        } else if OF_COUNTS.contains(&violation.check.as_str()) {
            (&COUNTS, Drift::CountWrong)
        } else if OF_INDEXES.contains(&violation.check.as_str()) {
            (&INDEXES, Drift::RowBroken)
        } else {
            (&ROWS, Drift::RowBroken)
        };
        let whose = About { job: violation.id, queue: None };
        let locked = violation.id.map(|id| locked_by(evidence, id)).unwrap_or_default();
        let detail = format!("{}: {about}{}{locked}", violation.check, violation.detail);
        notebook.suspect(check, kind, whose, subject, detail);
    }

    notebook.looked(&OVERDUE, evidence.runs.len());
    for run in evidence.runs.iter().filter(|run| run.lease_ms_left < -OVERDUE_MS) {
        let overdue_s = -run.lease_ms_left / 1000;
        let detail = format!(
            "job {}: the lease of epoch {} ran out {overdue_s} s ago, and the job is still running{}",
            run.id,
            run.epoch,
            locked_by(evidence, run.id)
        );
        notebook.suspect(
            &OVERDUE,
            Drift::LeaseExpired,
            About::job(&run.queue, run.id),
            format!("{}/{}", run.id, run.epoch),
            detail,
        );
    }

    notebook.looked(&GENERATION, 1);
    if !evidence.generation {
        notebook.suspect(
            &GENERATION,
            Drift::RedisLost,
            About::default(),
            "",
            "Redis has no key `generation`".to_owned(),
        );
    }
    notebook.looked(&REAPER, 1);
    if evidence.reapers == 0 {
        notebook.suspect(
            &REAPER,
            Drift::ReaperMissing,
            About::default(),
            "",
            "no reaper has said that it is alive within the last seconds".to_owned(),
        );
    }
    if let Some(policy) = &evidence.eviction {
        notebook.looked(&EVICTION, 1);
        if policy != "noeviction" {
            notebook.suspect(
                &EVICTION,
                Drift::EvictionAllowed,
                About::default(),
                "",
                format!("maxmemory-policy is {policy}"),
            );
        }
    } else {
        notebook.note(
            "Redis does not tell this user how it evicts (INFO): see to it that maxmemory-policy is noeviction"
                .to_owned(),
        );
    }
}
