//! One command from its start to the end of its whole process group.

use crate::{
    exec::{
        guard::Guarded,
        output::{read_all, read_end},
    },
    run::{Run, StopReason},
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    process::ExitStatus,
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStderr, ChildStdin, ChildStdout},
    time::timeout,
};

/// How long the pipes may stay open after the group is gone. Only a process that left the group can hold them; what it
/// writes is not waited for.
const PIPES_MOMENT: Duration = Duration::from_secs(1);

/// How a command came to its end.
#[derive(Debug)]
pub(crate) enum End {
    /// By itself.
    Exited(ExitStatus),
    /// It was stopped, and why.
    Stopped(StopReason),
    /// It was stopped because it wrote too much to standard output.
    TooMuch,
}

/// A command that has ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) end: End,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Feeds the command its payload, reads what it writes, and waits for its end or makes it end. Nothing of its process
/// group is left then, not even when this future is dropped.
pub(crate) async fn run_to_end(mut child: Child, guarded: Guarded, run: &Run, grace: Duration) -> io::Result<Finished> {
    let group = Group::led_by(&child, guarded);
    let pipes = Pipes { stdin: child.stdin.take(), stdout: child.stdout.take(), stderr: child.stderr.take() };
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let end = {
        let talk = pin!(talk(pipes, run.job().payload.get(), &mut stdout, &mut stderr));
        Command { child: &mut child, group, talk, talking: true }.supervise(run, grace).await?
    };
    Ok(Finished { end, stdout, stderr })
}

/// A command at work.
struct Command<'a, T> {
    child: &'a mut Child,
    group: Group,
    /// What goes through its pipes; says in the end whether it wrote too much.
    talk: Pin<&'a mut T>,
    talking: bool,
}

impl<T: Future<Output = bool>> Command<'_, T> {
    async fn supervise(mut self, run: &Run, grace: Duration) -> io::Result<End> {
        let end = tokio::select! {
            biased;
            reason = run.cancelled() => End::Stopped(reason),
            end = self.end() => end?,
        };
        if !matches!(end, End::Exited(_)) {
            self.group.signal(Signal::SIGTERM);
            // Reading goes on: what it says about its end is part of the error text.
            if let Ok(Ok(End::TooMuch)) = timeout(grace, self.end()).await {
                let _ = timeout(grace, self.child.wait()).await;
            }
        }
        self.group.signal(Signal::SIGKILL);
        self.child.wait().await?;
        self.group.over();
        let too_much = self.talking && timeout(PIPES_MOMENT, self.talk.as_mut()).await.unwrap_or(false);
        Ok(if too_much && matches!(end, End::Exited(_)) { End::TooMuch } else { end })
    }

    /// Ready when the process has ended or has written too much.
    async fn end(&mut self) -> io::Result<End> {
        loop {
            tokio::select! {
                too_much = self.talk.as_mut(), if self.talking => {
                    self.talking = false;
                    if too_much {
                        return Ok(End::TooMuch);
                    }
                }
                status = self.child.wait() => return status.map(End::Exited),
            }
        }
    }
}

struct Pipes {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

/// All three pipes until they are closed, or until there was too much on standard output: then they are closed from here.
async fn talk(pipes: Pipes, payload: &str, stdout: &mut Vec<u8>, stderr: &mut Vec<u8>) -> bool {
    let Pipes { stdin: Some(stdin), stdout: Some(from_stdout), stderr: Some(from_stderr) } = pipes else {
        return false;
    };
    let mut reading = pin!(read_all(from_stdout, stdout));
    let mut others = pin!(async { tokio::join!(feed(stdin, payload), read_end(from_stderr, stderr)) });
    tokio::select! {
        too_much = &mut reading => {
            if !too_much {
                others.await;
            }
            too_much
        }
        _ = &mut others => reading.await,
    }
}

/// A command need not read its payload: that it has closed the pipe is no error.
async fn feed(mut stdin: ChildStdin, payload: &str) {
    if let Err(error) = stdin.write_all(payload.as_bytes()).await {
        tracing::debug!(%error, "a command did not read all of its payload");
    }
}

/// The process group of a command, killed when this is dropped before it is over.
struct Group {
    leader: Option<Pid>,
    guarded: Guarded,
}

impl Group {
    fn led_by(child: &Child, guarded: Guarded) -> Self {
        let leader = child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(leader) = leader {
            guarded.leads(leader);
        }
        Self { leader: leader.map(Pid::from_raw), guarded }
    }

    /// Right after the leader was waited for, its id can name only what is left of the group: ids are given out in turn,
    /// and one that still names a group is not given out at all.
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // No such group: all of it has ended.
            let _ = killpg(leader, signal);
        }
    }

    fn over(&mut self) {
        self.leader = None;
        self.guarded = Guarded::none();
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
    }
}
