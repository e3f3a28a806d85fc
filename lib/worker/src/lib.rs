//! The worker: takes hints, claims jobs, runs handlers, renews leases, settles runs, and stops gracefully.
//!
//! One run is the pipeline `take → claim → resolve → run → classify → settle → ack`:
//!
//! | step | where |
//! | --- | --- |
//! | take, claim | `queue_loop`: the order of both; `take`: the blocking wait for a hint or the bell; `claim`: from hints to jobs; `refused`: hints that PostgreSQL refused; `parked`: refused hints that are tried again; `unanswered`: claims without an answer |
//! | resolve, run, classify | `attempt`; `following`: what follows from a success; `capacity`: how many jobs are held, and when a run may begin |
//! | settle, ack | `settler`, `settled_hints` |
//!
//! The other parts: `filling` fills a low head from the line. `heartbeat` renews the leases of all runs. `progress` writes the
//! progress reports of runs. `notices` receives cancel requests. `awaited`: whether clients wait for ends. `registry` announces in
//! Redis that the worker lives. `shortage` and `recovery` make the worker take fewer jobs while it lacks something. `measures`: how
//! long jobs waited and ran. `traces`: the span of a run. `watch` shows the state of the worker to observers. `worker` puts the
//! parts together and stops them in order.
//!
//! PostgreSQL decides about everything. Redis only says which jobs to try first. So an error of Redis never loses a
//! job: the worker then claims from the line in PostgreSQL (`queue_loop`).

mod attempt;
mod awaited;
mod capacity;
mod claim;
mod counters;
mod encryption;
mod exec;
mod filling;
mod following;
mod front;
mod handler;
mod health;
mod heartbeat;
mod jitter;
mod many_queues;
mod measures;
mod notices;
mod parked;
mod progress;
mod queue_loop;
mod recovery;
mod refused;
mod registry;
mod run;
mod runs;
mod settings;
mod settled_hints;
mod settler;
mod shortage;
mod take;
mod traces;
mod unanswered;
mod watch;
mod worker;
mod worker_state;

pub use counters::Tally;
pub use exec::{Exec, ExecError, PassedEnv, ReadJob};
#[doc(hidden)]
pub use following::{followed, judge};
#[doc(hidden)]
pub use front::{Front, Tried};
pub use handler::{Handler, Handlers, STOP_TIMEOUT};
#[doc(hidden)]
pub use health::Health;
#[doc(hidden)]
pub use jitter::{Jitter, Waits};
pub use measures::{CallReading, QueueReading};
#[doc(hidden)]
pub use parked::{Parked, Reason};
#[doc(hidden)]
pub use refused::{Sorted, in_line, sort};
pub use run::{HandlerState, MissingState, ParentsError, Run, StopReason};
pub use settings::Settings;
#[doc(hidden)]
pub use take::{Awaited as AwaitedTake, Take, Took};
pub use watch::{Slots, Watch};
pub use worker::Worker;
