//! Which command runs a job, how a command is checked, and what the exit code means for the job.

use crate::{
    exec::{
        channel::{Channel, DESCRIPTOR, ReadJob},
        environment::PassedEnv,
        guard::Guarded,
        lack::{Descriptors, Surroundings, is_lack, lack_of_shell, shell_lack},
        output::{end_of, result_of},
        parents::{ParentsFile, ParentsFileError},
        process::{Finished, ProcessEnd, run_to_end},
        shell::{ask_shell, first_word},
    },
    handler::{Handler, STOP_TIMEOUT},
    run::{Run, StopReason},
};
use command_fds::{CommandFdExt, FdMapping};
use leasehold_core::{Backoff, Outcome, RESULT_MAX_BYTES};
use leasehold_telemetry::traces;
use nix::sys::signal::Signal;
use serde::Deserialize;
use std::{
    ffi::OsString,
    future::Future,
    io,
    os::unix::process::ExitStatusExt,
    pin::Pin,
    process::{ExitStatus, Stdio},
    sync::Once,
    time::Duration,
};
use tokio::process::Command;

/// `EX_TEMPFAIL` of sysexits.h.
const TRY_LATER: i32 = 75;
/// `EX_DATAERR` of sysexits.h.
const NEVER_WILL: i32 = 65;

/// Runs one command for each job. The command reads the payload from standard input; its standard output is the result.
#[derive(Clone, Debug)]
pub struct Exec {
    source: Source,
    grace: Duration,
    /// The variables of the worker that commands do not get.
    backoff: Option<Backoff>,
    read_job: Option<ReadJob>,
    withheld: Vec<OsString>,
    surroundings: Surroundings,
}

#[derive(Clone, Debug)]
enum Source {
    Shell(String),
    Payload,
}

/// The command cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ExecError(pub String);

#[derive(Deserialize)]
struct Argv {
    argv: Vec<String>,
}

impl Exec {
    /// A shell command line, which `sh -c` runs. The command is checked now: its first word must name an existing
    /// program.
    ///
    /// `grace` is the time between TERM and KILL.
    ///
    /// # Errors
    /// The shell cannot parse the command, or does not know its first word.
    pub fn shell(command: &str, grace: Duration) -> Result<Self, ExecError> {
        if command.trim().is_empty() {
            return Err(ExecError("the command is empty".to_owned()));
        }
        if command.contains('\0') {
            return Err(ExecError("the command has a NUL byte".to_owned()));
        }
        ask_shell(&["-n", "-c", command])
            .map_err(|said| ExecError(format!("the shell cannot read the command `{command}`: {said}")))?;
        if let Some(word) = first_word(command) {
            ask_shell(&["-c", "command -v -- \"$1\"", "sh", word]).map_err(|_| {
                ExecError(format!(
                    "`{word}`, the first word of `{command}`, is neither a program nor a command of the shell"
                ))
            })?;
        }
        Ok(Self::of(Source::Shell(command.to_owned()), grace))
    }

    /// Each job carries its command in the payload, as `leasehold each` sends it: `{"argv": ["program", "argument",
    /// …]}`.
    ///
    /// Every client that may enqueue such jobs can run any program as the user of this worker.
    #[must_use]
    pub fn from_payload(grace: Duration) -> Self {
        Self::of(Source::Payload, grace)
    }

    fn of(source: Source, grace: Duration) -> Self {
        Self {
            source,
            grace,
            backoff: None,
            read_job: None,
            withheld: PassedEnv::default().withheld(),
            surroundings: Surroundings::note(),
        }
    }

    /// The delays between the attempts of a failing job. By default they are the settings of the worker.
    #[must_use]
    pub const fn retrying(mut self, backoff: Backoff) -> Self {
        self.backoff = Some(backoff);
        self
    }

    /// Lets commands enqueue jobs on file descriptor 3. `read_job` reads such a job.
    #[must_use]
    pub const fn enqueueing(mut self, read_job: ReadJob) -> Self {
        self.read_job = Some(read_job);
        self
    }

    /// Passes these variables of the worker to commands. By default commands get none of the `LEASEHOLD_…` variables.
    #[must_use]
    pub fn passing(mut self, passed: &PassedEnv) -> Self {
        self.withheld = passed.withheld();
        self
    }

    /// The command for one job, and the name of the program.
    fn command(&self, payload: &str) -> Result<(Command, String), String> {
        let (program, arguments) = match &self.source {
            Source::Shell(line) => ("sh".to_owned(), vec!["-c".to_owned(), line.clone()]),
            Source::Payload => {
                let Argv { argv } = serde_json::from_str(payload).map_err(|error| {
                    format!("the payload is not a command, such as {{\"argv\": [\"program\", …]}}: {error}")
                })?;
                let mut argv = argv.into_iter();
                let program =
                    argv.next().filter(|program| !program.is_empty()).ok_or("the payload's argv names no program")?;
                (program, argv.collect())
            }
        };
        let mut command = Command::new(&program);
        command.args(arguments);
        Ok((command, program))
    }

    async fn run_job(&self, run: Run) -> Outcome {
        let job = run.job();
        let (mut command, program) = match self.command(job.payload.get()) {
            Ok(command) => command,
            Err(error) => return Outcome::Hopeless(error),
        };
        let _descriptors = match Descriptors::take() {
            Ok(taken) => taken,
            Err(what) => return Outcome::Lacking(what),
        };
        let name = format!("{}.{}", job.fence.epoch, job.fence.id);
        let parents = match ParentsFile::write(&run, &name).await {
            Ok(parents) => parents,
            Err(error @ ParentsFileError::Unread(_)) => return Outcome::Snoozed(None, Some(error.to_string())),
            Err(error) => return Outcome::Lacking(error.to_string()),
        };
        let guarded = match Guarded::begin(name.clone()) {
            Ok(guarded) => guarded,
            Err(error) if is_lack(&error) => return Outcome::Lacking(lack_at_start("/bin/sh", &error)),
            Err(error) => {
                tell_unguarded(&error);
                Guarded::none()
            }
        };
        let (channel, for_command) = match Channel::open(self.read_job) {
            Ok(opened) => opened,
            Err(error) => return Outcome::Lacking(lack_at_start(&program, &error)),
        };
        let mapping = FdMapping { parent_fd: for_command, child_fd: DESCRIPTOR };
        if let Err(error) = command.as_std_mut().fd_mappings(vec![mapping]) {
            return Outcome::Failed(format!("file descriptor {DESCRIPTOR} cannot be given to {program}: {error}"));
        }
        for name in &self.withheld {
            command.env_remove(name);
        }
        if let Some(parents) = &parents {
            command.env("LEASEHOLD_PARENTS", parents.path());
        }
        // The span of this run, if the worker exports traces. The trace of the worker is not the trace of the job.
        match traces::current().as_ref().or(job.traceparent.as_ref()) {
            Some(traceparent) => command.env("TRACEPARENT", traceparent),
            None => command.env_remove("TRACEPARENT"),
        };
        command
            .env("LEASEHOLD_RUN", name)
            .env("LEASEHOLD_JOB_ID", job.fence.id.to_string())
            .env("LEASEHOLD_EPOCH", job.fence.epoch.to_string())
            .env("LEASEHOLD_ATTEMPT", job.attempt.to_string())
            .env("LEASEHOLD_KIND", job.kind.as_str())
            .env("LEASEHOLD_QUEUE", job.queue.as_str())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let spawned = command.spawn();
        // Only the command may hold the other end of the channel, or the channel would never be closed.
        drop(command);
        match spawned {
            Ok(child) => match run_to_end(child, guarded, channel, &run, self.grace).await {
                Ok(finished) => match self.lack_behind(&finished).await {
                    Some(what) => Outcome::Lacking(what),
                    None => classify(finished),
                },
                Err(error) => Outcome::Failed(format!("waiting for {program}: {error}")),
            },
            Err(error) => self.not_started(&program, &error),
        }
    }

    /// What the worker lacks, if the command failed because of that.
    async fn lack_behind(&self, Finished { end, stderr, .. }: &Finished) -> Option<String> {
        let ProcessEnd::Exited(status) = end else { return None };
        let code = status.code();
        if matches!(code, Some(0 | TRY_LATER | NEVER_WILL)) {
            return None;
        }
        if let Some(what) = self.surroundings.lack() {
            return Some(what);
        }
        match self.source {
            Source::Shell(_) => lack_of_shell(code, &end_of(stderr)).await,
            Source::Payload => None,
        }
    }

    /// A missing program will be missing in the next run too. A worker without a shell, or with too few resources, says
    /// nothing about the job.
    fn not_started(&self, program: &str, error: &io::Error) -> Outcome {
        let text = format!("{program} could not be started: {error}");
        if is_lack(error) {
            return Outcome::Lacking(lack_at_start(program, error));
        }
        if let Some(what) = self.lack() {
            return Outcome::Lacking(what);
        }
        match (&self.source, error.kind()) {
            (Source::Shell(_), _) => Outcome::Lacking(format!("a shell: {error}")),
            (_, io::ErrorKind::NotFound) => Outcome::Hopeless(format!("there is no program {program} on this worker")),
            (_, io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput | io::ErrorKind::ArgumentListTooLong) => {
                Outcome::Hopeless(text)
            }
            _ => Outcome::Failed(text),
        }
    }
}

fn lack_at_start(program: &str, error: &io::Error) -> String {
    format!("the resources to start {program}: {error}")
}

/// Logs once that commands will outlive a killed worker.
fn tell_unguarded(error: &io::Error) {
    static TOLD: Once = Once::new();
    TOLD.call_once(|| {
        tracing::warn!(%error, "/bin/sh cannot be started: commands will outlive this worker if it is killed");
    });
}

impl Handler for Exec {
    fn run(&self, run: Run) -> Pin<Box<dyn Future<Output = Outcome> + Send + '_>> {
        Box::pin(self.run_job(run))
    }

    fn stop_timeout(&self) -> Duration {
        self.grace + STOP_TIMEOUT
    }

    fn backoff(&self) -> Option<Backoff> {
        self.backoff
    }

    fn lack(&self) -> Option<String> {
        let of_shell = || if let Source::Shell(_) = self.source { shell_lack() } else { None };
        self.surroundings.lack().or_else(of_shell)
    }
}

fn classify(Finished { end, stdout, stderr, wrong_line }: Finished) -> Outcome {
    match end {
        ProcessEnd::Exited(status) if status.success() && wrong_line.is_some() => {
            Outcome::Hopeless(wrong_line.unwrap_or_default())
        }
        ProcessEnd::Exited(status) => match status.code() {
            Some(0) => result_of(stdout).map_or_else(Outcome::Hopeless, Outcome::Succeeded),
            Some(TRY_LATER) => Outcome::Snoozed(None, Some(end_of(&stderr)).filter(|reason| !reason.is_empty())),
            Some(NEVER_WILL) => Outcome::Hopeless(error_text(status, &stderr)),
            _ => Outcome::Failed(error_text(status, &stderr)),
        },
        ProcessEnd::TooMuch => Outcome::Hopeless(format!(
            "the command was stopped: it wrote more than {RESULT_MAX_BYTES} bytes to standard output, the limit \
             of a result; larger output belongs in a file or an object store, with its address as the result"
        )),
        ProcessEnd::Stopped(StopReason::Cancelled) => Outcome::Cancelled,
        ProcessEnd::Stopped(StopReason::LeaseLost) => Outcome::Lost,
        ProcessEnd::Stopped(StopReason::Stopping) => Outcome::Interrupted,
        ProcessEnd::Stopped(StopReason::TimedOut) => Outcome::Failed(end_of(&stderr)),
    }
}

/// The end of standard error, and how the command ended. A signal is always named, since a killed command cannot write
/// about it.
fn error_text(status: ExitStatus, stderr: &[u8]) -> String {
    let said = end_of(stderr);
    let ended = match (status.code(), status.signal()) {
        (Some(_), _) if !said.is_empty() => return said,
        (Some(code), _) => format!("the command ended with exit code {code}"),
        (None, Some(signal)) => {
            let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
            format!("the command was killed by signal {signal} ({name})")
        }
        (None, None) => format!("the command ended: {status}"),
    };
    if said.is_empty() { ended } else { format!("{said}\n{ended}") }
}
