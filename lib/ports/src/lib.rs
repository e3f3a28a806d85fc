//! What each caller asks of the two stores, as traits, with the values that pass through them and one error.
//!
//! The *authority* is PostgreSQL: it holds every job. The *head* is Redis: it holds hints and leases on hints. Workers and
//! reapers know these traits only. In a fleet `Store` and `Handoff` implement them, in a simulation two stores in memory.
//!
//! Each trait is one thing that a caller does; a role is the sum of the traits that it needs:
//!
//! | role | of the authority | of the head |
//! | --- | --- | --- |
//! | client | [`Jobs`] | [`RepairHead`], [`SendNotices`] |
//! | worker | [`WorkerStore`] | [`WorkerHead`] |
//! | reaper | [`ReaperStore`] | [`ReaperHead`] |
//! | operator (`doctor`) | [`OperatorStore`] | [`OperatorHead`] |
//!
//! Nothing here decides anything. What a call does in PostgreSQL is said in the file of its name in `lib/store/sql/`, what
//! it does in Redis in `lua/` and `lib/handoff`.

mod claims;
#[doc(hidden)]
pub mod delegate;
mod due;
mod error;
mod filling;
mod hints;
mod jobs;
mod line;
mod line_changes;
mod line_position;
mod look;
mod notices;
mod operator;
mod pulse;
mod registry;
mod repairs;
mod roles;
mod runs;
mod upkeep;

pub use claims::{Claims, Kinds};
pub use due::{CancelWanted, DueJobs, Expired, Expiry, Waiting};
pub use error::{Class, Error};
pub use filling::{EXTEND_FOR, Extended, Fill, FillHead, Filled, Served, Swept, Tail};
pub use hints::{BlockingTake, HintLeases, TakeHints, Taken, WakeTake};
pub use jobs::{Cancelled, Enqueued, Jobs, Revived};
pub use line::{Front, Line, LineSummary, ReadLine, Stretch, Survey};
pub use line_changes::{Fingerprint, Fingerprints, LineChanges, Slice};
pub use line_position::{InvalidLinePosition, LinePosition};
pub use look::{JobStatus, LookUp};
pub use notices::{HearNotices, Notice, SendNotices};
pub use operator::{FindViolations, InspectHead, Violation};
pub use pulse::Pulse;
pub use registry::{ReaperRegistry, WorkerRecord, WorkerRegistry};
pub use repairs::{HeadStats, Held, LookAtHeads, Pushed, RepairHead, Snapshot, Stray};
pub use roles::{OperatorHead, OperatorStore, ReaperHead, ReaperStore, WorkerHead, WorkerStore};
pub use runs::{Deferred, DeferredSettles, Lease, Renewals, Renewed, Settles};
pub use upkeep::{Repair, Retained, Upkeep, Uptime};
