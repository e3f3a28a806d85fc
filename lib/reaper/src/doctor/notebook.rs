//! What the checks write down: what they looked at, what they suspect, what a person may want to know.

use super::examination::Finding;
use leasehold_core::{Drift, JobId, QueueName};
use std::collections::BTreeMap;

/// One check: its name, what it says of a healthy system, and where it looks.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) store: &'static str,
    pub(super) advice: &'static str,
}

/// What a suspicion is about.
#[derive(Clone, Debug, Default)]
pub(super) struct About {
    pub(super) queue: Option<QueueName>,
    pub(super) job: Option<JobId>,
}

impl About {
    pub(super) fn queue(queue: &QueueName) -> Self {
        Self { queue: Some(queue.clone()), job: None }
    }

    pub(super) fn job(queue: &QueueName, job: JobId) -> Self {
        Self { queue: Some(queue.clone()), job: Some(job) }
    }
}

/// Something that may be wrong, or only have moved while it was looked at.
#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    pub(super) finding: Finding,
    /// What it is about: seen again about the same, it is no coincidence.
    subject: String,
}

impl Suspicion {
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.finding.kind == other.finding.kind && self.subject == other.subject
    }
}

/// The notes of one look.
#[derive(Debug, Default)]
pub(super) struct Notebook {
    pub(super) looked_at: BTreeMap<&'static str, (&'static str, u64)>,
    pub(super) suspicions: Vec<Suspicion>,
    pub(super) notes: Vec<String>,
}

impl Notebook {
    /// The check was made on so many things.
    pub(super) fn looked(&mut self, check: &Check, things: usize) {
        self.looked_at.entry(check.name).or_insert((check.store, 0)).1 += things as u64;
    }

    /// The check suspects something of this kind. `subject` names it the same way at every look; `detail` may differ.
    pub(super) fn suspect(&mut self, check: &Check, kind: Drift, about: About, subject: impl ToString, detail: String) {
        self.suspicions.push(Suspicion {
            finding: Finding {
                check: check.name.to_owned(),
                kind,
                queue: about.queue,
                job: about.job,
                store: check.store,
                detail,
                advice: check.advice.to_owned(),
            },
            subject: subject.to_string(),
        });
    }

    /// Nothing wrong, but worth knowing.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}
