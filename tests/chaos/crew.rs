//! The processes of an example beside the usual fleet, and the faults that they meet: each is killed and frozen, and is started again
//! when it has ended, as a process supervisor does.

use crate::{dice::Dice, process::Process, stage::Stage};
use anyhow::{Context as _, Result, ensure};
use nix::sys::signal::Signal;
use std::{
    ffi::OsString,
    ops::Range,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How to start a process of an example.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    program: PathBuf,
    arguments: Vec<String>,
    environment: Vec<(&'static str, OsString)>,
}

/// A running part.
struct Running {
    part: Part,
    process: Process,
    thaws_at: Option<Instant>,
}

/// The running processes of an example. A drop ends them.
#[derive(Default)]
pub(crate) struct Crew(Vec<Running>);

impl Part {
    /// A program that is built beside this one.
    pub(crate) fn built(program: &str, arguments: &[&str]) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name(program);
        ensure!(program.exists(), "{} is not built; `make chaos` builds it", program.display());
        Ok(Self::installed(program, arguments))
    }

    /// Any program.
    pub(crate) fn installed(program: PathBuf, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        Self { program, arguments, environment: Vec::new() }
    }

    /// Sets a variable of its environment.
    pub(crate) fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.environment.push((variable, value.into()));
        self
    }

    fn start(&self, stage: &mut Stage) -> Result<Process> {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        stage.members.start_other(&self.program, &arguments, &self.environment)
    }
}

impl Crew {
    pub(crate) fn start(&mut self, part: Part, stage: &mut Stage) -> Result<()> {
        let process = part.start(stage)?;
        self.0.push(Running { part, process, thaws_at: None });
        Ok(())
    }

    /// Lets time pass, starts what has ended, and thaws what has been frozen for long enough.
    pub(crate) async fn pass(&mut self, time: Duration, stage: &mut Stage) -> Result<()> {
        stage.pass(time).await;
        for running in &mut self.0 {
            if running.process.ended().is_some() {
                running.process = running.part.start(stage)?;
                running.thaws_at = None;
            }
            if running.thaws_at.is_some_and(|at| at <= Instant::now()) {
                running.process.signal(Signal::SIGCONT);
                running.thaws_at = None;
            }
        }
        Ok(())
    }

    /// Injects faults for this time, one after each pause: processes of the example are killed, and frozen past their lease. The
    /// reaper is killed. Redis is emptied. In the middle PostgreSQL is restarted without a shutdown. Then all faults end.
    pub(crate) async fn harm(
        &mut self,
        window: Duration,
        pause_ms: Range<u64>,
        stage: &mut Stage,
        dice: &mut Dice,
    ) -> Result<()> {
        let begun = Instant::now();
        let (mut nth, mut is_restarted) = (0_u32, false);
        while begun.elapsed() < window || !is_restarted {
            self.pass(dice.millis(pause_ms.clone()), stage).await?;
            if begun.elapsed() > window / 2 && !is_restarted {
                is_restarted = true;
                stage.stop_postgres(true);
                self.pass(dice.millis(0..1000), stage).await?;
                stage.start_postgres()?;
                continue;
            }
            let victim = dice.number(0..self.0.len());
            let running = self.0.get_mut(victim).context("an example without processes")?;
            match nth % 5 {
                0 | 3 => running.process.signal(Signal::SIGKILL),
                1 => {
                    running.process.signal(Signal::SIGSTOP);
                    running.thaws_at = Some(Instant::now() + Duration::from_millis(stage.lease_ms() + 500));
                }
                2 => {
                    let mut redis = stage.connect_redis().await?;
                    redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
                }
                _ => {
                    stage.members.reapers.clear();
                    stage.members.start_reaper()?;
                }
            }
            nth += 1;
        }
        while self.0.iter().any(|running| running.thaws_at.is_some()) {
            self.pass(Duration::from_millis(50), stage).await?;
        }
        ensure!(nth >= 5, "only {nth} faults: this run proves nothing");
        Ok(())
    }
}
