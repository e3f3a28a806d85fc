//! Announces in Redis what the claims of a lane wait for, as a worker does: the fill of a head leaves out kinds that nobody serves.

use super::waiter::Groups;
use chrono::{DateTime, SecondsFormat, Utc};
use leasehold_core::{Kind, QueueName, WorkerId};
use leasehold_ports::{Kinds, WorkerHead, WorkerRecord};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The time between two announcements, and how long one is valid: as for other workers.
pub(super) const EVERY: Duration = Duration::from_secs(3);
const HOLDS_FOR: Duration = Duration::from_secs(10);
/// A client that works on its jobs claims nothing for a while. Its kinds count as served for this time.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

/// The announcement of one lane.
#[derive(Debug)]
pub(super) struct Announcement {
    id: WorkerId,
    queue: QueueName,
    started_at: DateTime<Utc>,
    /// When somebody last waited for a kind; `None` stands for every kind.
    kinds: BTreeMap<Option<Kind>, Instant>,
    due: Instant,
}

impl Announcement {
    pub(super) fn new(queue: QueueName) -> Self {
        let (id, started_at) = (WorkerId::new(), Utc::now());
        Self { id, queue, started_at, kinds: BTreeMap::new(), due: Instant::now() }
    }

    /// When to announce next.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }

    /// Announces, if it is time or if a new kind is waited for. A failure is found by the next call to Redis too.
    pub(super) fn tell(&mut self, groups: &Groups, head: &Arc<dyn WorkerHead>) {
        let now = Instant::now();
        let mut is_new = false;
        for group in &groups.0 {
            match &group.kinds {
                Kinds::All => is_new |= self.kinds.insert(None, now).is_none(),
                Kinds::Only(kinds) => {
                    for kind in kinds {
                        is_new |= self.kinds.insert(Some(kind.clone()), now).is_none();
                    }
                }
            }
        }
        if !is_new && now < self.due {
            return;
        }
        self.due = now + EVERY;
        self.kinds.retain(|_, seen| now - *seen < REMEMBERED_FOR);
        if self.kinds.is_empty() {
            return;
        }
        let waiting: usize = groups.0.iter().map(|group| group.waiters.len()).sum();
        let (record, head) = (self.record(waiting), Arc::clone(head));
        tokio::spawn(async move {
            if let Err(error) = head.announce(&record, HOLDS_FOR).await {
                tracing::debug!(%error, "HTTP workers were not announced");
            }
        });
    }

    /// Withdraws the announcement.
    pub(super) async fn withdraw(&self, head: &Arc<dyn WorkerHead>) {
        if let Err(error) = head.withdraw(&self.record(0)).await {
            tracing::debug!(%error, "the announcement was not withdrawn; it expires by itself");
        }
    }

    fn record(&self, waiting: usize) -> WorkerRecord {
        let kinds: Option<Vec<Kind>> =
            if self.kinds.contains_key(&None) { None } else { Some(self.kinds.keys().flatten().cloned().collect()) };
        WorkerRecord {
            id: self.id,
            // For people to read: nothing is decided by these values.
            host: std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned(),
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at.to_rfc3339_opts(SecondsFormat::Millis, true),
            queues: vec![(self.queue.clone(), u32::try_from(waiting.max(1)).unwrap_or(u32::MAX))],
            kinds,
            running: 0,
        }
    }
}
