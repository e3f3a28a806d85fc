//! Checks that each hint in Redis fits its job, and that the lists and the set of Redis agree.

use super::{
    evidence::{Evidence, QueueEvidence},
    notebook::{About, Check, Notebook},
};
use leasehold_core::{Drift, HANDOFF_LEASE, JobId};
use leasehold_line::{Fault, audit, hints_of, listed};
use leasehold_ports::{Held, Lease};
use std::collections::{HashMap, HashSet};

const MEND: &str = "a reaper repairs this within a few ticks; if the finding stays, read the log of the reaper";

const WAITING: Check = Check { name: "waiting hints belong to queued jobs", store: "both", advice: MEND };
const AGREE: Check = Check { name: "lists and set of Redis agree", store: "redis", advice: MEND };
const CLAIMED: Check = Check {
    name: "hints that a blocking take moved are leased",
    store: "redis",
    advice: "a reaper gives the hint a lease at its next tick; check that a reaper runs and reaches Redis",
};
const STRAYS: Check = Check {
    name: "Redis holds job ids and nothing else",
    store: "redis",
    advice: "something else writes to these keys; give Leasehold a Redis database of its own, and delete the member",
};
const LEASED: Check = Check { name: "leases in Redis belong to runs", store: "both", advice: MEND };
const UNLEASED: Check = Check { name: "runs have a lease in Redis", store: "both", advice: MEND };

pub(super) fn check(evidence: &Evidence, notebook: &mut Notebook) {
    for check in [&AGREE, &CLAIMED, &STRAYS, &WAITING, &LEASED, &UNLEASED] {
        notebook.looked(check, 0);
    }
    for queue in &evidence.queues {
        agree(queue, notebook);
        fit_their_jobs(queue, &evidence.runs, notebook);
    }
}

fn agree(evidence: &QueueEvidence, notebook: &mut Notebook) {
    let (queue, head) = (&evidence.queue, &evidence.head);
    let held: HashMap<JobId, Held> = head.held.iter().copied().collect();
    let mut listed_once = HashSet::new();
    for id in listed(head) {
        if !listed_once.insert(id) {
            notebook.suspect(
                &AGREE,
                Drift::ListsDisagree,
                About::job(queue, id),
                format!("{queue}/twice/{id}"),
                format!("queue {queue}: {id} is in the lists of waiting hints twice"),
            );
        }
        let wrong = match held.get(&id) {
            None => "is in a list and not in the set of known ids",
            Some(Held::Leased { .. }) => "is in a list and leased",
            Some(Held::Waiting) => continue,
        };
        notebook.suspect(
            &AGREE,
            Drift::ListsDisagree,
            About::job(queue, id),
            format!("{queue}/listed/{id}"),
            format!("queue {queue}: {id} {wrong}"),
        );
    }
    for (id, held) in &head.held {
        if *held == Held::Waiting && !listed_once.contains(id) {
            let detail = format!(
                "queue {queue}: {id} counts as waiting but is in no list, so no worker would ever take the hint"
            );
            notebook.suspect(
                &AGREE,
                Drift::ListsDisagree,
                About::job(queue, *id),
                format!("{queue}/orphan/{id}"),
                detail,
            );
        }
    }
    notebook.looked(&AGREE, head.held.len());

    notebook.looked(&CLAIMED, head.claimed.len());
    for id in &head.claimed {
        let detail = format!("queue {queue}: a blocking take moved the hint {id}, but no worker leased the hint");
        notebook.suspect(&CLAIMED, Drift::HintUnleased, About::job(queue, *id), format!("{queue}/{id}"), detail);
    }
    notebook.looked(&STRAYS, head.held.len() + head.strays.len());
    for stray in &head.strays {
        notebook.suspect(&STRAYS, Drift::Stray, About::queue(queue), stray, format!("queue {queue}: {stray}"));
    }
}

fn fit_their_jobs(evidence: &QueueEvidence, runs: &[Lease], notebook: &mut Notebook) {
    let queue = &evidence.queue;
    let hints = hints_of(&evidence.head);
    let runs: Vec<Lease> = runs.iter().filter(|run| &run.queue == queue).cloned().collect();
    notebook.looked(&WAITING, hints.waiting.len());
    notebook.looked(&LEASED, hints.leased.len());
    notebook.looked(&UNLEASED, runs.len());
    for fault in audit(queue, &hints, &evidence.live, &runs, HANDOFF_LEASE) {
        let (check, is) = match fault {
            Fault::WaitsWithoutJob(_) => (&WAITING, "waits in Redis and is no live job in PostgreSQL".to_owned()),
            Fault::WaitsOutOfLine(_, state) => (&WAITING, format!("waits in Redis but is {state} in PostgreSQL")),
            Fault::LeasedWithoutRun(_) => (&LEASED, "is leased in Redis and does not run in PostgreSQL".to_owned()),
            Fault::LeasedInLine(_) => {
                (&LEASED, "is queued in PostgreSQL and leased in Redis for longer than a hand-off takes".to_owned())
            }
            Fault::RunsUnleased(_) => (&UNLEASED, "runs in PostgreSQL and has no lease in Redis".to_owned()),
        };
        let about = About::job(queue, fault.id());
        notebook.suspect(
            check,
            fault.kind(),
            about,
            format!("{queue}/{fault:?}"),
            format!("queue {queue}: job {} {is}", fault.id()),
        );
    }
}
