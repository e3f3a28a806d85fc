//! Commands as handlers. The payload is standard input, the result is standard output, the outcome is the exit code.
//!
//! | exit code | outcome |
//! | --- | --- |
//! | 0 | succeeded; standard output is the result |
//! | 75 | try again later, no attempt spent |
//! | 65 | can never succeed: dead immediately |
//! | any other, or a signal | failed, retried with backoff |
//!
//! *The result* is the JSON value on standard output if the output is exactly one JSON value. Any other output is a
//! string, unchanged, with U+FFFD in place of bytes that are not UTF-8. No output means no result. A command that
//! writes more than a result may hold is stopped immediately and its job is dead, since the next run would write as much.
//!
//! *The error text* is the end of standard error.
//!
//! *Processes.* Each command leads its own process group. To stop a command, the worker sends TERM to the group, and
//! KILL after the grace. An exit code of 0 after a TERM does not count as success, because many programs exit with 0
//! when they are interrupted. When the leader has ended, the rest of the group is killed: a job is over when its
//! command says so. On Linux, the commands of a worker that gets KILL end too (`guard`).
//!
//! *File descriptor 3* (`channel`) takes lines of JSON. `{"progress": 0.4, "note": "…"}` reports how far the command is.
//! `{"enqueue": {…}}` enqueues a job in the transaction that ends this run as succeeded; if the run does not succeed, the job is
//! not made. A line that cannot be read makes the job dead, since the next run would write the same.
//!
//! *The environment* is the environment of the worker, without the settings of the worker (`environment`).
//!
//! *Parents.* If the job waited for other jobs, `LEASEHOLD_PARENTS` names a file with a JSON array: the parents with their states
//! and results (`parents`).
//!
//! *A lack of the worker* (file descriptors, processes, memory, a shell, a folder) is not the fault of the job
//! (`lack`). The job is released, and the worker takes fewer jobs.

mod channel;
mod command;
mod environment;
mod guard;
mod lack;
mod output;
mod parents;
mod process;
mod shell;

pub use channel::ReadJob;
pub use command::{Exec, ExecError};
pub use environment::PassedEnv;
