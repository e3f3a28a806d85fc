//! Checks that each head holds the front of its line, and that the flags of each queue are right.

use super::{
    evidence::{Evidence, QueueEvidence},
    notebook::{About, Check, Notebook},
};
use leasehold_core::Drift;
use leasehold_line::{hints_of, missing};
use leasehold_ports::Served;

const FRONT: Check = Check {
    name: "the head holds the front of the line",
    store: "both",
    advice: "the next tick of a reaper pushes these hints; if it does not, read the log of the reaper",
};
const OVERFLOW: Check = Check {
    name: "the overflow flag says whether the line is longer than the head",
    store: "both",
    advice: "the next tick of a reaper corrects the flag; if it does not, read the log of the reaper",
};
const PAUSE: Check = Check {
    name: "the pause flag is the same in Redis and PostgreSQL",
    store: "both",
    advice: "PostgreSQL decides; the next tick of a reaper copies the flag from there",
};

/// How many queues without a worker are named. The other ones are counted.
const NAMED_MAX: usize = 3;

pub(super) fn check(evidence: &Evidence, notebook: &mut Notebook) {
    for check in [&FRONT, &OVERFLOW, &PAUSE] {
        notebook.looked(check, 0);
    }
    for queue in &evidence.queues {
        pause(queue, notebook);
        if !queue.paused {
            front_and_overflow(queue, notebook);
        }
        who_serves(queue, notebook);
    }
    without_workers(&evidence.queues, notebook);
}

fn pause(evidence: &QueueEvidence, notebook: &mut Notebook) {
    let (queue, in_redis) = (&evidence.queue, evidence.head.paused);
    notebook.looked(&PAUSE, 1);
    if evidence.paused != in_redis {
        let says = |paused| if paused { "paused" } else { "not paused" };
        let detail =
            format!("queue {queue} is {} in PostgreSQL and {} in Redis", says(evidence.paused), says(in_redis));
        notebook.suspect(&PAUSE, Drift::PauseFlag, About::queue(queue), queue, detail);
    }
}

fn front_and_overflow(evidence: &QueueEvidence, notebook: &mut Notebook) {
    let (queue, front) = (&evidence.queue, &evidence.front);
    let missing = missing(&front.ids(), &hints_of(&evidence.head), evidence.head.overflow);
    notebook.looked(&FRONT, front.hints.len());
    for id in &missing {
        let detail =
            format!("queue {queue}: job {id} is next in the line in PostgreSQL, but Redis has no hint for the job");
        notebook.suspect(&FRONT, Drift::HintMissing, About::job(queue, *id), format!("{queue}/{id}"), detail);
    }

    notebook.looked(&OVERFLOW, 1);
    let detail = match (front.more, evidence.head.overflow) {
        (true, false) => "the line in PostgreSQL is longer than the head, but the overflow flag in Redis is not set",
        (false, true) if missing.is_empty() => {
            "the head in Redis holds the whole line of PostgreSQL, but the overflow flag in Redis is set"
        }
        _ => return,
    };
    notebook.suspect(&OVERFLOW, Drift::OverflowFlag, About::queue(queue), queue, format!("queue {queue}: {detail}"));
}

fn who_serves(evidence: &QueueEvidence, notebook: &mut Notebook) {
    let queue = &evidence.queue;
    if evidence.kinds.is_empty() {
        return;
    }
    if evidence.paused {
        notebook.note(format!("queue {queue} is paused and has jobs in its line (PostgreSQL)"));
    }
    for kind in evidence.paused_kinds.iter().filter(|kind| evidence.kinds.contains(kind)) {
        notebook.note(format!("queue {queue}: the kind {kind} is paused and has jobs in the line (PostgreSQL)"));
    }
    match &evidence.served {
        // One note names all such queues.
        Served::Unknown | Served::Every => {}
        Served::Only(served) => {
            for kind in evidence.kinds.iter().filter(|kind| !served.contains(kind)) {
                notebook.note(format!(
                    "queue {queue}: jobs of kind {kind} wait (PostgreSQL) and no live worker serves that kind (Redis)"
                ));
            }
        }
    }
}

/// One note for all queues without a worker: a system where no worker runs may have hundreds of queues.
fn without_workers(queues: &[QueueEvidence], notebook: &mut Notebook) {
    let alone = |queue: &&QueueEvidence| !queue.kinds.is_empty() && matches!(queue.served, Served::Unknown);
    let names: Vec<String> = queues.iter().filter(alone).map(|queue| queue.queue.to_string()).collect();
    let named = names.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    let rest = match names.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    match names.len() {
        0 => {}
        1 => notebook.note(format!(
            "queue {named} has jobs in its line (PostgreSQL), but no live worker serves the queue (Redis)"
        )),
        count => notebook.note(format!(
            "{count} queues have jobs in their lines (PostgreSQL), but no live worker serves these queues (Redis): \
             {named}{rest}"
        )),
    }
}
