//! The calls of each role to the two stores, as traits, with the values that these calls exchange and one error type.
//!
//! The *authority* is PostgreSQL: it holds every job. The *head* is Redis: it holds hints and the leases of hints.
//! Workers and reapers only know these traits. In a fleet `Store` and `Handoff` implement them, in a simulation and in
//! unit tests two stores in memory.
//!
//! Each trait is one task of a caller. A role is the sum of the traits that it needs:
//!
//! | role | of the authority | of the head |
//! | --- | --- | --- |
//! | client | [`ClientStore`] | [`ClientHead`] |
//! | worker | [`WorkerStore`] | [`WorkerHead`] |
//! | reaper | [`ReaperStore`] | [`ReaperHead`] |
//! | operator (`doctor`) | [`OperatorStore`] | [`OperatorHead`] |
//!
//! This crate has no rules. The file in `lib/store/sql/` with the name of the call says what the call does in
//! PostgreSQL; `lua/` and `lib/handoff` say what it does in Redis.

mod claims;
#[doc(hidden)]
pub mod delegate;
mod due;
mod encrypt;
mod ends;
mod error;
mod filling;
mod graphs;
mod hint;
mod hints;
mod jobs;
mod line;
mod line_changes;
mod line_position;
mod loads;
mod notices;
mod operator;
mod pods;
mod pulse;
mod registry;
mod reorders;
mod repairs;
mod roles;
mod runs;
mod schedules;
mod upkeep;

pub use claims::{Claims, JobStatus, Kinds, LookUp};
pub use due::{Admitted, CancelWanted, DueJobs, Expired, Expiry, Lapsed, Promoted, Share, Waiting};
pub use encrypt::Encrypt;
pub use ends::{HearEnds, TellEnds};
pub use error::{Class, Error};
pub use filling::{EXTEND_FOR, Extended, Fill, FillHead, Filled, Served, Tail};
pub use graphs::{Graphs, ReadParents};
pub use hint::Hint;
pub use hints::{BlockingTake, FindHints, HintLeases, HintPlace, TakeHints, Taken, WakeTake};
pub use jobs::{
    Cancelled, Enqueued, ExplainJobs, FairShare, Finished, HeldLimit, JobMoment, Jobs, Placed, Revived, RowLocker,
    STRICT_PRIORITY_STEP,
};
pub use line::{Front, Line, LineSummary, ReadLine, Stretch, Survey};
pub use line_changes::{Fingerprint, Fingerprints, LineChanges, Slice};
pub use line_position::{InvalidLinePosition, LinePosition};
pub use loads::{CountLoads, LimitedJobs, LoadQuestion, QueueLoad};
pub use notices::{AWAITED_FOR, DUE_SOON, HearNotices, Notice, SendNotices};
pub use operator::{FindViolations, InspectHead, Violation};
pub use pods::{CostWritten, ELECTED_FOR, Election, Pod, Pods, PodsError};
pub use pulse::Pulse;
pub use registry::{
    HttpWorker, LastServed, ListWorkers, ReaperRegistry, SERVED_REMEMBERED_FOR, WorkerRecord, WorkerRegistry,
};
pub use reorders::{Reorder, Reordered, Reorders};
pub use repairs::{FrontHeld, HeadStats, Held, LookAtHeads, PushHints, Pushed, RepairHead, Snapshot, Stray, Swept};
pub use roles::{
    ClientHead, ClientStore, OperatorHead, OperatorStore, ReaperHead, ReaperStore, WorkerHead, WorkerStore,
};
pub use runs::{Deferred, DeferredSettles, Lease, Renewals, Renewed, ReportProgress, SettledRuns, Settles};
pub use schedules::{DueSchedule, DueSchedules, Fire, FireOutcome, Schedules, TickJob};
pub use upkeep::{Repair, Retained, Upkeep, Uptime};
