//! The results of the checks: the number of checks, the suspicions, the findings, and notes for an operator.

use leasehold_core::{Drift, JobId, QueueName};
use serde::Serialize;
use std::collections::BTreeMap;

/// One check: its name, which describes a healthy system, and the store that it checks.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) store: &'static str,
    pub(super) advice: &'static str,
}

/// The subject of a suspicion.
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

/// One problem.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The name of the check.
    pub check: String,
    /// The kind of drift. The counters of the reaper use the same name.
    pub kind: Drift,
    /// The queue of the finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueName>,
    /// The job of the finding.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job: Option<JobId>,
    /// Where doctor found the problem: `postgres`, `redis` or `both`.
    pub store: &'static str,
    /// A description of the problem.
    pub detail: String,
    /// The advice, if an operator must act.
    pub advice: String,
}

/// A problem, or something that only changed during the reading.
#[derive(Clone, Debug)]
pub(super) struct Suspicion {
    pub(super) finding: Finding,
    /// The subject. If the next reading has the same suspicion about the same subject, it becomes a finding.
    subject: String,
}

impl Suspicion {
    pub(super) fn is_same_as(&self, other: &Self) -> bool {
        self.finding.kind == other.finding.kind && self.subject == other.subject
    }
}

/// The results of one reading.
#[derive(Debug, Default)]
pub(super) struct Notebook {
    pub(super) looked_at: BTreeMap<&'static str, (&'static str, u64)>,
    pub(super) suspicions: Vec<Suspicion>,
    pub(super) notes: Vec<String>,
}

impl Notebook {
    /// The check was made on this number of things.
    pub(super) fn looked(&mut self, check: &Check, things: usize) {
        self.looked_at.entry(check.name).or_insert((check.store, 0)).1 += things as u64;
    }

    /// The check suspects drift of this kind. `subject` is the same text at every reading; `detail` may differ.
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

    /// No problem, but interesting for an operator.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }
}
