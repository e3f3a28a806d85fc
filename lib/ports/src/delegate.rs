//! One table of all calls, with which a store implements the ports: each call is the function of the store with the
//! same name.
//!
//! A store that has all functions of its role, with the same arguments as the traits, needs only one line:
//! `delegate_store!(Store)` or `delegate_head!(Handoff)`. Its own error type must convert into [`Error`](crate::Error).
//! A store that makes all calls in another way names its own macro: `delegate_store!(MemoryStore, call_rows)`.

/// The types that the table names, without the ports.
#[doc(hidden)]
pub mod names {
    pub use crate::{
        Admitted, BlockingTake, CancelWanted, Cancelled, Deferred, DueSchedules, Enqueued, Error, Expiry, Extended,
        Fill, Filled, Fingerprints, Finished, Fire, FireOutcome, Front, FrontHeld, HeadStats, Hint, HintPlace,
        JobMoment, JobStatus, Kinds, Lapsed, LastServed, Lease, Line, LinePosition, LineSummary, LoadQuestion, Notice,
        Placed, Promoted, Pushed, QueueLoad, Renewed, Reorder, Reordered, Repair, Retained, Revived, Served,
        SettledRuns, Share, Slice, Snapshot, Stretch, Survey, Swept, Tail, Taken, Uptime, Waiting, WorkerRecord,
    };
    pub use async_trait::async_trait;
    pub use chrono::{DateTime, Utc};
    pub use leasehold_core::{
        ClaimedJob, Fence, FinishedRun, Graph, JobId, JobRecord, Kind, NewJob, Parent, Place, QueueName, Report,
        WorkerId,
    };
    pub use serde_json::value::RawValue;
    pub use std::{boxed::Box, option::Option, result::Result, string::String, sync::Arc, time::Duration, vec::Vec};
    pub use tokio::sync::mpsc;
    pub use uuid::Uuid;
}

#[doc(hidden)]
#[macro_export]
macro_rules! port {
    ($store:ty: $port:ident {
        $($(fn $quick:ident(&self) -> $value:ty;)+)?
        $(async fn $verb:ident(&self $(, $name:ident: $of:ty)* $(,)?) -> $answer:ty;)*
    }) => {
        // Outside of the impl no port is in scope: a function that the store lacks is an error here. Inside, the call would
        // be one of the port itself, without end.
        $(const _: () = {
            let _ = <$store>::$verb;
        };)*

        #[async_trait]
        impl $crate::$port for $store {
            $($(fn $quick(&self) -> $value {
                <$store>::$quick(self)
            })+)?
            $(async fn $verb(&self $(, $name: $of)*) -> Result<$answer, Error> {
                Ok(<$store>::$verb(self $(, $name)*).await?)
            })*
        }
    };
}

/// Implements all ports of clients, workers and reapers to the authority for a store.
#[macro_export]
macro_rules! delegate_store {
    ($store:ty) => {
        const _: () = {
            use $crate::port;
            $crate::delegate_store!($store, port);
        };
    };
    ($store:ty, $port:ident) => {
        const _: () = {
            #[allow(clippy::wildcard_imports, reason = "the names of the table")]
            use $crate::delegate::names::*;

            $port! {
                $store: Jobs {
                    async fn enqueue(&self, jobs: &[NewJob]) -> Vec<Enqueued>;
                    async fn admit_fair(&self, queue: &QueueName, keys: &[String]) -> Vec<Waiting>;
                    async fn cancel(&self, ids: &[JobId]) -> Vec<Cancelled>;
                    async fn revive(&self, ids: &[JobId]) -> Vec<Revived>;
                    async fn place(&self, ids: &[JobId], place: &Place) -> Vec<Placed>;
                    async fn job(&self, id: JobId) -> Option<JobRecord>;
                    async fn finished(&self, ids: &[JobId]) -> Vec<Finished>;
                    async fn pause(&self, queue: &QueueName) -> bool;
                    async fn resume(&self, queue: &QueueName) -> bool;
                    async fn pause_kind(&self, queue: &QueueName, kind: &Kind) -> bool;
                    async fn resume_kind(&self, queue: &QueueName, kind: &Kind) -> bool;
                    async fn set_priority_step(&self, queue: &QueueName, step: Duration) -> u64;
                    async fn purge(&self, queue: &QueueName, limit: i64) -> Vec<JobId>;
                }
            }
            $port! {
                $store: ExplainJobs {
                    async fn job_moment(&self, id: JobId) -> Option<JobMoment>;
                    async fn position(&self, id: JobId, limit: i64) -> Option<i64>;
                }
            }
            $port! {
                $store: CountLoads {
                    async fn queue_loads(&self, questions: &[LoadQuestion], draining: &[WorkerId]) -> Vec<QueueLoad>;
                }
            }
            $port! {
                $store: Graphs {
                    async fn enqueue_graph(&self, jobs: &[NewJob]) -> Vec<Enqueued>;
                    async fn graph(&self, id: JobId, limit: i64) -> Graph;
                }
            }
            $port! {
                $store: ReadParents {
                    async fn parents(&self, id: JobId, results_max: usize) -> Vec<Parent>;
                }
            }
            $port! {
                $store: Encrypt {
                    async fn encrypt_result(&self, id: JobId, result: &RawValue) -> Box<RawValue>;
                    async fn encrypt_jobs(&self, jobs: &[NewJob]) -> Vec<NewJob>;
                }
            }
            $port! {
                $store: Claims {
                    async fn claim(
                        &self, worker: WorkerId, queue: &QueueName, ids: &[JobId], kinds: &Kinds, lease: Duration
                    ) -> Vec<ClaimedJob>;
                    async fn claim_careful(
                        &self, worker: WorkerId, queue: &QueueName, ids: &[JobId], kinds: &Kinds, limit: usize, lease: Duration
                    ) -> Vec<ClaimedJob>;
                    async fn claim_line(
                        &self, worker: WorkerId, queue: &QueueName, kinds: &Kinds, limit: i64, lease: Duration, with_crashed: bool
                    ) -> Vec<ClaimedJob>;
                    async fn is_strict(&self, queue: &QueueName) -> bool;
                    async fn next_token(&self, queue: &QueueName, kinds: &Kinds) -> Option<Duration>;
                    async fn queues_in_line(&self, queues: &[QueueName]) -> Vec<QueueName>;
                }
            }
            $port! {
                $store: LookUp {
                    async fn look(&self, ids: &[JobId], kinds: &Kinds) -> Vec<JobStatus>;
                }
            }
            $port! {
                $store: Renewals {
                    async fn renew(&self, worker: WorkerId, runs: &[Fence], lease: Duration) -> Vec<Renewed>;
                    async fn held(&self, worker: WorkerId) -> Vec<Lease>;
                    async fn ping(&self) -> ();
                }
            }
            $port! {
                $store: ReportProgress {
                    async fn report(&self, worker: WorkerId, reports: &[Report]) -> ();
                }
            }
            $port! {
                $store: Settles {
                    async fn settle(&self, worker: WorkerId, runs: &[FinishedRun]) -> SettledRuns;
                    async fn defer(&self, ends: &[Deferred]) -> ();
                }
            }
            $port! {
                $store: DeferredSettles {
                    async fn deferred(&self, limit: i64) -> Vec<Deferred>;
                    async fn deferred_done(&self, runs: &[Fence]) -> ();
                }
            }
            $port! {
                $store: ReadLine {
                    async fn survey(&self, queue: Option<&QueueName>) -> Survey;
                    async fn lines(&self, fronts: &[Front]) -> Vec<(Line, Vec<Stretch>)>;
                    async fn line(&self, queue: &QueueName, stretches: &[Stretch], limit: i64) -> (Line, Vec<Stretch>);
                    async fn line_after(&self, queue: &QueueName, kinds: &Kinds, after: &LinePosition, limit: i64) -> Line;
                    async fn paused(&self) -> Vec<QueueName>;
                    async fn paused_kinds(&self, queue: Option<&QueueName>) -> Vec<(QueueName, Kind)>;
                }
            }
            $port! {
                $store: LineChanges {
                    async fn fingerprint(&self, slices: &[Slice], limit: i64) -> Fingerprints;
                    async fn survey_slices(&self, slices: &[Slice]) -> Vec<Vec<LineSummary>>;
                }
            }
            $port! {
                $store: DueJobs {
                    async fn expire_except(
                        &self, limit: i64, since: Option<DateTime<Utc>>, spared: &[JobId], soon: Duration
                    ) -> Expiry;
                    async fn promote(&self, limit: i64, since: Option<DateTime<Utc>>) -> Promoted;
                    async fn promote_share(&self, limit: i64, after: Option<&QueueName>, queues: i64) -> Share;
                    async fn apply_limits(&self) -> bool;
                    async fn admit_next(&self, after: &str, keys: i32, limit: i32) -> Admitted;
                    async fn admit_tokens(&self, limit: i32) -> Vec<Waiting>;
                    async fn admit_fair_next(&self, after: &str, queues: i32) -> Admitted;
                    async fn tell_children(&self, limit: i64, until: DateTime<Utc>) -> Vec<Waiting>;
                    async fn lapse(&self, limit: i64) -> Vec<Lapsed>;
                    async fn end_batches(&self, limit: i64) -> Vec<Waiting>;
                    async fn release_undelivered(&self, limit: i64) -> Vec<Waiting>;
                    async fn cancel_wanted(&self, limit: i64) -> Vec<CancelWanted>;
                }
            }
            $port! {
                $store: Reorders {
                    async fn reorders(&self) -> Vec<Reorder>;
                    async fn reorder_line(&self, queue: &QueueName, after: Option<JobId>, limit: i64) -> Reordered;
                    async fn reorder_jobs(&self, queue: &QueueName, ids: &[JobId]) -> Reordered;
                    async fn reorder_done(&self, queue: &QueueName, since: i64) -> ();
                }
            }
            $port! {
                $store: Schedules {
                    async fn due_schedules(&self, limit: i64, since: Option<DateTime<Utc>>) -> DueSchedules;
                    async fn fire_schedules(&self, fires: &[Fire]) -> Vec<FireOutcome>;
                }
            }
            $port! {
                $store: Upkeep {
                    async fn uptime(&self) -> Uptime;
                    async fn keep_watch(&self) -> ();
                    async fn leases(&self, limit: i64, since: Option<DateTime<Utc>>) -> Vec<Lease>;
                    async fn note_repairs(&self, repair: &Repair) -> Vec<JobId>;
                    async fn retain(&self, keep: Duration) -> Retained;
                    async fn fold_counts(&self) -> u64;
                    async fn roll_up_minutes(&self) -> u64;
                    async fn recount(&self) -> bool;
                }
            }

            impl From<$store> for Arc<dyn $crate::ClientStore> {
                fn from(store: $store) -> Self {
                    Arc::new(store)
                }
            }

            impl From<$store> for Arc<dyn $crate::WorkerStore> {
                fn from(store: $store) -> Self {
                    Arc::new(store)
                }
            }

            impl From<$store> for Arc<dyn $crate::ReaperStore> {
                fn from(store: $store) -> Self {
                    Arc::new(store)
                }
            }
        };
    };
}

/// Implements all ports of clients, workers and reapers to the head for a store of hints.
#[macro_export]
macro_rules! delegate_head {
    ($head:ty) => {
        const _: () = {
            #[allow(clippy::wildcard_imports, reason = "the names of the table")]
            use $crate::delegate::names::*;

            const _: () = {
                let _ = (<$head>::taker, <$head>::with_hints, <$head>::take, <$head>::hold, <$head>::set_aside);
            };

            #[async_trait]
            impl $crate::TakeHints for $head {
                async fn taker(&self, queue: &QueueName) -> Result<Box<dyn BlockingTake>, Error> {
                    Ok(Box::new(<$head>::taker(self, queue).await?))
                }

                async fn with_hints(&self, queues: &[QueueName]) -> Result<Vec<QueueName>, Error> {
                    Ok(<$head>::with_hints(self, queues).await?)
                }

                async fn take(
                    &self,
                    queue: &QueueName,
                    adopt: &[JobId],
                    kinds: &[Kind],
                    limit: u32,
                    lease: Duration,
                ) -> Result<Taken, Error> {
                    Ok(<$head>::take(self, queue, adopt, kinds, limit, lease).await?)
                }

                async fn hold(&self, queue: &QueueName, ids: &[JobId], lease: Duration) -> Result<(), Error> {
                    Ok(<$head>::hold(self, queue, ids, lease).await?)
                }

                async fn set_aside(&self, queue: &QueueName, kind: &Kind, hints: &[Hint]) -> Result<(), Error> {
                    Ok(<$head>::set_aside(self, queue, kind, hints).await?)
                }
            }
            $crate::port! {
                $head: HintLeases {
                    async fn renew(&self, runs: &[(QueueName, Vec<JobId>)], lease: Duration) -> ();
                    async fn ack(&self, hints: &[(QueueName, Vec<JobId>)]) -> ();
                    async fn release(&self, queue: &QueueName, hints: &[Hint]) -> ();
                    async fn forget(&self, queue: &QueueName, members: &[Vec<u8>]) -> ();
                }
            }
            $crate::port! {
                $head: FillHead {
                    fn head_max(&self) -> u32;
                    async fn served_kinds(&self, queue: &QueueName) -> Served;
                    async fn asides(&self, queue: &QueueName) -> Vec<(Kind, u64, bool)>;
                    async fn served_in(&self, queues: &[QueueName]) -> Vec<(Served, Vec<Kind>)>;
                    async fn tail(&self, queue: &QueueName) -> Tail;
                    async fn fill_all(&self, fills: &[Fill]) -> Vec<Filled>;
                    async fn begin_readings(&self, queues: &[QueueName]) -> Vec<u64>;
                    async fn extend(
                        &self, queue: &QueueName, reading: u64, from: &str, to: &str, hints: &[Hint]
                    ) -> Extended;
                    async fn keep_scan_start(&self, queue: &QueueName, scan_start: &str, kept_for: Option<Duration>) -> ();
                    async fn lock_fill(&self, queue: &QueueName, ttl: Duration) -> bool;
                    async fn unlock_fill(&self, queue: &QueueName) -> ();
                    async fn stats(&self, queue: &QueueName) -> HeadStats;
                }
            }
            $crate::port! {
                $head: LookAtHeads {
                    async fn noted_queues(&self) -> Vec<QueueName>;
                    async fn unnote(&self, queues: &[QueueName]) -> ();
                    async fn look(&self, queues: &[QueueName]) -> Vec<Option<HeadStats>>;
                    async fn snapshot(&self, queue: &QueueName) -> Snapshot;
                    async fn compare(&self, queue: &QueueName, front: &[Hint]) -> FrontHeld;
                }
            }
            $crate::port! {
                $head: PushHints {
                    async fn push(&self, queue: &QueueName, hints: &[Hint]) -> Pushed;
                }
            }
            $crate::port! {
                $head: RepairHead {
                    async fn place(&self, queue: &QueueName, hints: &[Hint]) -> Pushed;
                    async fn adopt(&self, queue: &QueueName, lease: Duration) -> u32;
                    async fn expired(&self, queue: &QueueName, limit: u32) -> Vec<JobId>;
                    async fn sweep(&self, queue: &QueueName) -> Swept;
                    async fn clear(&self, queue: &QueueName) -> ();
                    async fn pause(&self, queue: &QueueName) -> ();
                    async fn resume(&self, queue: &QueueName) -> ();
                }
            }
            $crate::port! {
                $head: HearNotices {
                    fn listen(&self) -> mpsc::Receiver<Notice>;
                }
            }
            $crate::port! {
                $head: FindHints {
                    async fn find_hint(&self, queue: &QueueName, id: JobId) -> HintPlace;
                }
            }
            $crate::port! {
                $head: HearEnds {
                    fn listen_to_ends(&self) -> mpsc::Receiver<Vec<JobId>>;
                }
            }
            $crate::port! {
                $head: TellEnds {
                    async fn tell_ends(&self, ids: &[JobId]) -> ();
                }
            }
            $crate::port! {
                $head: SendNotices {
                    async fn notify(&self, notices: &[Notice]) -> ();
                }
            }
            $crate::port! {
                $head: WorkerRegistry {
                    async fn check(&self) -> ();
                    async fn announce(&self, worker: &WorkerRecord, ttl: Duration) -> ();
                    async fn note_served(&self, worker: &WorkerRecord) -> ();
                    async fn withdraw(&self, worker: &WorkerRecord) -> ();
                }
            }
            $crate::port! {
                $head: ListWorkers {
                    async fn workers(&self) -> Vec<WorkerRecord>;
                    async fn last_served(&self, queue: &QueueName) -> Vec<LastServed>;
                }
            }
            $crate::port! {
                $head: ReaperRegistry {
                    async fn generation(&self) -> (String, bool);
                    async fn announce_reaper(&self, reaper: Uuid, ttl: Duration) -> ();
                    async fn withdraw_reaper(&self, reaper: Uuid) -> ();
                }
            }

            impl From<$head> for Arc<dyn $crate::ClientHead> {
                fn from(head: $head) -> Self {
                    Arc::new(head)
                }
            }

            impl From<$head> for Arc<dyn $crate::WorkerHead> {
                fn from(head: $head) -> Self {
                    Arc::new(head)
                }
            }

            impl From<$head> for Arc<dyn $crate::ReaperHead> {
                fn from(head: $head) -> Self {
                    Arc::new(head)
                }
            }
        };
    };
}
