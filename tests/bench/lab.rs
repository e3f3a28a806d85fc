//! One run: fresh servers, a quiet machine, `leasehold bench`, and its output line.

use crate::{
    arguments::Arguments,
    machine::{Machine, Watch, until_quiet},
    results::{Results, Run},
    servers::Servers,
};
use anyhow::{Context as _, Result, ensure};
use leasehold::{Config, Store};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::process::Command;

/// The maximum number of attempts for a disturbed run.
const TRIES: usize = 3;
/// A run that takes longer than this has failed. Long runs have a set duration of minutes.
const RUN_WITHIN: Duration = Duration::from_secs(3 * 3600);
/// 64 workers with ten connections each, the default, would exceed the server's limit.
const CONNECTIONS_OF_A_WORKER: &str = "5";

const SETTLED_P50_MS: &str =
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY (extract(epoch FROM finished_at - created_at) * 1000)::double precision)
     FROM leasehold.history";

/// The place of measurements: servers and results.
pub(crate) struct Lab {
    pub(crate) servers: Servers,
    pub(crate) results: Results,
    program: PathBuf,
    quiet_within: Duration,
    /// The timeout of a run.
    run_within: Duration,
}

/// The parameters of a run of `leasehold bench`.
#[derive(Clone, Debug)]
pub(crate) struct RunSpec {
    mode: &'static str,
    arguments: Vec<String>,
    /// Whether the run starts with an empty database and an empty Redis.
    pub(crate) fresh: bool,
    /// Whether costs are measured.
    costs: bool,
}

impl RunSpec {
    pub(crate) fn new(mode: &'static str, n: u64) -> Self {
        Self { mode, arguments: vec!["--n".to_owned(), n.to_string()], fresh: true, costs: true }
    }

    pub(crate) fn processes(self, procs: u32, conc: u32) -> Self {
        self.with(["--procs", &procs.to_string()]).with(["--conc", &conc.to_string()])
    }

    pub(crate) fn with<const N: usize>(mut self, more: [&str; N]) -> Self {
        self.arguments.extend(more.map(str::to_owned));
        self
    }

    /// Runs on the database as it is.
    pub(crate) fn on_current_database(self) -> Self {
        Self { fresh: false, ..self }
    }

    pub(crate) fn without_costs(self) -> Self {
        Self { costs: false, ..self }
    }
}

impl Lab {
    /// Starts the servers.
    pub(crate) async fn open(name: &str, arguments: &Arguments) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("leasehold");
        ensure!(program.exists(), "{} is not built; make bench builds it", program.display());
        let servers = Servers::start().await?;
        let machine = Machine::look(&servers).await?;
        if machine.profile != "release" {
            eprintln!("bench: this is a debug build: ratios to the floor are meaningful, jobs per second are not");
        }
        let quiet_within = Duration::from_secs(arguments.quiet_within);
        let results = Results::new(name, machine);
        Ok(Self { servers, results, program, quiet_within, run_within: RUN_WITHIN })
    }

    /// A store with one connection, for one of many claimers.
    pub(crate) async fn connect_claimer(&self) -> Result<Store> {
        let mut config = Config::new(&self.servers.database_url(), &self.servers.redis_url());
        config.database.max_connections = 1;
        let settings = config.store_settings("leasehold bench").context("the settings of the store")?;
        Ok(Store::connect(&settings).await?)
    }

    /// Changes the timeout of runs.
    pub(crate) fn run_within(self, run_within: Duration) -> Self {
        Self { run_within, ..self }
    }

    /// Runs `leasehold bench` and keeps the results.
    pub(crate) async fn bench(&mut self, subject: &str, setting: &str, spec: &RunSpec) -> Result<()> {
        let mut command = self.leasehold();
        command.args(["bench", "--mode", spec.mode]).args(&spec.arguments);
        if spec.costs {
            command.arg("--costs");
        }
        for try_number in 1.. {
            if spec.fresh {
                self.servers.fresh().await?;
            }
            until_quiet(self.quiet_within).await;
            let watch = Watch::begin(&self.servers);
            let output = tokio::time::timeout(self.run_within, command.output()).await;
            let output =
                output.with_context(|| format!("{subject}, {setting}: not finished after {:?}", self.run_within));
            let output = output?.context("running leasehold bench")?;
            let others = watch.end(&self.servers);
            let errors = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{subject}, {setting}: {}", errors.trim());
            let mut line: Value =
                serde_json::from_slice(&output.stdout).context("reading the line of leasehold bench")?;
            if spec.mode == "latency" {
                line["settled_p50_ms"] = json!(self.settled_p50_ms().await?);
            }
            let run = Run::of(subject, setting, line, others.share, others.disturbed);
            eprintln!("{}", run.describe());
            let again = others.disturbed && spec.fresh && try_number < TRIES && !self.quiet_within.is_zero();
            if !again {
                self.results.runs.push(run);
                break;
            }
        }
        Ok(())
    }

    /// The median time from the statement that enqueues a job to the statement that writes its result, by PostgreSQL's
    /// clock. The handler sees only the first half of this time.
    async fn settled_p50_ms(&self) -> Result<Option<f64>> {
        let mut connection = self.servers.connect().await?;
        Ok(sqlx::query_scalar(SETTLED_P50_MS).fetch_one(&mut connection).await?)
    }

    /// Measures the time of a command, which must succeed. In seconds.
    pub(crate) async fn time(&mut self, command: &mut Command) -> Result<f64> {
        until_quiet(self.quiet_within).await;
        let begun = Instant::now();
        let status = command.status().await.context("running a command")?;
        let seconds = begun.elapsed().as_secs_f64();
        ensure!(status.success(), "the measured command ended with {status}");
        Ok(seconds)
    }

    /// The program on these servers, with only `PATH` in its environment.
    pub(crate) fn leasehold(&self) -> Command {
        self.command(&self.program)
    }

    /// Another program of this build, with the same environment.
    pub(crate) fn program_beside(&self, name: &str) -> Result<Command> {
        let program = self.program.with_file_name(name);
        ensure!(program.exists(), "{} is not built; make bench builds it", program.display());
        Ok(self.command(&program))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("LEASEHOLD_DATABASE_URL", self.servers.database_url());
        command.env("LEASEHOLD_REDIS_URL", self.servers.redis_url());
        command.env("LEASEHOLD_DATABASE__MAX_CONNECTIONS", CONNECTIONS_OF_A_WORKER);
        command.stdin(Stdio::null()).current_dir(self.servers.folder()).kill_on_drop(true);
        command
    }
}

impl Run {
    pub(crate) fn of(subject: &str, setting: &str, line: Value, others: f64, disturbed: bool) -> Self {
        Self { subject: subject.to_owned(), setting: setting.to_owned(), line, others, disturbed }
    }

    /// One line for a person who waits.
    fn describe(&self) -> String {
        let names = ["drain_per_s", "flow_per_s", "p50_ms"];
        let figures = names.iter().filter_map(|name| Some(format!("{name} {:.1}", self.figure(name)?)));
        let figures = figures.collect::<Vec<_>>().join(", ");
        let disturbed = if self.disturbed { ", disturbed" } else { "" };
        format!(
            "{}, {}: {figures}; other processes used {:.0} %{disturbed}",
            self.subject,
            self.setting,
            self.others * 100.0
        )
    }
}
