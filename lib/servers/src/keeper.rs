//! The one thread that starts child processes, and the wrapper that ends them when this process ends.
//!
//! `PR_SET_PDEATHSIG` sends its signal when the *thread* that forked the child ends, not when the process ends. A child
//! that was started from a test's thread or from an executor's thread would be killed when this thread ends, while
//! others still use the child. So one thread that lives as long as the process starts all children.

use std::{
    io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command},
    sync::{OnceLock, mpsc},
    thread,
};

/// The signal for a child when this process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeathSignal {
    /// SIGKILL: the child ends immediately, even if it is stopped.
    Kill,
    /// SIGQUIT: PostgreSQL's immediate shutdown, which also ends its own children and releases shared memory.
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

/// The parent may end before `setpriv` has requested the signal; the child would then never get a signal. So after the
/// request the child checks whether its parent is still the process that started it.
const LOOK_AFTER_PARENT: &str = r#"[ "$PPID" = "$0" ] || exit 1; exec "$@""#;

/// A command that runs `program`. The program gets `signal` when this process ends in any way. Start it with [`spawn`].
pub(crate) fn tied(setpriv: &Path, privileges: &[String], signal: DeathSignal, program: &Path) -> Command {
    let mut command = Command::new(setpriv);
    command.args(privileges).args(["--pdeathsig", signal.name(), "--", "/bin/sh", "-c", LOOK_AFTER_PARENT]);
    command.arg(std::process::id().to_string()).arg(program);
    command
}

/// Starts a command from the thread that lives as long as the process. The child gets its own process group: Ctrl-C in
/// the terminal then reaches only this process, which stops its children in the right order.
///
/// # Errors
/// The program cannot be started.
pub fn spawn(mut command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static KEEPER: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (orders, incoming) = mpsc::channel::<Order>();
        // The loop never ends, because the sender is static. If the thread cannot be created, the send below fails and
        // reports it.
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
