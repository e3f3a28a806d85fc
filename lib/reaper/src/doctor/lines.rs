//! Whether each head holds the front of its line, and what the flags of each queue say of it.

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
    advice: "the next tick of a reaper pushes them; if they stay out, look at the reaper's log",
};
const OVERFLOW: Check = Check {
    name: "the overflow flag says whether the line is longer than the head",
    store: "both",
    advice: "the next tick of a reaper sets it right; if it does not, look at the reaper's log",
};
const PAUSE: Check = Check {
    name: "the pause flag in Redis is that of PostgreSQL",
    store: "both",
    advice: "PostgreSQL's counts, and the next tick of a reaper copies it",
};

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
    let missing = missing(&front.ids, &hints_of(&evidence.head), evidence.head.overflow);
    notebook.looked(&FRONT, front.ids.len());
    for id in &missing {
        let detail = format!("queue {queue}: job {id} is next in the line in PostgreSQL and Redis has no hint of it");
        notebook.suspect(&FRONT, Drift::HintMissing, About::job(queue, *id), format!("{queue}/{id}"), detail);
    }

    notebook.looked(&OVERFLOW, 1);
    let detail = match (front.more, evidence.head.overflow) {
        (true, false) => "the line in PostgreSQL is longer than the head, and Redis does not say so",
        (false, true) if missing.is_empty() => {
            "all of the line in PostgreSQL is in Redis, which says that there is more"
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
    match &evidence.served {
        Served::Unknown => {
            notebook
                .note(format!("queue {queue} has jobs in its line (PostgreSQL) and no live worker serves it (Redis)"));
        }
        Served::Every => {}
        Served::Only(served) => {
            for kind in evidence.kinds.iter().filter(|kind| !served.contains(kind)) {
                notebook.note(format!(
                    "queue {queue}: jobs of kind {kind} wait (PostgreSQL) and no live worker serves that kind (Redis)"
                ));
            }
        }
    }
}
