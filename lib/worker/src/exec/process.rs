//! One command from its start to the end of its whole process group.

use crate::{
    exec::{
        channel::Channel,
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

/// How long the pipes may stay open after the group has ended. Only a process that left the group can still hold them.
/// The worker does not wait for the output of such a process.
const PIPES_MOMENT: Duration = Duration::from_secs(1);

/// How a command ended.
#[derive(Debug)]
pub(crate) enum ProcessEnd {
    /// The command ended by itself.
    Exited(ExitStatus),
    /// The command was stopped, for this reason.
    Stopped(StopReason),
    /// The command was stopped because it wrote too much to standard output.
    TooMuch,
}

/// A command that has ended, and its output.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) end: ProcessEnd,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    /// What is wrong with a line on file descriptor 3.
    pub(crate) wrong_line: Option<String>,
}

/// Writes the payload to the command, reads the output, and waits for the command to end, or ends it. Afterwards no
/// process of the group is left, even if this future is dropped.
pub(crate) async fn run_to_end(
    mut child: Child,
    guarded: Guarded,
    channel: Channel,
    run: &Run,
    grace: Duration,
) -> io::Result<Finished> {
    let group = Group::led_by(&child, guarded);
    let pipes = Pipes { stdin: child.stdin.take(), stdout: child.stdout.take(), stderr: child.stderr.take() };
    let (mut stdout, mut stderr, mut wrong_line) = (Vec::new(), Vec::new(), None);
    let end = {
        let told = async { wrong_line = channel.listen(run).await };
        let talk = pin!(talk(pipes, run.job().payload.get(), told, &mut stdout, &mut stderr));
        Command { child: &mut child, group, talk, talking: true }.supervise(run, grace).await?
    };
    Ok(Finished { end, stdout, stderr, wrong_line })
}

/// A running command.
struct Command<'a, T> {
    child: &'a mut Child,
    group: Group,
    /// Reads and writes the pipes; in the end says whether the output exceeded the limit.
    talk: Pin<&'a mut T>,
    talking: bool,
}

impl<T: Future<Output = bool>> Command<'_, T> {
    async fn supervise(mut self, run: &Run, grace: Duration) -> io::Result<ProcessEnd> {
        let end = tokio::select! {
            biased;
            reason = run.cancelled() => ProcessEnd::Stopped(reason),
            end = self.end() => end?,
        };
        if !matches!(end, ProcessEnd::Exited(_)) {
            self.group.signal(Signal::SIGTERM);
            // Reading continues: what the command prints while it stops is part of the error text.
            if let Ok(Ok(ProcessEnd::TooMuch)) = timeout(grace, self.end()).await {
                let _ = timeout(grace, self.child.wait()).await;
            }
        }
        self.group.signal(Signal::SIGKILL);
        self.child.wait().await?;
        self.group.over();
        let too_much = self.talking && timeout(PIPES_MOMENT, self.talk.as_mut()).await.unwrap_or(false);
        Ok(if too_much && matches!(end, ProcessEnd::Exited(_)) { ProcessEnd::TooMuch } else { end })
    }

    /// Ready when the process has ended or has written too much.
    async fn end(&mut self) -> io::Result<ProcessEnd> {
        loop {
            tokio::select! {
                too_much = self.talk.as_mut(), if self.talking => {
                    self.talking = false;
                    if too_much {
                        return Ok(ProcessEnd::TooMuch);
                    }
                }
                status = self.child.wait() => return status.map(ProcessEnd::Exited),
            }
        }
    }
}

struct Pipes {
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
}

/// Serves all pipes until they are closed. If standard output exceeds the limit, the pipes are closed from this
/// side.
async fn talk(
    pipes: Pipes,
    payload: &str,
    told: impl Future<Output = ()>,
    stdout: &mut Vec<u8>,
    stderr: &mut Vec<u8>,
) -> bool {
    let Pipes { stdin: Some(stdin), stdout: Some(from_stdout), stderr: Some(from_stderr) } = pipes else {
        return false;
    };
    let mut reading = pin!(read_all(from_stdout, stdout));
    let mut others = pin!(async { tokio::join!(feed(stdin, payload), read_end(from_stderr, stderr), told) });
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

/// A command need not read its payload. A pipe that the command has closed is no error.
async fn feed(mut stdin: ChildStdin, payload: &str) {
    if let Err(error) = stdin.write_all(payload.as_bytes()).await {
        tracing::debug!(%error, "a command did not read all of its payload");
    }
}

/// The process group of a command. The group is killed if this value is dropped before the command has ended.
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

    /// The leader has just been waited for. Its id can only name the rest of its group: the kernel gives out ids in
    /// turn, and does not give out an id that still names a group.
    fn signal(&self, signal: Signal) {
        if let Some(leader) = self.leader {
            // No such group: all of its processes have ended.
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
