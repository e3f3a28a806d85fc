//! Redis, the head of the line: hints about the next jobs, and leases of hints. Payloads are never in Redis, and Redis
//! is never needed to know the state of a job.
//!
//! There is one file for each side of the protocol: `producer` pushes hints, `worker` takes them (`taker` waits for
//! them), `reaper` repairs what other processes left incomplete, `operator` inspects and pauses queues. `registry` has
//! the live workers, `notices` the messages to workers, and `fitness` the condition of the server. `head` implements
//! the traits of `lib/ports` for workers, reapers and operators. Only `keys` builds the names of keys. Only `scripts`
//! loads the scripts, which are in `lua/` at the top of the repository. This crate decides nothing about jobs: a hint
//! grants nothing.

mod connect;
mod ends;
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
pub use ends::EndsHeard;
pub use error::Error;
pub use keys::{InvalidPrefix, KeyPrefix};
pub use leasehold_ports::{
    EXTEND_FOR, Extended, Fill, Filled, HeadStats, Held, Hint, Notice, Pushed, Served, Snapshot, Stray, Swept, Tail,
    Taken, WorkerRecord,
};
pub use taker::{Taker, Unblock};
