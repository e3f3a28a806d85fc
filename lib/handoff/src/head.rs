//! What workers and reapers ask of the head of the line, as traits: so that the same worker and the same reaper also run
//! on a head that a simulation holds in memory.
//!
//! Only what they call is here. What operators do is on [`Handoff`] alone.

use crate::{
    connect::Handoff,
    error::Error,
    notices::Notice,
    operator::HeadStats,
    producer::Pushed,
    reaper::{Extended, Fill, Filled, Swept, Tail},
    registry::{Served, WorkerRecord},
    snapshot::Snapshot,
    taker::{Taker, Unblock},
    worker::Taken,
};
use async_trait::async_trait;
use leasehold_core::{JobId, Kind, QueueName};
use std::{fmt, sync::Arc, time::Duration};
use tokio::sync::mpsc;
use uuid::Uuid;

/// A connection that blocks, for a hint or for the bell, as [`Taker`] is one.
#[async_trait]
pub trait BlockingTake: fmt::Debug + Send + Sync {
    /// Waits up to `timeout` for a hint and moves it to `claimed`. To be driven to its end.
    async fn take(&mut self, timeout: Duration) -> Result<Option<JobId>, Error>;
    /// Waits up to `timeout` for the bell: whether it rang. To be driven to its end.
    async fn bell(&mut self, timeout: Duration) -> Result<bool, Error>;
    /// The means to wake it.
    fn unblock(&self) -> Arc<dyn WakeTake>;
}

/// Wakes one that blocks, as [`Unblock`] does.
#[async_trait]
pub trait WakeTake: fmt::Debug + Send + Sync {
    /// Ends the wait that is under way, or the next one.
    async fn wake(&self) -> Result<(), Error>;
}

macro_rules! head {
    ($($(#[$doc:meta])* async fn $verb:ident(&self $(, $name:ident: $of:ty)*) -> $answer:ty;)*) => {
        /// The head of the line, as workers and reapers use it. Each verb is the one of [`Handoff`] with the same name,
        /// with the same errors.
        #[async_trait]
        pub trait Head: fmt::Debug + Send + Sync {
            /// The most hints that the head of one queue may hold.
            fn head_max(&self) -> u32;
            /// Hears what is said to workers.
            fn listen(&self) -> mpsc::Receiver<Notice>;
            /// Waits for hints on a connection of its own.
            async fn taker(&self, queue: &QueueName) -> Result<Box<dyn BlockingTake>, Error>;
            /// Whether the server can do all that is needed of it. A head that no server holds always can.
            async fn check(&self) -> Result<(), Error> {
                Ok(())
            }
            $($(#[$doc])* async fn $verb(&self $(, $name: $of)*) -> Result<$answer, Error>;)*
        }

        #[async_trait]
        impl Head for Handoff {
            fn head_max(&self) -> u32 {
                Handoff::head_max(self)
            }

            fn listen(&self) -> mpsc::Receiver<Notice> {
                Handoff::listen(self)
            }

            async fn taker(&self, queue: &QueueName) -> Result<Box<dyn BlockingTake>, Error> {
                Ok(Box::new(Handoff::taker(self, queue).await?))
            }

            async fn check(&self) -> Result<(), Error> {
                Handoff::check(self).await
            }

            $(async fn $verb(&self $(, $name: $of)*) -> Result<$answer, Error> {
                Handoff::$verb(self $(, $name)*).await
            })*
        }
    };
}

head! {
    /// Hints for jobs just put into the line.
    async fn push(&self, queue: &QueueName, ids: &[JobId], front: bool) -> Pushed;
    /// Tells workers.
    async fn notify(&self, notices: &[Notice]) -> ();
    /// Leases what a blocking take moved, and up to `limit` more hints.
    async fn take(
        &self, queue: &QueueName, adopt: &[JobId], kinds: &[Kind], limit: u32, lease: Duration
    ) -> Taken;
    /// Sets the leases of running jobs.
    async fn renew(&self, runs: &[(QueueName, Vec<JobId>)], lease: Duration) -> ();
    /// Keeps the leases of parked hints.
    async fn hold(&self, queue: &QueueName, ids: &[JobId], lease: Duration) -> ();
    /// Forgets hints whose jobs are no longer in the line.
    async fn ack(&self, hints: &[(QueueName, Vec<JobId>)]) -> ();
    /// Gives hints back to the front.
    async fn release(&self, queue: &QueueName, ids: &[JobId]) -> ();
    /// Keeps leased hints for workers of another kind.
    async fn set_aside(&self, queue: &QueueName, kind: &Kind, ids: &[JobId]) -> ();
    /// The lock under which one worker at a time fills a head.
    async fn lock_fill(&self, queue: &QueueName, ttl: Duration) -> bool;
    /// The fill is done.
    async fn unlock_fill(&self, queue: &QueueName) -> ();
    /// Says that a worker lives and what it serves.
    async fn announce(&self, worker: &WorkerRecord, ttl: Duration) -> ();
    /// Takes that back.
    async fn withdraw(&self, worker: &WorkerRecord) -> ();
    /// Which kinds of a queue the living workers serve.
    async fn served_kinds(&self, queue: &QueueName) -> Served;
    /// Which kinds of some queues are served, and those of which no more hints are kept aside.
    async fn served_in(&self, queues: &[QueueName]) -> Vec<(Served, Vec<Kind>)>;
    /// Every queue that has keys.
    async fn queues(&self) -> Vec<QueueName>;
    /// Every queue that has, or had, keys.
    async fn noted_queues(&self) -> Vec<QueueName>;
    /// Takes the note of queues without keys away.
    async fn unnote(&self, queues: &[QueueName]) -> ();
    /// Some queues in numbers, `None` of those without keys.
    async fn look(&self, queues: &[QueueName]) -> Vec<Option<HeadStats>>;
    /// One queue in numbers.
    async fn stats(&self, queue: &QueueName) -> HeadStats;
    /// One queue, whole.
    async fn snapshot(&self, queue: &QueueName) -> Snapshot;
    /// Takes the hints of a queue away and refuses new ones.
    async fn pause(&self, queue: &QueueName) -> ();
    /// Ends a pause.
    async fn resume(&self, queue: &QueueName) -> ();
    /// Short leases for what lies in `claimed` without one.
    async fn adopt(&self, queue: &QueueName, lease: Duration) -> u32;
    /// Ids whose lease ran out.
    async fn expired(&self, queue: &QueueName, limit: u32) -> Vec<JobId>;
    /// Makes the head match the front of the line.
    async fn fill(&self, queue: &QueueName, ids: &[JobId], more: bool, to: Option<&str>) -> Filled;
    /// The same for several queues.
    async fn fill_all(&self, fills: &[Fill]) -> Vec<Filled>;
    /// How long the head is, and up to where it was filled.
    async fn tail(&self, queue: &QueueName) -> Tail;
    /// Whether Redis holds a hint of each of these.
    async fn holds_all(&self, queue: &QueueName, ids: &[JobId]) -> bool;
    /// Tells others where the line begins.
    async fn keep_scan_start(&self, queue: &QueueName, begins: &str, kept_for: Option<Duration>) -> ();
    /// Appends to the head what follows in the line behind that.
    async fn extend(&self, queue: &QueueName, from: &str, to: &str, ids: &[JobId]) -> Extended;
    /// Makes the lists of a queue and its set of waiting hints agree.
    async fn sweep(&self, queue: &QueueName) -> Swept;
    /// Forgets members wherever they are.
    async fn forget(&self, queue: &QueueName, members: &[Vec<u8>]) -> ();
    /// The kinds set aside, with how many hints, and whether that is as many as are kept.
    async fn asides(&self, queue: &QueueName) -> Vec<(Kind, u64, bool)>;
    /// The generation, and whether it was made now.
    async fn generation(&self) -> (String, bool);
    /// Says that a reaper lives.
    async fn announce_reaper(&self, reaper: Uuid, ttl: Duration) -> ();
    /// Takes that back.
    async fn withdraw_reaper(&self, reaper: Uuid) -> ();
}

#[async_trait]
impl BlockingTake for Taker {
    async fn take(&mut self, timeout: Duration) -> Result<Option<JobId>, Error> {
        Self::take(self, timeout).await
    }

    async fn bell(&mut self, timeout: Duration) -> Result<bool, Error> {
        Self::bell(self, timeout).await
    }

    fn unblock(&self) -> Arc<dyn WakeTake> {
        Arc::new(Self::unblock(self))
    }
}

#[async_trait]
impl WakeTake for Unblock {
    async fn wake(&self) -> Result<(), Error> {
        Self::wake(self).await
    }
}

impl From<Handoff> for Arc<dyn Head> {
    fn from(handoff: Handoff) -> Self {
        Arc::new(handoff)
    }
}
