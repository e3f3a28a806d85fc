//! Commands as handlers: the payload on standard input, standard output the result, the exit code the outcome.
//!
//! | exit code | outcome |
//! | --- | --- |
//! | 0 | succeeded; standard output is the result |
//! | 75 | try again later, no attempt spent |
//! | 65 | never will: dead at once |
//! | any other, or a signal | failed, retried with backoff |
//!
//! *The result* is the JSON on standard output where it is one JSON value, else a string of all that was written, to the
//! letter, with bytes that are no UTF-8 replaced by U+FFFD; nothing written is no result. A command that writes more than
//! a result may hold is stopped at once, and its job is dead: it would do the same again.
//!
//! *The error text* is the end of standard error.
//!
//! *Processes.* Each command leads a process group of its own. To stop it, the group gets TERM and after the grace KILL; an
//! exit code of 0 after a TERM is not taken for success, since many programs end so when they are interrupted. What is
//! left of the group when its leader has ended is killed: a job is over when it says so. On Linux the commands of a worker
//! that is itself killed with KILL end too (`guard`).
//!
//! *The environment* is that of the worker without its settings (`environment`).
//!
//! *What the worker lacks* (file descriptors, processes, memory, a shell, a folder) is not the job's fault (`lack`): the job is
//! given back, and the worker takes fewer.

mod command;
mod environment;
mod guard;
mod lack;
mod output;
mod process;

pub use command::{Exec, ExecError};
pub use environment::PassedEnv;
