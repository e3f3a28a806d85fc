//! One worker of the fleet: takes hints, claims, runs handlers, keeps the leases alive, settles, and stops gracefully.
//!
//! One run is the pipeline `take → claim → resolve → run → classify → settle → ack`:
//!
//! | step | where |
//! | --- | --- |
//! | take, claim | `queue_loop`: when to do which; `take`: the blocking wait, for a hint or for the bell; `claim`: hints into jobs; `refused`: hints that are none; `unanswered`: claims without an answer |
//! | resolve, run, classify | `attempt`; `capacity`: how many are held, and when one may begin |
//! | settle, ack | `settler`, `hints` |
//!
//! Beside it: `filling` brings more of the line into a low head, `heartbeat` renews the leases of all runs, `notices` hears of cancels, `registry` says that the worker
//! lives, `shortage` has it take fewer jobs while it lacks something,
//! `watch` shows from beside what it does, `worker` puts the parts together and stops them in order.
//!
//! PostgreSQL decides about everything. Redis only says where to look first, so each error of Redis leads to another
//! way (`queue_loop` claims from the line), never to a lost job.

mod attempt;
mod capacity;
mod claim;
mod counters;
mod exec;
mod filling;
mod handler;
mod health;
mod heartbeat;
mod jitter;
mod notices;
mod parked;
mod queue_loop;
mod refused;
mod registry;
mod run;
mod runs;
mod settings;
mod settled_hints;
mod settler;
mod shortage;
mod take;
mod unanswered;
mod wait;
mod watch;
mod worker;
mod worker_state;

pub use counters::Tally;
pub use exec::{Exec, ExecError, PassedEnv};
pub use handler::{Handler, Handlers, STOP_TIMEOUT};
pub use run::{MissingState, Run, State, StopReason};
pub use settings::Settings;
pub use watch::{Slots, Watch};
pub use worker::Worker;
