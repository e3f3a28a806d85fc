//! Redis, the head of the line: hints about which jobs are next, and leases on them. Payloads never
//! come here, and nothing here is needed to know what is true.
//!
//! One file a side of the protocol: who puts jobs into the line (`producer`), who takes them
//! (`worker`, and `taker` for waiting without asking), who puts right what others left (`reaper`), who
//! looks and intervenes (`operator`); beside them who is there (`registry`), what is said (`notices`) and
//! how Redis itself is doing (`fitness`). `head` has the part of all this that workers, reapers and operators call, as the traits of `lib/ports`.
//! Keys are spelled in `keys` only. Scripts live in `lua/` at the top of the repository and are loaded in
//! `scripts` only. What this crate does not do: decide anything. A hint grants nothing.

mod connect;
mod error;
mod fitness;
mod head;
mod health;
mod keys;
mod notices;
mod operator;
mod pool;
mod position;
mod producer;
mod reaper;
mod registry;
mod scripts;
mod snapshot;
mod taker;
mod worker;

pub use connect::{Handoff, Settings};
pub use error::Error;
pub use keys::{InvalidPrefix, KeyPrefix};
pub use leasehold_ports::{
    EXTEND_FOR, Extended, Fill, Filled, HeadStats, Held, Hint, Notice, Pushed, Served, Snapshot, Stray, Swept, Tail,
    Taken, WorkerRecord,
};
pub use taker::{Taker, Unblock};
