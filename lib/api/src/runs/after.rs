//! Updates Redis after runs have ended. This only saves time: without it, the reaper would find the same later.

use crate::api::Api;
use leasehold_core::{FinishedRun, JobId, QueueName, Settle, Settled};
use leasehold_ports::{Hint, Notice, Waiting, WorkerHead};
use leasehold_store::RunFacts;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

#[derive(Default)]
struct HintChanges {
    ack: BTreeMap<QueueName, Vec<JobId>>,
    release: BTreeMap<QueueName, Vec<Hint>>,
    push: BTreeMap<QueueName, Vec<Hint>>,
    ended: Vec<JobId>,
    next_due: Option<Duration>,
}

/// Updates Redis, in the background.
pub(super) fn after_settle(
    api: &Api,
    facts: &HashMap<JobId, RunFacts>,
    ends: &[FinishedRun],
    answers: &[Option<Settled>],
    unblocked: Vec<Waiting>,
) {
    let Some(head) = api.dispatcher().head().cloned() else { return };
    let mut hints = HintChanges::default();
    for (end, answer) in ends.iter().zip(answers) {
        if *answer == Some(Settled::Done) {
            hints.add(end, facts, api.dispatcher().ends_are_awaited());
        }
    }
    for job in unblocked.into_iter().filter(|job| job.is_in_line) {
        hints.push.entry(job.queue).or_default().push(Hint::at(job.id, job.line_at));
    }
    let api = api.clone();
    tokio::spawn(async move {
        if let Err(error) = hints.tell(&head).await {
            api.dispatcher().redis_failed(&error);
        }
    });
}

impl HintChanges {
    fn add(&mut self, end: &FinishedRun, facts: &HashMap<JobId, RunFacts>, tell_ends: bool) {
        let id = end.fence.id;
        match &end.settle {
            Settle::Retry { delay, .. } | Settle::Snooze { delay, .. } => self.due(*delay),
            Settle::CompleteThen(success) => {
                success.then.iter().filter_map(|job| job.delay).for_each(|delay| self.due(delay));
            }
            _ => {}
        }
        if tell_ends && end.settle.ending().final_state().is_some() {
            self.ended.push(id);
        }
        let Some(facts) = facts.get(&id) else { return };
        if matches!(end.settle, Settle::Release) {
            self.release.entry(facts.queue.clone()).or_default().push(Hint::at(id, facts.line_at));
        } else {
            self.ack.entry(facts.queue.clone()).or_default().push(id);
        }
    }

    fn due(&mut self, delay: Duration) {
        self.next_due = Some(self.next_due.map_or(delay, |before| before.min(delay)));
    }

    async fn tell(self, head: &Arc<dyn WorkerHead>) -> Result<(), leasehold_ports::Error> {
        let Self { ack, release, push, ended, next_due } = self;
        if !ended.is_empty() {
            head.tell_ends(&ended).await?;
        }
        if !ack.is_empty() {
            head.ack(&ack.into_iter().collect::<Vec<_>>()).await?;
        }
        for (queue, hints) in release {
            head.release(&queue, &hints).await?;
        }
        for (queue, mut hints) in push {
            hints.sort_unstable_by_key(|hint| (hint.line_at, hint.id));
            head.push(&queue, &hints).await?;
        }
        if let Some(due) = next_due.and_then(Notice::due) {
            head.notify(&[due]).await?;
        }
        Ok(())
    }
}
