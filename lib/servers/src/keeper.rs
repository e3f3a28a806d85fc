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
pub(crate) enum DeathSignal {
    /// End at once; works on a stopped process too.
    Kill,
    /// PostgreSQL's immediate shutdown: its own children are told, shared memory is given back.
    Quit,
}

impl DeathSignal {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Quit => "QUIT",
        }
    }
}

/// The parent may be gone before `setpriv` has asked for the signal; the child would then never get one. So
/// it looks, after asking, whether its parent is still the one that started it.
const LOOK_AFTER_PARENT: &str = r#"[ "$PPID" = "$0" ] || exit 1; exec "$@""#;

/// A command that runs `program`, which gets `signal` when this process ends in any way. Started by [`spawn`].
pub(crate) fn tied(setpriv: &Path, privileges: &[String], signal: DeathSignal, program: &Path) -> Command {
    let mut command = Command::new(setpriv);
    command.args(privileges).args(["--pdeathsig", signal.name(), "--", "/bin/sh", "-c", LOOK_AFTER_PARENT]);
    command.arg(std::process::id().to_string()).arg(program);
    command
}

/// Starts a command from the thread that lives as long as the process, in a process group of its own: a
/// Ctrl-C in the terminal then reaches only this process, which stops the others in its own order.
///
/// # Errors
/// When the program cannot be run.
pub fn spawn(mut command: Command) -> io::Result<Child> {
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
