//! The one thread that starts child processes, and the wrapper that ties their life to ours.
//!
//! `PR_SET_PDEATHSIG` sends its signal when the *thread* that forked the child ends, not the process. A child
//! started from a test's thread or from a thread of an executor would be killed when that thread goes, with
//! its users still there. So all of them are started by one thread that lives as long as the process.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command},
    sync::{OnceLock, mpsc},
    thread,
};

/// What a child is sent when this process is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeathSignal {
    /// End at once; works on a stopped process too.
    Kill,
    /// PostgreSQL's immediate shutdown: its own children are told, shared memory is given back.
    Quit,
    /// A request to stop.
    Terminate,
}

impl DeathSignal {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Quit => "QUIT",
            Self::Terminate => "TERM",
        }
    }
}

/// The parent may be gone before `setpriv` has asked for the signal; the child would then never get one. So
/// it looks, after asking, whether its parent is still the one that started it.
const LOOK_AFTER_PARENT: &str = r#"[ "$PPID" = "$0" ] || exit 1; exec "$@""#;

/// A command that runs `program` and cannot outlive this process. Started by [`spawn_tied`].
pub(crate) fn tied(setpriv: &Path, privileges: &[String], signal: DeathSignal, program: &Path) -> Command {
    let mut command = Command::new(setpriv);
    command.args(privileges).args(["--pdeathsig", signal.name(), "--", "/bin/sh", "-c", LOOK_AFTER_PARENT]);
    command.arg(std::process::id().to_string()).arg(program);
    command
}

/// Starts `program` with what `prepare` adds to its command (arguments, environment, files). It is in a
/// process group of its own, so that a Ctrl-C in the terminal reaches only this process, which then stops it
/// in its own order; and it gets `signal` when this process ends in any way.
pub fn spawn_tied(
    setpriv: &Path,
    signal: DeathSignal,
    program: &Path,
    prepare: impl FnOnce(&mut Command),
) -> io::Result<Child> {
    let mut command = tied(setpriv, &[], signal, program);
    prepare(&mut command);
    spawn(command)
}

/// Starts a command from the thread that lives as long as the process, in a process group of its own.
pub(crate) fn spawn(mut command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static KEEPER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (orders, incoming) = mpsc::channel::<Order>();
        // Ends never: the sender is static. If no thread can be made, the send below fails and says so.
        let _ = thread::Builder::new().name("server-keeper".into()).spawn(move || {
            for (mut command, answer) in incoming {
                let _ = answer.send(command.spawn());
            }
        });
        orders
    });
    command.process_group(0);
    let (answer, result) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts processes could not be started");
    keeper.send((command, answer)).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}
